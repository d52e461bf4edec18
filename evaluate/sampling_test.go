package evaluate_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate"
)

// TestShares: of many decisions one in a thousand is made by OPA too, of fewer two
// hundred, and of few all, however they are spread over blocks, and beside whatever
// is taken over.
func TestShares(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for blocks, size := range map[int]int64{1: 150, 3: 40, 7: 1000, 20: 5000, 3000: 40, 9000: 1, 700: 2000} {
		for _, withTaken := range []bool{false, true} {
			var digests []string
			var sizes []int64
			var taken []bool
			sure := int64(0)
			for i := range blocks {
				digests, sizes, taken = append(digests, audit.Digest(fmt.Append(nil, i))), append(sizes, 1+rnd.Int64N(2*size)), append(taken, withTaken && i%3 == 1)
				if !taken[i] {
					sure += sizes[i]
				}
			}
			got := int64(0)
			for i, n := range evaluate.Shares(digests, sizes, taken) {
				if !taken[i] {
					got += min(n, sizes[i])
				}
			}
			least := min(sure, max(sure/1000, 100))
			if most := max(2*least, 400); got < least || got > most {
				t.Errorf("of %d decisions in %d blocks (taken over: %t) %d are in the sample, want %d to %d", sure, blocks, withTaken, got, least, most)
			}
		}
	}
}

// TestChoose: a sample is whole where there are decisions enough, from few documents
// where these have many.
func TestChoose(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		decisions []int
		sample    int64
		want      []int
	}{
		{[]int{14, 14, 14}, 0, []int{0, 0, 0}},
		{[]int{14, 14, 14}, 4, []int{4, 0, 0}},
		{[]int{14, 14, 14}, 14, []int{6, 4, 4}},
		{[]int{0, 1, 2}, 14, []int{0, 1, 2}},
		{[]int{0, 1, 50}, 30, []int{0, 1, 29}},
		{[]int{5, 5}, math.MaxInt64, []int{5, 5}},
	} {
		if got := evaluate.Choose(c.decisions, c.sample); !slices.Equal(got, c.want) {
			t.Errorf("%d of %v are %v, want %v", c.sample, c.decisions, got, c.want)
		}
	}
}

