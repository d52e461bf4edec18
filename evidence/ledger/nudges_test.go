package ledger_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

// fails are decisions that failed: "NET a".
func fails(decisions ...string) map[string]audit.Outcome {
	out := map[string]audit.Outcome{}
	for _, d := range decisions {
		out[d] = audit.Fail
	}
	return out
}

// TestMet: an owner meets a control in each run in which it fails anew on
// something of theirs; what is accepted, unknown or simulated does not count.
func TestMet(t *testing.T) {
	t.Parallel()
	const owner = "payments"
	clean := audittest.Night{Listed: "abc", Owner: owner}
	night := func(decisions ...string) audittest.Night {
		n := clean
		n.Not = fails(decisions...)
		return n
	}
	change := func(n audittest.Night, f func(*audittest.Night)) audittest.Night { f(&n); return n }
	unsure := change(clean, func(n *audittest.Night) { n.Not = map[string]audit.Outcome{"NET a": audit.NotEvaluated} })
	tests := map[string]struct {
		nights []audittest.Night
		want   []string // of the last run
	}{
		"the same resource, three times": {[]audittest.Night{night("NET a"), clean, night("NET a"), clean, night("NET a")}, []string{"payments NET-001 3"}},
		"three resources, in three runs": {[]audittest.Night{night("NET a"), night("NET a", "NET b"), night("NET a", "NET b", "NET c")}, []string{"payments NET-001 3"}},
		"three resources in one run":     {[]audittest.Night{night("NET a", "NET b", "NET c")}, nil},
		"twice":                          {[]audittest.Night{night("NET a"), clean, night("NET a")}, nil},
		"still open":                     {[]audittest.Night{night("NET a"), clean, night("NET a"), clean, night("NET a"), night("NET a")}, nil},
		"three times, of two controls":   {[]audittest.Night{night("NET a"), clean, night("STO a"), clean, night("NET a")}, nil},
		"two controls":                   {[]audittest.Night{night("NET a", "STO b"), clean, night("NET a", "STO b"), clean, night("NET a", "STO b")}, []string{"payments NET-001 3", "payments STO-001 3"}},
		"never evaluated before":         {[]audittest.Night{unsure, clean, unsure, clean, night("NET a")}, nil},
		"not evaluated, then failed":     {[]audittest.Night{night("NET a"), clean, night("NET a"), clean, unsure, night("NET a")}, []string{"payments NET-001 3"}},
		"accepted now":                   {[]audittest.Night{night("NET a"), clean, night("NET a"), clean, change(night("NET a"), func(n *audittest.Night) { n.Accept = "EX-1" })}, nil},
		"accepted then":                  {[]audittest.Night{change(night("NET a"), func(n *audittest.Night) { n.Accept = "EX-1" }), clean, night("NET a"), clean, night("NET a")}, nil},
		"nobody's":                       {[]audittest.Night{change(night("NET a"), func(n *audittest.Night) { n.Owner = "" }), clean, change(night("NET a"), func(n *audittest.Night) { n.Owner = "" }), clean, change(night("NET a"), func(n *audittest.Night) { n.Owner = "" })}, nil},
		"simulated":                      {[]audittest.Night{night("NET a"), clean, night("NET a"), clean, change(night("NET a"), func(n *audittest.Night) { n.Change = func(r *audit.Run) { r.Simulated = true } })}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
			var run audit.Run
			for i, n := range tt.nights {
				run = record(t, l, n.Record(t, i+1))
			}
			check := func(when string) {
				t.Helper()
				var got []string
				list, err := l.Met(t.Context(), run, 3, time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range list {
					got = append(got, fmt.Sprint(n.Owner, " ", n.Control.ID, " ", n.Times))
				}
				if diff := cmp.Diff(got, tt.want); diff != "" {
					t.Errorf("Met()%s (-got +want):\n%s", when, diff)
				}
			}
			check("")
			record(t, l, clean.Record(t, len(tt.nights)+1))
			check(", asked after another run")
		})
	}
	if _, err := open(t, filepath.Join(t.TempDir(), "ledger.db")).Met(t.Context(), audit.Run{ID: "none"}, 3, 0); err == nil {
		t.Error("no error for a run that is not on record")
	}
}

