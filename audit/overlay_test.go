package audit_test

import (
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
)

// TestOneResourceAgain re-audits T/a after something has become of it; T/b
// changed too, and nobody asks for it.
func TestOneResourceAgain(t *testing.T) {
	t.Parallel()
	asked := audit.Unread{ID: home + "/T/a", Code: audit.AccessDenied, Operation: "list T"}
	tests := map[string]struct {
		change func(*changing)
		status audit.Status
		want   map[string]audit.Outcome
		fresh  audit.Fresh
		there  int64 // documents of T
		gaps   int
	}{
		"fixed":         {func(c *changing) { c.names["T/a"] = "pass a" }, audit.Complete, map[string]audit.Outcome{"a": audit.Pass}, audit.Fresh{Resources: []string{home + "/T/a"}}, 3, 0},
		"still failing": {func(*changing) {}, audit.Complete, map[string]audit.Outcome{"a": audit.Fail}, audit.Fresh{Resources: []string{home + "/T/a"}}, 3, 0},
		"another now":   {func(c *changing) { c.names["T/a"] = "fail as never before" }, audit.Complete, map[string]audit.Outcome{"a": audit.Fail}, audit.Fresh{Resources: []string{home + "/T/a"}}, 3, 0},
		"gone":          {func(c *changing) { delete(c.names, "T/a") }, audit.Complete, map[string]audit.Outcome{}, audit.Fresh{Gone: []string{home + "/T/a"}}, 2, 0},
		"denied":        {func(c *changing) { c.denied["T"] = true }, audit.Complete, map[string]audit.Outcome{"a": audit.NotEvaluated}, audit.Fresh{Unread: []audit.Unread{asked}}, 3, 0},
		"nothing said": {
			func(c *changing) { delete(c.names, "T/a"); c.silent = true }, audit.Complete,
			map[string]audit.Outcome{"a": audit.NotEvaluated},
			audit.Fresh{Unread: []audit.Unread{{ID: home + "/T/a", Code: audit.NotCollected, Operation: "no collector reads this type"}}},
			3, 0,
		},
		"unreachable": {
			func(c *changing) {
				c.names = nil
				c.err = &audit.SourceError{Code: audit.Unreachable, Operation: "dial", Err: io.ErrUnexpectedEOF}
			},
			audit.Incomplete,
			map[string]audit.Outcome{"a": audit.NotEvaluated},
			audit.Fresh{Unread: []audit.Unread{{ID: home + "/T/a", Code: audit.Unreachable, Operation: "dial"}}},
			3, 1,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := estate()
			a, first := audited(t, time.Hour, c)
			c.names["T/b"] = "pass b"
			tt.change(c)
			run := again(t, a, audit.Scope{Controls: []string{"C-001"}, Resources: []string{home + "/T/a"}}, audit.Need{Origin: home, Resources: []string{home + "/T/a"}})
			if diff := cmp.Diff(outcomes(t, a, run), tt.want); diff != "" || run.Status != tt.status || !run.AsOf.Equal(audittest.Moment.Add(time.Hour)) {
				t.Errorf("%s as of %s, outcomes (-got +want):\n%s", run.Status, run.AsOf, diff)
			}
			if got := slices.Collect(maps.Values(run.Relinked)); len(got) != len(tt.want) || len(got) == 1 && got[0] != "D1" {
				t.Errorf("relinked %v", run.Relinked)
			}
			s := run.Snapshots[0]
			tt.fresh.Over, tt.fresh.Identity, tt.fresh.Calls = first.Snapshots[0].Digest, "me", s.Fresh.Calls
			tt.fresh.Started, tt.fresh.Ended = run.Started, run.Started
			if diff := cmp.Diff(*s.Fresh, tt.fresh); diff != "" || !s.Ended.Equal(audittest.Moment) {
				t.Errorf("the rest is of %s; what was read afresh (-got +want):\n%s", s.Ended, diff)
			}
			if listed := s.Types[len(s.Types)-1]; len(s.Gaps) != tt.gaps || listed.Type != "T" || listed.Listed != tt.there || s.Documents[1].Listed != tt.there || s.Resources != tt.there+1 {
				t.Errorf("gaps %v, types %v, documents %v, %d resources", s.Gaps, s.Types, s.Documents, s.Resources)
			}
			for _, n := range run.Counts {
				if n.Listed != int64(len(tt.want)) || n.Type != "T" || len(n.Gaps) != tt.gaps {
					t.Errorf("the population of what was asked for is %+v", n)
				}
			}
			checkDocuments(t, a, s)
		})
	}
}

