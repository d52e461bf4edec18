package nudge_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/report/nudge"
)

// nights records runs in a real ledger, and gives what is owed to Slack after each.
func nights(t *testing.T, cfg nudge.Config, list ...audittest.Night) (owed []string) {
	t.Helper()
	l, err := ledger.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	cfg.Ledger, cfg.Sinks = l, []string{"slack"}
	sink, err := nudge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range list {
		rec := n.Record(t, i+1)
		for j := range rec.Catalog.Controls {
			c := &rec.Catalog.Controls[j]
			c.Severity, c.Why, c.Fix, c.Rego = map[string]audit.Severity{"NET-001": "high", "STO-001": "critical"}[c.ID], "it leaks", map[string]string{"terraform": "fix"}, "package x"
		}
		attempt, err := l.Begin(t.Context(), rec.Run.Started)
		if err != nil {
			t.Fatal(err)
		}
		if rec.Run, err = l.Complete(t.Context(), attempt, rec); err != nil {
			t.Fatal(err)
		}
		for range 2 { // also after a crash
			if err := sink.Deliver(t.Context(), rec, audit.Delivery{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	due, err := l.Deliveries(t.Context(), ledger.DeliveryQuery{Sink: "slack"})
	if err != nil {
		t.Fatal(err)
	}
	for i := len(due) - 1; i >= 0; i-- {
		n := due[i].Announcement.Nudge
		owed = append(owed, fmt.Sprintf("day %d: %s %s %d of %d: %s, %s", int(due[i].Queued.Sub(audittest.Moment).Hours()/24), n.Owner, n.Control.ID, n.Times, len(n.Spells), n.Control.Why, n.Control.Fix["terraform"]))
		if n.Control.Rego != "" {
			t.Error("the queue holds the control's program")
		}
	}
	return owed
}

func failing(owner, what string, change ...func(*audit.Run)) audittest.Night {
	n := audittest.Night{Listed: "abc", Owner: owner, Not: map[string]audit.Outcome{}}
	for d := range strings.SplitSeq(what, ",") {
		if d != "" {
			n.Not[d] = audit.Fail
		}
	}
	if len(change) > 0 {
		n.Change = change[0]
	}
	return n
}

// TestAfter: the third time, once, the worst first, one an owner a week.
func TestAfter(t *testing.T) {
	t.Parallel()
	clean := failing("payments", "")
	net, both := failing("payments", "NET a"), failing("payments", "NET a,STO b")
	incomplete := func(r *audit.Run) { r.Status = audit.Incomplete }
	scoped := func(trigger audit.Trigger) func(*audit.Run) {
		return func(r *audit.Run) { r.Trigger, r.Scope = trigger, audit.Scope{Controls: []string{"NET-001"}} }
	}
	accepted := failing("payments", "NET a")
	accepted.Accept = "EX-1"
	const told = "day 5: payments NET-001 3 of 3: it leaks, fix"
	tests := map[string]struct {
		cfg    nudge.Config
		nights []audittest.Night
		want   []string
	}{
		"the third time":         {nudge.Config{}, []audittest.Night{net, clean, net, clean, net}, []string{told}},
		"twice":                  {nudge.Config{}, []audittest.Night{net, clean, net, clean}, nil},
		"once":                   {nudge.Config{}, []audittest.Night{net, clean, net, clean, net, clean, net, clean, net, clean, net, clean, net, clean, net}, []string{told}},
		"the worst, then a week": {nudge.Config{}, []audittest.Night{both, clean, both, clean, both, clean, both}, []string{"day 5: payments STO-001 3 of 3: it leaks, fix"}},
		"the other, after it": {
			nudge.Config{Every: 36 * time.Hour},
			[]audittest.Night{both, clean, both, clean, both, clean, both},
			[]string{"day 5: payments STO-001 3 of 3: it leaks, fix", "day 7: payments NET-001 4 of 4: it leaks, fix"},
		},
		"the second time, if so configured": {nudge.Config{Times: 2}, []audittest.Night{net, clean, net}, []string{"day 3: payments NET-001 2 of 2: it leaks, fix"}},
		"incomplete":                        {nudge.Config{}, []audittest.Night{net, clean, net, clean, failing("payments", "NET a", incomplete)}, nil},
		"a part, by hand":                   {nudge.Config{}, []audittest.Night{net, clean, net, clean, failing("payments", "NET a", scoped(audit.Manual))}, nil},
		"a part, judged again":              {nudge.Config{}, []audittest.Night{net, clean, net, clean, failing("payments", "NET a", scoped(audit.Reaudit))}, []string{told}},
		"accepted":                          {nudge.Config{}, []audittest.Night{net, clean, net, clean, accepted}, nil},
		"of nobody":                         {nudge.Config{}, []audittest.Night{failing("", "NET a"), failing("", ""), failing("", "NET a"), failing("", ""), failing("", "NET a")}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(nights(t, tt.cfg, tt.nights...), tt.want); diff != "" {
				t.Errorf("owed (-got +want):\n%s", diff)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []nudge.Config{{}, {Ledger: &ledger.Ledger{}}, {Ledger: &ledger.Ledger{}, Sinks: []string{"slack"}, Times: 1}, {Ledger: &ledger.Ledger{}, Sinks: []string{"slack"}, Every: -1}} {
		if _, err := nudge.New(cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
}