// TestMetMuted: who was told is not found again, about the control ever, about others for a while.
func TestMetMuted(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	night := func(day int) audit.Run {
		n := audittest.Night{Listed: "a", Owner: "payments"}
		if day%2 == 1 {
			n.Not = fails("NET a", "STO a")
		}
		return record(t, l, n.Record(t, day))
	}
	var got []string
	for day := 1; day <= 9; day++ {
		run := night(day)
		list, err := l.Met(t.Context(), run, 3, 3*24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range list {
			got = append(got, fmt.Sprint(day, " ", n.Control.ID))
		}
		if day == 5 {
			if ok, err := l.Nudge(t.Context(), audit.Announcement{Kind: audit.OfNudge, Key: "k", At: run.Ended, Nudge: &list[0]}, time.Hour, []string{"slack"}); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
	}
	if diff := cmp.Diff(got, []string{"5 NET-001", "5 STO-001", "9 STO-001"}); diff != "" {
		t.Errorf("Met() (-got +want):\n%s", diff)
	}
}

// TestMetBefore: the history that an owner is told is theirs, as of the run.
func TestMetBefore(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	var runs []audit.Run
	for i, n := range []audittest.Night{
		{Listed: "ab", Owner: "payments", Not: fails("NET a", "NET b", "STO a")},
		{Listed: "b", Owner: "payments"},
		{Listed: "ab", Owner: "payments", Not: fails("NET b")},
		{Listed: "ab", Owner: "payments"},
	} {
		runs = append(runs, record(t, l, n.Record(t, i+1)))
	}
	list, err := l.MetBefore(t.Context(), runs[2], "payments", "NET-001")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range list {
		day := func(r audit.RunAt) int {
			return 1 + slices.IndexFunc(runs, func(x audit.Run) bool { return x.ID == r.Run })
		}
		text := fmt.Sprint(s.Name, " failed ", day(*s.Failed))
		if s.Closed != nil {
			text += fmt.Sprint(" ", s.How, " ", day(*s.Closed))
		}
		got = append(got, text)
	}
	if diff := cmp.Diff(got, []string{"b failed 3", "a failed 1 gone 2", "b failed 1 fixed 2"}); diff != "" {
		t.Errorf("MetBefore() (-got +want):\n%s", diff)
	}
	if list, err := l.MetBefore(t.Context(), runs[2], "platform", "NET-001"); len(list) != 0 || err != nil {
		t.Errorf("of another owner: %v, %v", list, err)
	}
}

// TestNudge: once for each owner and control, at most one an owner in a while,
// and noted with what is owed or not at all.
func TestNudge(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	week := 7 * 24 * time.Hour
	at := audittest.Moment
	nudge := func(owner, control string, at time.Time) bool {
		t.Helper()
		queued, err := l.Nudge(t.Context(), audit.Announcement{Kind: audit.OfNudge, Key: owner + " " + control, At: at, Nudge: &audit.Nudge{Owner: owner, Control: audit.Control{ID: control}, Times: 3}}, week, []string{"slack"})
		if err != nil {
			t.Fatal(err)
		}
		return queued
	}
	for i, tt := range []struct {
		owner, control string
		after          time.Duration
		want           bool
	}{
		{"payments", "NET-001", 0, true},
		{"payments", "NET-001", 0, false}, // by a process that was killed and began again
		{"payments", "STO-001", time.Hour, false},
		{"platform", "STO-001", time.Hour, true},
		{"payments", "STO-001", week, true},
		{"payments", "NET-001", 10 * week, false},
	} {
		if got := nudge(tt.owner, tt.control, at.Add(tt.after)); got != tt.want {
			t.Errorf("nudge %d: queued %t, want %t", i, got, tt.want)
		}
	}
	list := due(t, l, "slack", at.Add(100*week))
	if n, err := l.Nudges(t.Context()); len(list) != 3 || n != 3 || err != nil {
		t.Errorf("%d owed, %d noted, %v", len(list), n, err)
	}
	if _, err := l.Nudge(t.Context(), audit.Announcement{Kind: audit.OfNudge, Key: "x", At: at, Nudge: &audit.Nudge{Owner: "x"}}, week, nil); err == nil {
		t.Error("a nudge that nobody is told is noted")
	}
}

// TestRecurrences: which share of what failed came back, and whether it did after the owner was told.
func TestRecurrences(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	clean := audittest.Night{Listed: "abc", Owner: "payments"}
	for i, not := range []string{"NET a,NET b", "", "NET a,STO a", "", "NET a", "", "NET b"} {
		n := clean
		if not != "" {
			n.Not = fails(strings.Split(not, ",")...)
		}
		run := record(t, l, n.Record(t, i+1))
		if i == 4 {
			if ok, err := l.Nudge(t.Context(), audit.Announcement{Kind: audit.OfNudge, Key: "k", At: run.Ended, Nudge: &audit.Nudge{Owner: "payments", Control: audit.Control{ID: "NET-001"}, Times: 3}}, time.Hour, []string{"slack"}); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
	}
	got, err := l.Recurrences(t.Context())
	want := []ledger.Recurrence{
		{Owner: "payments", Control: "NET-001", Spells: 5, Again: 3, Nudged: audittest.Moment.AddDate(0, 0, 5).Add(time.Minute), Since: 1},
		{Owner: "payments", Control: "STO-001", Spells: 1},
	}
	if diff := cmp.Diff(got, want); diff != "" || err != nil {
		t.Errorf("Recurrences(): %v (-got +want):\n%s", err, diff)
	}
}