// checkDocuments checks that what a snapshot says of its documents is true.
func checkDocuments(t *testing.T, a *audit.Auditor, s audit.Snapshot) (ids []string) {
	t.Helper()
	types, bytes := map[string]int64{}, int64(0)
	err := audit.Documents(t.Context(), a.Vault, s.Digest, func(line []byte) error {
		r, err := audit.ParseLine(slices.Clone(line)) // refuses what is not canonical
		if len(ids) > 0 && ids[len(ids)-1] >= r.ID {
			t.Errorf("%s comes after %s", r.ID, ids[len(ids)-1])
		}
		ids = append(ids, r.ID)
		types[r.Type]++
		bytes += int64(len(line)) + 1
		return err
	})
	said := map[string]int64{}
	for _, d := range s.Documents {
		said[d.Type] = d.Listed
	}
	if diff := cmp.Diff(said, types); diff != "" || err != nil || int64(len(ids)) != s.Resources || bytes != s.Bytes {
		t.Errorf("%d documents of %d bytes, said are %d of %d, %v; by type (-said +there):\n%s", len(ids), bytes, s.Resources, s.Bytes, err, diff)
	}
	return ids
}

// TestWholeRunAfterwards judges by what it reads alone, and takes nothing over from a re-audit.
func TestWholeRunAfterwards(t *testing.T) {
	t.Parallel()
	c := estate()
	a, first := audited(t, time.Hour, c)
	c.names["T/a"] = "pass a"
	again(t, a, audit.Scope{Resources: []string{home + "/T/a"}}, audit.Need{Origin: home, Resources: []string{home + "/T/a"}})
	if last, _, err := a.Ledger.LastComplete(t.Context()); err != nil || last.ID != first.ID {
		t.Errorf("the last complete run is %s, %v, want %s", last.ID, err, first.ID)
	}
	c.names = map[string]string{"T/d": "fail d"}
	run, err := a.Run(t.Context(), audit.Order{Trigger: audit.Schedule})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(outcomes(t, a, run), map[string]audit.Outcome{"d": audit.Fail}); diff != "" || run.Snapshots[0].Fresh != nil {
		t.Errorf("read afresh: %v; outcomes (-got +want):\n%s", run.Snapshots[0].Fresh, diff)
	}
	if r := c.asked[len(c.asked)-1]; !r.Whole() {
		t.Errorf("a whole run asked for %v", r)
	}
}

// TestSameBytes holds a merged snapshot against that of a whole run of the same.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	c := estate()
	a, _ := audited(t, time.Hour, c)
	c.names["T/a"], c.names["T/new"] = "pass a", "fail new"
	delete(c.names, "T/b")
	resources := []string{home + "/T/a", home + "/T/b", home + "/T/new"}
	run := again(t, a, audit.Scope{Resources: resources}, audit.Need{Origin: home, Resources: resources})
	whole, err := a.Run(t.Context(), audit.Order{Trigger: audit.Manual})
	if err != nil {
		t.Fatal(err)
	}
	x, y := run.Snapshots[0], whole.Snapshots[0]
	x.Started, x.Ended, x.Fresh = y.Started, y.Ended, nil
	if diff := cmp.Diff(x, y); diff != "" {
		t.Errorf("laid over, and read whole (-over +whole):\n%s", diff)
	}
}

func TestTypesAgain(t *testing.T) {
	t.Parallel()
	const never = "Never"
	tests := map[string]struct {
		change  func(*changing)
		need    audit.Need
		asked   []string
		ids     []string
		gaps    []string
		notices []string
	}{
		"judged": {
			func(c *changing) { delete(c.names, "T/a"); c.names["T/n"] = "fail n"; c.names["L/y"] = "y" },
			audit.Need{Types: []string{"T", never}},
			[]string{never, "T"},
			[]string{"L/x", "T/b", "T/c", "T/n"},
			nil, nil,
		},
		"judged, and denied": {
			func(c *changing) { c.denied["T"] = true }, audit.Need{Types: []string{"T"}}, []string{"T"}, []string{"L/x"}, []string{"T AccessDenied list T"}, nil,
		},
		"looked up": {
			func(c *changing) { c.names = map[string]string{"L/y": "y"} }, audit.Need{Lookups: []string{"L"}}, []string{"L"}, []string{"L/y", "T/a", "T/b", "T/c"}, nil, nil,
		},
		"looked up, and denied": {
			func(c *changing) { c.denied["L"] = true },
			audit.Need{Types: []string{"T"}, Lookups: []string{"L"}},
			[]string{"L", "T"},
			[]string{"L/x", "T/a", "T/b", "T/c"},
			[]string{"L AccessDenied list L"},
			nil,
		},
		"looked up, and dear": {
			func(*changing) {},
			audit.Need{Types: []string{"T"}, Lookups: []string{"Dear"}},
			[]string{"T"},
			[]string{"L/x", "T/a", "T/b", "T/c"},
			nil,
			[]string{"not_read_again " + home + "/Dear"},
		},
		"nobody knows what is looked up": {
			func(*changing) {},
			audit.Need{Types: []string{"T"}, Lookups: []string{"*"}},
			[]string{"T"},
			[]string{"L/x", "T/a", "T/b", "T/c"},
			nil,
			[]string{"not_read_again " + home + "/*"},
		},
		"everything": {
			func(c *changing) { c.names = map[string]string{"T/z": "pass z"} }, audit.Need{}, nil, []string{"T/z"}, nil, nil,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := estate()
			a, _ := audited(t, time.Hour, c)
			tt.change(c)
			tt.need.Origin = home
			run := again(t, a, audit.Scope{Controls: []string{"C-001"}}, tt.need)
			if got := c.asked[len(c.asked)-1]; !slices.Equal(got.Types, tt.asked) || len(got.Resources) > 0 {
				t.Errorf("asked for %v", got)
			}
			var ids []string
			for _, id := range checkDocuments(t, a, run.Snapshots[0]) {
				ids = append(ids, strings.TrimPrefix(id, home+"/"))
			}
			var gaps, notices []string
			for _, g := range run.Snapshots[0].Gaps {
				gaps = append(gaps, g.Type+" "+g.Code.Reason(g.Operation))
			}
			for _, n := range run.Notices {
				notices = append(notices, n.Code+" "+n.Subject)
			}
			if diff := cmp.Diff([][]string{ids, gaps, notices}, [][]string{tt.ids, tt.gaps, tt.notices}); diff != "" {
				t.Errorf("documents, gaps and notices (-got +want):\n%s", diff)
			}
		})
	}
}

