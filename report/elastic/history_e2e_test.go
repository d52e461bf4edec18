//go:build e2e

package elastic_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/report/elastic"
)

// story is a bucket's: unjudged, failing, accepted, repaired; and another's, that went away.
func story(t *testing.T, d *desk, cfg elastic.Config) []audit.Record {
	t.Helper()
	fails := map[string]audit.Outcome{"STO a": audit.Fail, "STO b": audit.Fail}
	var out []audit.Record
	for day, n := range []audittest.Night{
		{Listed: "abc", Owner: "payments", Not: map[string]audit.Outcome{"STO a": audit.NotEvaluated}},
		{Listed: "abc", Owner: "payments", Not: fails},
		{Listed: "abc", Owner: "payments", Not: fails, Accept: "E-1"},
		{Listed: "ac", Owner: "payments", Not: map[string]audit.Outcome{"NET c": audit.Excluded}, Change: func(r *audit.Run) {
			r.Trigger, r.Repair = audit.Reaudit, "repair-1"
		}},
	} {
		rec := n.Record(t, day)
		if n.Accept != "" {
			var err error
			if rec.Run.Exceptions, err = rec.Vault.Put(t.Context(), strings.NewReader(accepted)); err != nil {
				t.Fatal(err)
			}
		}
		rec.Catalog.Frameworks = []audit.Framework{{
			ID: "soc2-2017", Title: "SOC 2", Requirements: []audit.Requirement{{ID: "CC6.1", Evidence: []audit.Evidence{{Control: "STO-001"}}}},
		}}
		rec = d.record(t, rec)
		if err := d.deliver(t, cfg, rec); err != nil {
			t.Fatal(err)
		}
		out = append(out, rec)
	}
	return out
}

// TestHistory: when did this first fail, when was it fixed, by which repair, under which exception?
func TestHistory(t *testing.T) {
	t.Parallel()
	base, ns, d := server(t), namespace(t), newDesk(t)
	cfg := elastic.Config{URLs: []string{base}, Namespace: ns}
	runs := story(t, d, cfg)
	about := func(bucket string, more ...object) object {
		return all(append(more, term("resource.id", audittest.Bucket(bucket)), term("rule.id", "STO-001"))...)
	}
	show := func(query object, fields ...string) (out []string) {
		for _, o := range search(t, base, stream(ns), query) {
			var row []string
			for _, f := range fields {
				row = append(row, field(o, f))
			}
			out = append(out, strings.Join(row, " "))
		}
		return out
	}
	moment := func(day int) string { return audit.Stamp(audittest.Moment.AddDate(0, 0, day)) }
	tests := map[string]struct{ got, want []string }{
		"its whole history": {
			show(about("a"), "@timestamp", "crosscheck.kind", "result.evaluation", "crosscheck.open", "crosscheck.exception.id"),
			[]string{
				moment(0) + " decision unknown true ", moment(1) + " decision failed true ", moment(2) + " decision failed true E-1",
				moment(3) + " closing passed false ",
			},
		},
		"when did it first fail, when was it fixed, by which repair": {
			show(about("a", term("crosscheck.closed.how", "fixed")), "crosscheck.opened.as_of", "crosscheck.first_failed.as_of", "crosscheck.first_failed.run", "crosscheck.closed.as_of", "crosscheck.closed.run", "crosscheck.repair.id", "crosscheck.run.trigger", "event.outcome"),
			[]string{strings.Join([]string{moment(0), moment(1), runs[1].Run.ID, moment(3), runs[3].Run.ID, "repair-1", "reaudit", "success"}, " ")},
		},
		"under which exception, approved by whom, until when": {
			show(all(term("crosscheck.excepted", true), object{"range": object{"crosscheck.exception.expires": object{"lt": "2026-12-31"}}}), "resource.name", "crosscheck.exception.id", "crosscheck.exception.approved_by", "crosscheck.exception.expires", "crosscheck.exception.ticket"),
			[]string{"a E-1 Sam 2026-12-24T00:00:00Z T-1", "b E-1 Sam 2026-12-24T00:00:00Z T-1"},
		},
		"what is gone": {
			show(about("b", term("crosscheck.closed.how", "gone")), "result.evaluation", "crosscheck.first_failed.as_of"),
			[]string{"not_applicable " + moment(1)},
		},
		"by requirement and owner": {
			show(all(term("crosscheck.requirement", "soc2-2017 CC6.1"), term("crosscheck.owner", "payments"), term("crosscheck.first_failed.as_of", moment(1)), term("@timestamp", moment(1))), "resource.name"),
			[]string{"a", "b"},
		},
		"what was excluded": {
			show(term("crosscheck.outcome", "excluded"), "resource.name", "result.evaluation"), []string{"c not_applicable"},
		},
	}
	for name, tt := range tests {
		// Documents of one moment are in the order of their ids, which says nothing.
		if diff := cmp.Diff(sorted(tt.got), sorted(tt.want)); diff != "" {
			t.Errorf("%s (-got +want):\n%s", name, diff)
		}
	}
}