// TestSampleOfEveryRun: a hundred decisions at least are made by OPA too, in a run of
// all, in one that takes over most of the last, and of what is asked for by name all;
// and it is the same ones, whatever the number of workers.
func TestSampleOfEveryRun(t *testing.T) {
	t.Parallel()
	n := newNightly(t, nightlyLibrary(t))
	n.estateOf(1200)
	refereed := func(what string, o audit.Order, least, most int64) audit.Run {
		t.Helper()
		run, _ := n.run(t, o)
		if run.Refereed < least || run.Refereed > most {
			t.Errorf("%s: %d decisions were made by OPA too, want %d to %d", what, run.Refereed, least, most)
		}
		return run
	}
	first := refereed("all", audit.Order{}, 100, 250)
	refereed("a quiet night", audit.Order{}, 100, 1000)
	for i := range 100 {
		n.aws.docs[i*12] = doc("aws/1/eu", n.aws.docs[i*12].Type, fmt.Sprintf("m%05d", i*12), `{"ip":"10.0.1.50","port":4}`)
	}
	refereed("some machines changed", audit.Order{}, 100, 1000)
	run := refereed("by name", audit.Order{Scope: audit.Scope{Resources: []string{n.aws.docs[1].ID, n.aws.docs[2].ID}}}, 4, 4)
	if run.Status != audit.Complete {
		t.Errorf("it is %s", run.Status)
	}
	perDocument := func(workers int) (out []string) {
		e, err := evaluate.New(evaluate.Config{Library: nightlyLibrary(t), Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		j := audit.Judgement{AsOf: first.AsOf, Snapshots: first.Snapshots, Vault: n.Vault}
		err = e.Decide(t.Context(), j, func(v audit.Verdict) error {
			if v.Refereed > 0 {
				out = append(out, fmt.Sprint(v.Resource, " ", v.Refereed))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	one := perDocument(1)
	if diff := cmp.Diff(one, perDocument(5)); diff != "" || len(one) < 40 {
		t.Errorf("%d documents with one worker (-), with five (+): %s", len(one), diff)
	}
}

// TestSampleBesideLimits: where most of the sample exceeds a limit the least number is
// made up for by others, and where there are fewer all are compared.
func TestSampleBesideLimits(t *testing.T) {
	t.Parallel()
	for comparable, want := range map[int]int64{20: 20, 300: 100} {
		lib := library(t, map[string]string{
			"lib/none.rego":     "package lib.none\n",
			"controls/a/b.rego": control("LIM-001", "controls.a.b", `"aws/T"`, `violation contains {"message": "m", "observed": 1, "expected": 2, "path": "/data"} if count(numbers.range(1, input.data.n)) == 7`+"\n"),
		})
		n := newNightly(t, lib)
		for i := range 3000 {
			many := 1_000_000_000
			if i < comparable {
				many = 5
			}
			n.aws.docs = append(n.aws.docs, doc("aws/1/eu", "T", fmt.Sprintf("m%05d", i), fmt.Sprintf(`{"n":%d,"filler":%q}`, many, strings.Repeat("x", 500))))
		}
		if run, _ := n.run(t, audit.Order{}); run.Refereed < want || run.Refereed > 2*want {
			t.Errorf("of %d decisions within the limits %d were made by OPA too, want %d", comparable, run.Refereed, want)
		}
	}
}

// nameless is a vault that says of blocks how many lines they have, and no more.
type nameless struct{ audit.Vault }

// Blocks implements audit.BlockVault.
func (v nameless) Blocks(ctx context.Context, digest string) ([]audit.Block, error) {
	list, err := audit.Blocks(ctx, v.Vault, digest)
	for i := range list {
		list[i].Digest, list[i].FirstID, list[i].LastID, list[i].Types = "", "", "", nil
	}
	return list, err
}

// TestSampleOfNamelessBlocks: where the types of a block are not known those of its
// snapshot count.
func TestSampleOfNamelessBlocks(t *testing.T) {
	t.Parallel()
	n := newNightly(t, nightlyLibrary(t))
	n.estateOf(1200)
	run, _ := n.run(t, audit.Order{})
	refereed := int64(0)
	j := audit.Judgement{AsOf: run.AsOf, Snapshots: run.Snapshots, Vault: nameless{n.Vault}}
	err := n.Decider.Decide(t.Context(), j, func(v audit.Verdict) error { refereed += v.Refereed; return nil })
	if err != nil || refereed < 100 || refereed > 250 {
		t.Errorf("%d decisions were made by OPA too, %v, want 100 to 250", refereed, err)
	}
}

// TestSampleAmongTakenOver: where little is decided OPA makes all of it too, also
// what is decided again in a block that is taken over.
func TestSampleAmongTakenOver(t *testing.T) {
	t.Parallel()
	n := newNightly(t, library(t, map[string]string{
		"lib/none.rego":     "package lib.none\n",
		"controls/a/b.rego": control("DIS-001", "controls.a.b", `"aws/T"`, `violation contains {"message": "seven", "observed": input.data.port, "expected": 2, "path": "/data"} if input.data.port == 7`+"\n"),
	}))
	filler := strings.Repeat("x", 4000)
	for i := range 600 {
		d := doc("aws/1/eu", "T", fmt.Sprintf("m%05d", i), fmt.Sprintf(`{"port":%d,"filler":%q}`, i%10, filler))
		if i%50 == 7 {
			gap("/data/port")(&d)
		}
		n.aws.docs = append(n.aws.docs, d)
	}
	n.run(t, audit.Order{})
	run, _ := n.run(t, audit.Order{})
	taken := int64(0)
	for _, e := range run.Evaluated {
		taken += e.Resources
	}
	if taken < 400 || run.Refereed != 600-taken {
		t.Errorf("%d taken over and %d decisions made by OPA too, want all of the others", taken, run.Refereed)
	}
}

// TestDisagreement: where OPA's own evaluator says something else than the engine
// of one decision, be it one byte, the run ends and names it.
func TestDisagreement(t *testing.T) {
	t.Parallel()
	rego := func(message string) string {
		return control("DIS-001", "controls.a.b", `"aws/T"`, `violation contains {"message": "`+message+`", "observed": 1, "expected": 2, "path": "/data"} if input.data.n == 7`+"\n")
	}
	e := engine(t, library(t, map[string]string{"lib/none.rego": "package lib.none\n", "controls/a/b.rego": rego("seven")}))
	if err := e.Mislead("controls/a/b.rego", rego("sevem")); err != nil {
		t.Fatal(err)
	}
	j := judgement(t, doc("aws/1/eu", "T", "six", `{"n":6}`), doc("aws/1/eu", "T", "seven", `{"n":7}`))
	err := e.Decide(t.Context(), j, func(audit.Verdict) error { return nil })
	var differ *evaluate.DisagreementError
	if !errors.As(err, &differ) || differ.Control != "DIS-001" || differ.Resource != "aws/1/eu/T/seven" || !strings.Contains(err.Error(), "--engine opa") {
		t.Errorf("Decide() = %v, want an error that names control and resource", err)
	}
}