// TestTooOld lays over what is more than a day old: it proves no absence, but
// what was read afresh is as good as ever.
func TestTooOld(t *testing.T) {
	t.Parallel()
	const day = 25 * time.Hour
	tests := map[string]struct {
		scope audit.Scope
		need  audit.Need
		gaps  []string // of the origin that was read, but for T of C-001, which applies to T and Never
		count int      // gaps of the population
	}{
		"one resource":    {audit.Scope{Resources: []string{home + "/T/a"}}, audit.Need{Resources: []string{home + "/T/a"}}, []string{"*"}, 0},
		"a type":          {audit.Scope{Controls: []string{"C-001"}}, audit.Need{Types: []string{"T"}}, []string{"Dear", "L", "Never"}, 0},
		"with look-ups":   {audit.Scope{Controls: []string{"C-001"}}, audit.Need{Types: []string{"T"}, Lookups: []string{"L", "Dear"}}, []string{"Dear", "Never"}, 0},
		"of nobody knows": {audit.Scope{Controls: []string{"C-001"}}, audit.Need{Types: []string{"T"}, Lookups: []string{"*"}}, []string{"*"}, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, other := estate(), estate()
			other.origin = "aws/2/eu"
			a, _ := audited(t, day, c, other)
			tt.need.Origin = home
			run := again(t, a, tt.scope, tt.need)
			var gaps []string
			for _, g := range run.Snapshots[0].Gaps {
				if g.Code == audit.Stale {
					gaps = append(gaps, g.Type)
				}
			}
			if diff := cmp.Diff(gaps, tt.gaps); diff != "" {
				t.Errorf("too old (-got +want):\n%s", diff)
			}
			if g := run.Snapshots[1].Gaps; len(g) != 1 || g[0].Code != audit.Stale || g[0].Type != "*" || len(other.asked) != 1 {
				t.Errorf("gaps %v of an origin that was asked %d times", g, len(other.asked))
			}
			for _, n := range run.Counts {
				if n.Origin == home && n.Type == "T" && len(n.Gaps) != tt.count {
					t.Errorf("gaps %v of the population", n.Gaps)
				}
			}
			if run.Status != audit.Complete {
				t.Errorf("status %s", run.Status)
			}
		})
	}
}

func TestOverlayRefuses(t *testing.T) {
	t.Parallel()
	a, _ := audited(t, time.Hour, estate())
	orders := map[string]audit.Order{
		"everything":        {Overlay: true},
		"an unknown origin": {Overlay: true, Scope: audit.Scope{Controls: []string{"C-001"}}, Needs: []audit.Need{{Origin: "aws/9/eu"}}},
	}
	for name, o := range orders {
		if _, err := a.Run(t.Context(), o); err == nil {
			t.Errorf("%s: was run", name)
		}
	}
	fresh := auditor(t, estate())
	fresh.Ledger = &book{}
	if _, err := fresh.Run(t.Context(), audit.Order{Overlay: true, Scope: audit.Scope{Controls: []string{"C-001"}}}); err == nil || !strings.Contains(err.Error(), "audit` first") {
		t.Errorf("over nothing: %v", err)
	}
}

// TestRunIDOfOverlay: the same again is the same run, and what was proven gone is part of what it was given.
func TestRunIDOfOverlay(t *testing.T) {
	t.Parallel()
	c := estate()
	a, _ := audited(t, time.Hour, c)
	need := audit.Need{Origin: home, Resources: []string{home + "/T/a"}}
	scope := audit.Scope{Resources: []string{home + "/T/a"}}
	x, y := again(t, a, scope, need), again(t, a, scope, need)
	if id, err := audit.RunID(y); x.ID != y.ID || err != nil || id != y.ID {
		t.Errorf("ids %s, %s and %s, %v", x.ID, y.ID, id, err)
	}
	s := y.Snapshots[0]
	f := *s.Fresh
	f.Gone = []string{home + "/T/nothing"}
	s.Fresh = &f
	y.Snapshots = []audit.Snapshot{s}
	if id, err := audit.RunID(y); id == x.ID || err != nil {
		t.Errorf("a run that proves more has the same id, %v", err)
	}
}
