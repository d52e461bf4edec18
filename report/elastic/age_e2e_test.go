//go:build e2e

package elastic_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/report/elastic"
)

// TestAge: what the dashboards show of the age of the last complete run is
// reckoned by a runtime field of the data view, which Elasticsearch compiles.
func TestAge(t *testing.T) {
	t.Parallel()
	base, ns, d := server(t), namespace(t), newDesk(t)
	for day, status := range []audit.Status{audit.Complete, audit.Incomplete} {
		rec := d.night(t, day, audittest.Night{Listed: "a", Change: func(r *audit.Run) { r.Status = status }})
		if err := d.deliver(t, elastic.Config{URLs: []string{base}, Namespace: ns}, rec); err != nil {
			t.Fatal(err)
		}
	}
	var view struct{ RuntimeFieldMap string }
	if err := json.Unmarshal(kibana(t)["index-pattern crosscheck-history"].Attributes, &view); err != nil {
		t.Fatal(err)
	}
	call(t, base, "POST", "/"+stream(ns)+"/_refresh", nil)
	answer := call(t, base, "POST", "/"+stream(ns)+"/_search", object{
		"size": 0, "runtime_mappings": json.RawMessage(view.RuntimeFieldMap), "aggs": object{"age": object{"min": object{"field": "age"}}},
		"query": all(term("crosscheck.kind", "run"), term("crosscheck.run.status", "complete"), term("crosscheck.run.whole", true), term("crosscheck.run.simulated", false)),
	})
	milliseconds := answer["aggregations"].(object)["age"].(object)["value"].(float64)
	age := time.Duration(milliseconds * float64(time.Millisecond))
	if want := time.Since(audittest.Moment); (want - age).Abs() > time.Minute {
		t.Errorf("the last complete run is %s old, want %s", age, want)
	}
}

// TestSearchesFind: every field that is searched by the saved searches is searched
// for real: a field that is not indexed would find nothing.
func TestSearchesFind(t *testing.T) {
	t.Parallel()
	base, ns, d := server(t), namespace(t), newDesk(t)
	story(t, d, elastic.Config{URLs: []string{base}, Namespace: ns})
	for _, field := range []string{
		"crosscheck.open", "crosscheck.requirement", "crosscheck.owner", "crosscheck.opened.as_of", "crosscheck.outcome", "crosscheck.exception.expires",
		"crosscheck.closed.how", "crosscheck.repair.id", "result.evaluation", "crosscheck.run.status", "crosscheck.moved.fixed", "crosscheck.total.fail",
	} {
		if got := search(t, base, stream(ns), object{"exists": object{"field": field}}); len(got) == 0 {
			t.Errorf("no document is found by %s", field)
		}
	}
}
