package evaluate_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/recorded"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
	"github.com/crosscheck-dev/crosscheck/testdata/estate"
)

// recordedEstate reads the recorded estate: its documents in order of id, and its snapshots.
func recordedEstate(t testing.TB) []audit.Resource {
	t.Helper()
	fsys, err := estate.Recorded()
	if err != nil {
		t.Fatal(err)
	}
	c, err := recorded.New(recorded.Config{FS: fsys})
	if err != nil {
		t.Fatal(err)
	}
	w := &audittest.Writer{}
	for _, origin := range c.Origins() {
		if _, err := c.Collect(t.Context(), audit.Request{Origin: origin}, w); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(w.Resources, func(a, b audit.Resource) int { return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.ID, b.ID)) })
	return w.Resources
}

func clone(t testing.TB, r audit.Resource) audit.Resource {
	t.Helper()
	line, err := r.Line()
	if err != nil {
		t.Fatal(err)
	}
	c, err := audit.ParseResource(line)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestReferee: the engine and the stock evaluator agree on every document of the recorded estate.
func TestReferee(t *testing.T) {
	t.Parallel()
	docs := recordedEstate(t)
	if n := agree(t, embedded(t), docs); n < 500 {
		t.Errorf("only %d decisions were compared", n)
	}
}

// decisions decides documents, and returns the decisions by control and resource.
func decisions(t testing.TB, e audit.Decider, docs []audit.Resource, change ...func(*audit.Judgement)) map[string]audit.Decision {
	t.Helper()
	j := judgement(t, docs...)
	for _, c := range change {
		c(&j)
	}
	out := map[string]audit.Decision{}
	if err := e.Decide(t.Context(), j, func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			d.Slice = nil
			out[d.Control+" "+v.Resource] = d
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// said is what a decision says, without the digests that any change of the document changes.
func said(d audit.Decision) string {
	b, _ := json.Marshal([]any{d.Outcome, d.Violations, d.Reasons})
	return string(b)
}

// TestDeniedCalls: where one answer of one API call is missing for all resources
// of a type, every decision that reads it is not evaluated, or is what it is
// whatever the answer would have been; and no other changes.
func TestDeniedCalls(t *testing.T) {
	t.Parallel()
	all, e := recordedEstate(t), embeddedEngine(t)
	whole, unread := decisions(t, e, all), map[string]int{}
	var n tally
	t.Cleanup(func() { n.report(t, 10) })
	for _, call := range topLevelAnswers(all) {
		if !judged(e.Catalog(), audit.Resource{Source: call.source, Type: call.typ}) {
			continue
		}
		read, err := e.AnythingReads(t.Context(), call.source, call.typ, call.pointer)
		if err != nil {
			t.Fatal(err)
		}
		if !read { // two of those that nothing reads stand for all of a type
			if unread[call.typ]++; unread[call.typ] > 2 {
				continue
			}
		}
		docs, before := all, whole
		if !joined(t, e, call) { // then the rest of the estate neither matters nor is touched
			docs = slices.DeleteFunc(slices.Clone(all), func(d audit.Resource) bool { return d.Source != call.source || d.Type != call.typ })
			before = decisions(t, e, docs)
		}
		t.Run(call.typ+call.pointer, func(t *testing.T) {
			t.Parallel()
			changed := make([]audit.Resource, len(docs))
			for i, d := range docs {
				if changed[i] = d; d.Source == call.source && d.Type == call.typ {
					changed[i] = clone(t, d)
					delete(changed[i].Data.(map[string]any), strings.TrimPrefix(call.pointer, "/data/"))
					changed[i].Gap(call.pointer, audit.AccessDenied, "x:Get")
				}
			}
			after := decisions(t, e, changed)
			compare(t, e, call, before, after)
			if read {
				n.aroundDenied(t, call, docs, changed, after)
			}
		})
	}
}

// joined tells whether resources of a type look others up, or are looked up.
func joined(t testing.TB, e *evaluate.Engine, call answered) bool {
	t.Helper()
	kinds, err := e.Declares(call.source, call.typ)
	if err != nil {
		t.Fatal(err)
	}
	found := len(kinds) > 0
	for _, c := range e.Catalog().Controls {
		if c.AppliesToType(call.source, call.typ) {
			r, err := e.Reads(t.Context(), c.ID, call.source, call.typ)
			if err != nil {
				t.Fatal(err)
			}
			found = found || len(r.Estate) > 0
		}
	}
	return found
}

type answered struct{ source, typ, pointer string }

// topLevelAnswers are the answers that documents of each type are made of.
func topLevelAnswers(docs []audit.Resource) []answered {
	all := map[answered]bool{}
	for _, d := range docs {
		if data, ok := d.Data.(map[string]any); ok {
			for key := range data {
				all[answered{d.Source, d.Type, "/data/" + audit.EscapePointer(key)}] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b answered) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.typ, b.typ), cmp.Compare(a.pointer, b.pointer))
	})
}

// compare holds every decision against what the gap should have done to it.
func compare(t *testing.T, e *evaluate.Engine, call answered, before, after map[string]audit.Decision) {
	t.Helper()
	for key, old := range before {
		id, now := strings.SplitN(key, " ", 2)[1], after[key]
		source, typ := kindOf(id)
		reads, err := e.Reads(t.Context(), old.Control, source, typ)
		if err != nil {
			t.Fatal(err)
		}
		own := source == call.source && typ == call.typ && slices.ContainsFunc(reads.Input, func(r plan.Read) bool {
			return r.Pointer == call.pointer || strings.HasPrefix(r.Pointer, call.pointer+"/")
		})
		lookup := hiddenLookup(now)
		switch {
		case own && now.Outcome != audit.NotEvaluated && said(now) != said(old):
			t.Errorf("%s reads %s, was %s and is %s", key, call.pointer, said(old), said(now))
		case !own && said(now) != said(old) && !lookup:
			t.Errorf("%s does not read %s and changed from %s to %s", key, call.pointer, said(old), said(now))
		}
	}
}

// hiddenLookup tells whether something looked up may be hidden by a gap.
func hiddenLookup(d audit.Decision) bool {
	return d.Outcome == audit.NotEvaluated && slices.ContainsFunc(d.Reasons, func(r audit.Reason) bool { return r.Code == "lookup" })
}

// kindOf reads source and type from a resource id of the recorded estate.
func kindOf(id string) (source, typ string) {
	source = audit.SourceOf(id)
	parts := strings.Split(id, "/")
	skip := map[string]int{audit.AWS: 3, audit.Kubernetes: 2, audit.Terraform: 2, audit.NetBox: 2}[source]
	if typ = parts[skip]; source == audit.Kubernetes {
		for i := skip + 1; i < len(parts); i++ {
			if typ += "/" + parts[i]; parts[i] != "" && parts[i][0] >= 'A' && parts[i][0] <= 'Z' {
				break
			}
		}
	}
	return source, typ
}

// TestReadsAreSound: what lies outside a control's reads can be changed or
// removed, leaf by leaf, and what it says stays.
func TestReadsAreSound(t *testing.T) {
	t.Parallel()
	all, e := recordedEstate(t), embeddedEngine(t)
	seen := map[string]int{}
	for _, d := range all {
		kind := d.Source + "/" + d.Type
		if seen[kind]++; seen[kind] > 1 || !judged(e.Catalog(), d) {
			continue
		}
		t.Run(d.ID, func(t *testing.T) {
			t.Parallel()
			base := decisions(t, e, []audit.Resource{d}, allSources)
			leaves := pointers(d.Data, "/data", nil)
			if len(leaves) > 25 { // evenly over a large document
				leaves = thin(leaves, 25)
			}
			for _, p := range leaves {
				for _, v := range []any{nil, map[string]any{"a": json.Number("1")}} {
					changed := clone(t, d)
					if !set(changed.Data, strings.Split(strings.TrimPrefix(p, "/data/"), "/"), v) {
						continue
					}
					for key, now := range decisions(t, e, []audit.Resource{changed}, allSources) {
						reads, err := e.Reads(t.Context(), now.Control, d.Source, d.Type)
						if err != nil {
							t.Fatal(err)
						}
						if hiddenLookup(now) { // what the document declares to others changed, and it looks others up
							continue
						}
						if !touches(reads, p) && said(now) != said(base[key]) {
							t.Errorf("%s does not read %s, and changed from %s to %s", key, p, said(base[key]), said(now))
						}
					}
				}
			}
		})
	}
}

func judged(c audit.Catalog, d audit.Resource) bool {
	return slices.ContainsFunc(c.Controls, func(c audit.Control) bool { return c.AppliesToType(d.Source, d.Type) })
}

// allSources makes every source look present, with nothing in it.
func allSources(j *audit.Judgement) {
	empty := audit.Digest(nil)
	if got, err := j.Vault.Put(context.Background(), strings.NewReader("")); err != nil || got != empty {
		panic(fmt.Sprint(got, err))
	}
	for _, origin := range []string{"aws/0/none", "kubernetes/none", "netbox/none", "terraform/none"} {
		j.Snapshots = append(j.Snapshots, audit.Snapshot{Origin: origin, Digest: empty})
	}
}

func touches(r plan.Reads, pointer string) bool { return len(r.Touched([]string{pointer})) > 0 }

func pointers(v any, at string, out []string) []string {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = pointers(v[k], at+"/"+audit.EscapePointer(k), out)
		}
	case []any:
		for i, e := range v {
			out = pointers(e, at+"/"+strconv.Itoa(i), out)
		}
	default:
		out = append(out, at)
	}
	return out
}

func thin(list []string, n int) []string {
	out := make([]string, 0, n)
	for i := range n {
		out = append(out, list[i*len(list)/n])
	}
	return out
}

// set replaces the value at a path; nil removes a key.
func set(root any, path []string, v any) bool {
	for i, step := range path {
		last := i == len(path)-1
		switch x := root.(type) {
		case map[string]any:
			key := strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
			switch {
			case !last:
				root = x[key]
			case v == nil:
				delete(x, key)
			default:
				x[key] = v
			}
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n >= len(x) || last && v == nil {
				return false
			}
			if last {
				x[n] = v
			}
			root = x[n]
		default:
			return false
		}
	}
	return true
}
