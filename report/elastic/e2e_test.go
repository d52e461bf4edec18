//go:build e2e

package elastic_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/report/elastic"
)

// TestDeliver: the first delivery sets everything up, a run is there once, and
// again delivering it changes nothing.
func TestDeliver(t *testing.T) {
	t.Parallel()
	base, ns, d := server(t), namespace(t), newDesk(t)
	rec := d.record(t, wide(t, "deliver", 500))
	for range 3 {
		if err := d.deliver(t, elastic.Config{URLs: []string{base}, Namespace: ns}, rec); err != nil {
			t.Fatal(err)
		}
		byIndex, ids := places(t, base, stream(ns))
		if len(byIndex) != 1 || byIndex[indices(t, base, stream(ns))[0]] != 502 || ids != 502 { // a count and the run
			t.Fatalf("documents are in %v, with %d ids; want 502 in one index", byIndex, ids)
		}
	}
	got := search(t, base, stream(ns), term("crosscheck.kind", "run"))
	if len(got) != 1 || field(got[0], "crosscheck.total.fail") != "500" || field(got[0], "crosscheck.moved.opened") != "500" || field(got[0], "event.ingested") == "" {
		t.Errorf("the run's document: %v", got)
	}
	steps, err := sink(t, elastic.Config{URLs: []string{base}, Namespace: ns}).SetUp(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if s.State != elastic.Kept && s.State != elastic.Changed { // TestSetUpByHand changes one meanwhile
			t.Errorf("setup again: %s %s is %s", s.Kind, s.Name, s.State)
		}
	}
	simulated := call(t, base, "POST", "/_index_template/_simulate_index/"+stream(ns), nil)["template"].(object)
	if got := field(simulated, "settings.index.lifecycle.name"); got != "crosscheck" {
		t.Errorf("the data stream's ILM policy is %q", got)
	}
	policy := call(t, base, "GET", "/_ilm/policy/crosscheck", nil)
	if got := field(policy, "crosscheck.policy.phases.delete.min_age"); got != "400d" {
		t.Errorf("history is deleted after %s", got)
	}
}

// TestRolloverInTheMiddle: all of a run is in the index it began on, once, whatever
// a rollover let into the next, and whatever answer was lost with it.
func TestRolloverInTheMiddle(t *testing.T) {
	t.Parallel()
	const documents, total = 300, 302
	type fate struct {
		before, after func(t *testing.T, n int, roll func()) string
		tries         int
	}
	tests := map[string]fate{
		"between requests": {tries: 1, before: func(_ *testing.T, n int, roll func()) string {
			if n == 4 {
				roll()
			}
			return ""
		}},
		"answer lost, then a crash": {
			tries: 2,
			before: func(_ *testing.T, n int, roll func()) string {
				if n == 4 {
					roll()
				}
				return ""
			},
			after: func(_ *testing.T, n int, _ func()) string {
				if n == 4 { // what it created in the next index, nobody heard of
					return "lose"
				}
				return ""
			},
		},
		"twice": {
			tries: 3,
			before: func(_ *testing.T, n int, roll func()) string {
				if n == 3 || n == 9 {
					roll()
				}
				return ""
			},
			after: func(_ *testing.T, n int, _ func()) string {
				if n == 3 || n == 9 {
					return "lose"
				}
				return ""
			},
		},
		"after a crash": {
			tries: 2,
			after: func(_ *testing.T, n int, roll func()) string {
				if n == 5 {
					roll()
					return "lose"
				}
				return ""
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, ns, d := server(t), namespace(t), newDesk(t)
			rec := d.record(t, wide(t, name, documents))
			p := newBetween(t, base)
			roll := func() { call(t, base, "POST", "/"+stream(ns)+"/_rollover", nil) }
			if tt.before != nil {
				p.before = func(n int) string { return tt.before(t, n, roll) }
			}
			if tt.after != nil {
				p.after = func(n int) string { return tt.after(t, n, roll) }
			}
			for i := range tt.tries {
				err := d.deliver(t, small(p.URL, ns), rec)
				if last := i == tt.tries-1; last != (err == nil) {
					t.Fatalf("try %d: %v", i+1, err)
				}
			}
			list := indices(t, base, stream(ns))
			if byIndex, ids := places(t, base, stream(ns)); len(list) < 2 || len(byIndex) != 1 || byIndex[list[0]] != total || ids != total {
				t.Errorf("of %v, documents are in %v with %d ids; want %d in the first", list, byIndex, ids, total)
			}
			ingested := search(t, base, stream(ns), all(object{"exists": object{"field": "event.ingested"}}))
			if len(ingested) != total {
				t.Errorf("%d documents say when they arrived, want %d: the transform goes by it", len(ingested), total)
			}
		})
	}
}