// TestRepairs: what is announced of a repair is searched by its id, beside what it closed.
func TestRepairs(t *testing.T) {
	t.Parallel()
	base, ns, d := server(t), namespace(t), newDesk(t)
	s := sink(t, elastic.Config{URLs: []string{base}, Namespace: ns})
	for i, state := range []audit.RepairState{audit.RepairRequested, audit.RepairVerified} {
		r := audit.Repair{
			ID: "repair-1", Runbook: "s3-block-public-access", Control: "STO-001", Resource: audittest.Bucket("a"), Name: "a", Type: audittest.Type,
			Origin: audittest.Origin, Decision: "D1", State: state, Requested: &audit.RepairStep{At: audittest.Moment, By: "jo"},
		}
		if state == audit.RepairVerified {
			r.Decided = &audit.RepairStep{At: audittest.Moment, By: "sam"}
			r.Verified = &audit.RepairStep{At: audittest.Moment, By: "crosscheck", Decision: "D2", Outcome: audit.Pass}
		}
		a := audit.Announcement{Kind: audit.OfRepair, Key: "repair-1 " + string(state), At: audittest.Moment.Add(time.Duration(i) * time.Minute), Repair: &r}
		if err := d.ledger.Announce(t.Context(), a, []string{"elasticsearch"}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.Announce(t.Context(), a, d.owed(t, a.Key)); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := search(t, base, stream(ns), term("crosscheck.repair.id", "repair-1"))
	if len(got) != 2 || field(got[0], "crosscheck.repair.state") != "requested" || field(got[1], "crosscheck.repair.decided.by") != "sam" ||
		field(got[1], "crosscheck.repair.verified.decision") != "D2" || field(got[1], "crosscheck.repair.decision") != "D1" {
		t.Errorf("of the repair there is %v", got)
	}
}

// TestCurrentState: the view has the latest of each control on each resource, and
// a run that is missed does not empty it. The transform's configuration is
// parsed by a real parser; what it would do is reckoned by Shim.java, its
// retention is not.
func TestCurrentState(t *testing.T) { //nolint:paralleltest // the shim reckons over all there is
	base, ns, d := server(t), namespace(t), newDesk(t)
	cfg := elastic.Config{URLs: []string{base}, Namespace: ns}
	view := func() map[string]string {
		t.Helper()
		call(t, base, "POST", "/"+stream(ns)+"/_refresh", nil)
		call(t, base, "POST", "/_transform/crosscheck.misconfiguration_latest-v2/_schedule_now", nil)
		out := map[string]string{}
		for _, o := range search(t, base, "security_solution-crosscheck.misconfiguration_latest", term("data_stream.namespace", ns)) {
			out[field(o, "rule.id")+" "+field(o, "resource.name")] = field(o, "result.evaluation") + " " + field(o, "crosscheck.closed.how")
		}
		return out
	}
	deliver := func(day int, n audittest.Night) {
		t.Helper()
		if err := d.deliver(t, cfg, d.night(t, day, n)); err != nil {
			t.Fatal(err)
		}
	}
	deliver(0, audittest.Night{Listed: "abc", Not: map[string]audit.Outcome{"STO a": audit.Fail, "STO b": audit.Fail, "NET c": audit.NotEvaluated}})
	if diff := cmp.Diff(view(), map[string]string{"STO-001 a": "failed ", "STO-001 b": "failed ", "NET-001 c": "unknown "}); diff != "" {
		t.Fatalf("after the first run (-got +want):\n%s", diff)
	}
	// A simulated run, of another day, is no state of anything; and a night is missed.
	deliver(9, audittest.Night{Listed: "abc", Not: map[string]audit.Outcome{"STO c": audit.Fail}, Change: func(r *audit.Run) { r.Simulated = true }})
	if diff := cmp.Diff(view(), map[string]string{"STO-001 a": "failed ", "STO-001 b": "failed ", "NET-001 c": "unknown "}); diff != "" {
		t.Errorf("after a missed run (-got +want):\n%s", diff)
	}
	deliver(2, audittest.Night{Listed: "bc", Not: map[string]audit.Outcome{"NET c": audit.Fail}, Gap: audit.AccessDenied})
	if diff := cmp.Diff(view(), map[string]string{"STO-001 a": "unknown ", "STO-001 b": "passed fixed", "NET-001 c": "failed "}); diff != "" {
		t.Errorf("when one cannot be told any more (-got +want):\n%s", diff)
	}
	deliver(3, audittest.Night{Listed: "bc"})
	if diff := cmp.Diff(view(), map[string]string{"STO-001 a": "not_applicable gone", "STO-001 b": "passed fixed", "NET-001 c": "passed fixed"}); diff != "" {
		t.Errorf("after all is closed (-got +want):\n%s", diff)
	}
}

// TestSetUpByHand: what an administrator changed is kept and said, until forced.
// The policy is kept by Shim.java, which parses it by Elasticsearch's own parser.
func TestSetUpByHand(t *testing.T) { //nolint:paralleltest // it changes what the others are set up by
	base, ns := server(t), namespace(t)
	s := sink(t, elastic.Config{URLs: []string{base}, Namespace: ns})
	state := func(force bool) (out elastic.State) {
		t.Helper()
		steps, err := s.SetUp(t.Context(), force)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range steps {
			if step.Kind == "ILM policy" {
				out = step.State
			}
		}
		return out
	}
	state(true) // whoever set it up before
	policy := call(t, base, "GET", "/_ilm/policy/crosscheck", nil)["crosscheck"].(object)["policy"].(object)
	policy["phases"].(object)["delete"].(object)["min_age"] = "800d"
	call(t, base, "PUT", "/_ilm/policy/crosscheck", object{"policy": policy})
	if got := state(false); got != elastic.Changed {
		t.Errorf("a policy changed by hand is %q, want %q", got, elastic.Changed)
	}
	got := call(t, base, "GET", "/_ilm/policy/crosscheck", nil)
	if got := field(got, "crosscheck.policy.phases.delete.min_age"); got != "800d" {
		t.Errorf("the administrator's 800d are %s now", got)
	}
	if got := state(true); got != elastic.Updated {
		t.Errorf("forced, the policy is %q", got)
	}
	if got := state(false); got != elastic.Kept {
		t.Errorf("after forcing, the policy is %q", got)
	}
	// More days are asked for: what nobody changed by hand is brought up to date.
	s = sink(t, elastic.Config{URLs: []string{base}, Namespace: ns, Retention: 500})
	if got := state(false); got != elastic.Updated {
		t.Errorf("with another retention, the policy is %q", got)
	}
	s = sink(t, elastic.Config{URLs: []string{base}, Namespace: ns})
	if got := state(false); got != elastic.Updated {
		t.Errorf("with the first retention again, the policy is %q", got)
	}
}

// TestManual: where an administrator sets up, the sink only looks, and what
// `crosscheck elastic setup --print` prints is all that is needed.
func TestManual(t *testing.T) { //nolint:paralleltest // it changes what the others are set up by
	base, ns, d := server(t), namespace(t), newDesk(t)
	cfg := elastic.Config{URLs: []string{base}, Namespace: ns, Manual: true}
	rec := d.record(t, wide(t, "manual", 10))
	if err := d.deliver(t, cfg, rec); err == nil || !strings.Contains(err.Error(), "crosscheck elastic setup --print") {
		t.Errorf("Deliver() = %v, want how it is set up", err)
	}
	for _, r := range sink(t, cfg).Requests(false) {
		var body any
		if len(r.Body) > 0 {
			body = r.Body
		}
		// Others of these tests have set up what is not this namespace's alone.
		if out, status := try(t, base, r.Method, r.Path, body); status > 299 && r.Kind != "index" && r.Kind != "transform" {
			t.Errorf("%s %s: %d %v", r.Method, r.Path, status, out)
		}
	}
	if err := d.deliver(t, cfg, rec); err != nil {
		t.Fatal(err)
	}
	if _, ids := places(t, base, stream(ns)); ids != 12 {
		t.Errorf("%d documents are there, want 12", ids)
	}
}
