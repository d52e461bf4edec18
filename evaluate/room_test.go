package evaluate_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// TestReuseOfLookups: what was looked up is recorded the same where no slice is asked for.
func TestReuseOfLookups(t *testing.T) {
	t.Parallel()
	e := engine(t, embedded(t))
	docs := recordedEstate(t)
	got, want := decisions(t, e, docs, func(j *audit.Judgement) { j.Reuse = true }), decisions(t, e, docs)
	looked := 0
	for k, d := range want {
		if d.SliceDigest != "" {
			looked++
		}
		if got[k].SliceDigest != d.SliceDigest || got[k].Outcome != d.Outcome {
			t.Errorf("%s: slice %s with reuse, %s without", k, got[k].SliceDigest, d.SliceDigest)
		}
	}
	if len(got) != len(want) || looked == 0 {
		t.Errorf("%d decisions, want %d, of which %d looked something up", len(got), len(want), looked)
	}
}

// TestReuse: where decisions are not kept, and their room is used again, what
// emit is given is the same.
func TestReuse(t *testing.T) {
	t.Parallel()
	files := map[string]string{"lib/none.rego": "package lib.none\n"}
	for i := range 7 {
		files[fmt.Sprintf("controls/a/c%d.rego", i)] = control(fmt.Sprintf("REU-%03d", i), fmt.Sprintf("controls.a.c%d", i), `"aws/T"`,
			fmt.Sprintf(`violation contains {"message": "it is", "observed": input.data.n, "expected": %d, "path": "/data"} if input.data.n %% 7 == %d`+"\n", i, i))
	}
	e := engine(t, library(t, files))
	var docs []audit.Resource
	for i := range 12000 {
		change := func(*audit.Resource) {}
		if i%5 == 0 {
			change = gap("/data/n")
		}
		docs = append(docs, doc("aws/1/eu", "T", fmt.Sprintf("%05d", i), fmt.Sprintf(`{"n":%d,"fill":%q}`, i, strings.Repeat("x", 300)), change))
	}
	said := func(reuse bool) (out []string) {
		j := judgement(t, docs...)
		j.Reuse = reuse
		if err := e.Decide(t.Context(), j, func(v audit.Verdict) error {
			for range 20 {
				runtime.Gosched() // so that others go on meanwhile
			}
			b, err := json.Marshal(v)
			out = append(out, string(b))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	got, want := said(true), said(false)
	if len(got) != len(docs) || len(want) != len(docs) {
		t.Fatalf("%d and %d verdicts, want %d", len(got), len(want), len(docs))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("with reuse %s, want %s", got[i], want[i])
		}
	}
}