// TestIndexLost: the index that a run began on takes no more documents.
func TestIndexLost(t *testing.T) {
	t.Parallel()
	const documents, total = 300, 302
	begin := func(t *testing.T) (base, ns string, d *desk, rec audit.Record, p *between, first string) {
		t.Helper()
		base, ns, d = server(t), namespace(t), newDesk(t)
		rec = d.record(t, wide(t, t.Name(), documents))
		p = newBetween(t, base)
		p.after = func(n int) string {
			if n == 5 {
				return "lose"
			}
			return ""
		}
		if err := d.deliver(t, small(p.URL, ns), rec); err == nil {
			t.Fatal("the answer was lost, and nobody said so")
		}
		first = indices(t, base, stream(ns))[0]
		call(t, base, "POST", "/"+stream(ns)+"/_rollover", nil)
		return base, ns, d, rec, p, first
	}
	t.Run("read-only after the rollover", func(t *testing.T) {
		t.Parallel()
		base, ns, d, rec, p, first := begin(t)
		call(t, base, "PUT", "/"+first+"/_block/write", nil)
		for range 2 {
			if err := d.deliver(t, small(p.URL, ns), rec); err != nil {
				t.Fatal(err)
			}
			if byIndex, ids := places(t, base, stream(ns)); len(byIndex) != 2 || byIndex[first]+byIndex[indices(t, base, stream(ns))[1]] != total || ids != total {
				t.Fatalf("documents are in %v with %d ids, want %d once each", byIndex, ids, total)
			}
		}
	})
	t.Run("read-only and no other", func(t *testing.T) {
		t.Parallel()
		base, ns, d, rec, p, _ := begin(t)
		for _, i := range indices(t, base, stream(ns)) {
			call(t, base, "PUT", "/"+i+"/_settings", object{"index.blocks.write": true})
		}
		if err := d.deliver(t, small(p.URL, ns), rec); err == nil || !strings.Contains(err.Error(), "remove the block") {
			t.Errorf("Deliver() = %v, want that the block be removed", err)
		}
		for _, i := range indices(t, base, stream(ns)) {
			call(t, base, "PUT", "/"+i+"/_settings", object{"index.blocks.write": nil})
		}
		if err := d.deliver(t, small(p.URL, ns), rec); err != nil {
			t.Fatal(err)
		}
		if byIndex, ids := places(t, base, stream(ns)); byIndex[indices(t, base, stream(ns))[0]]+byIndex[indices(t, base, stream(ns))[1]] != total || ids != total {
			t.Errorf("documents are in %v with %d ids, want %d once each", byIndex, ids, total)
		}
	})
	t.Run("deleted", func(t *testing.T) {
		t.Parallel()
		base, ns, d, rec, p, first := begin(t)
		call(t, base, "DELETE", "/"+first, nil)
		if err := d.deliver(t, small(p.URL, ns), rec); err != nil {
			t.Fatal(err)
		}
		if byIndex, ids := places(t, base, stream(ns)); len(byIndex) != 1 || ids != total {
			t.Errorf("documents are in %v with %d ids, want %d in one", byIndex, ids, total)
		}
	})
	t.Run("deleted while it is written to", func(t *testing.T) {
		t.Parallel()
		base, ns, d, rec, p, first := begin(t)
		p.before = func(n int) string {
			if n == 9 {
				call(t, base, "DELETE", "/"+first, nil)
			}
			return ""
		}
		if err := d.deliver(t, small(p.URL, ns), rec); err == nil || !strings.Contains(err.Error(), "was deleted while") {
			t.Fatalf("Deliver() = %v, want that the index was deleted", err)
		}
		if _, status := try(t, base, "GET", "/"+first, nil); status != http.StatusNotFound {
			t.Errorf("an index of the deleted one's name is left: GET answers %d", status)
		}
		if err := d.deliver(t, small(p.URL, ns), rec); err != nil {
			t.Fatal(err)
		}
		if byIndex, ids := places(t, base, stream(ns)); len(byIndex) != 1 || ids != total {
			t.Errorf("documents are in %v with %d ids, want %d in one", byIndex, ids, total)
		}
	})
}

// TestRejected: what the mapping refuses is kept with the reason, and the rest is delivered.
func TestRejected(t *testing.T) {
	t.Parallel()
	base, ns, d := server(t), namespace(t), newDesk(t)
	cfg := elastic.Config{URLs: []string{base}, Namespace: ns}
	if _, err := sink(t, cfg).SetUp(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	call(t, base, "DELETE", "/_data_stream/"+stream(ns), nil)
	call(t, base, "PUT", "/_index_template/odd-"+ns, object{
		"index_patterns": []string{stream(ns)}, "priority": 900, "data_stream": object{}, "composed_of": []string{"crosscheck@mappings", "crosscheck@settings"},
		"template": object{"mappings": object{"properties": object{"crosscheck": object{"properties": object{"owner": object{"type": "long"}}}}}},
	})
	t.Cleanup(func() {
		try(t, base, "DELETE", "/_data_stream/"+stream(ns), nil)
		call(t, base, "DELETE", "/_index_template/odd-"+ns, nil)
	})
	rec := d.night(t, 0, audittest.Night{Listed: "ab", Owner: "payments", Not: map[string]audit.Outcome{"STO a": audit.Fail, "NET b": audit.NotEvaluated}})
	for range 2 {
		if err := d.deliver(t, cfg, rec); err != nil {
			t.Fatal(err)
		}
	}
	owed := d.owed(t, rec.Run.ID)
	list, err := d.ledger.Rejections(t.Context(), owed.Seq, 10)
	if err != nil {
		t.Fatal(err)
	}
	if owed.Rejected != 2 || len(list) != 2 || !strings.Contains(list[0].Reason, "failed to parse field [crosscheck.owner] of type [long]") {
		t.Errorf("%d documents are rejected: %v", owed.Rejected, list)
	}
	if got := search(t, base, stream(ns), object{"match_all": object{}}); len(got) != 1 || field(got[0], "crosscheck.kind") != "run" {
		t.Errorf("the rest is not there: %v", got)
	}
}
