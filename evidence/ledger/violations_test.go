package ledger_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

func spells(t testing.TB, l *ledger.Ledger, state audit.SpellState) []audit.Spell {
	t.Helper()
	page, err := l.Violations(t.Context(), audit.SpellQuery{State: state, Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return page.Spells
}

// threeDays is a ledger with spells of two owners, some closed.
func threeDays(t *testing.T) *ledger.Ledger {
	t.Helper()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	fail := func(decisions ...string) map[string]audit.Outcome {
		out := map[string]audit.Outcome{}
		for _, d := range decisions {
			out[d] = audit.Fail
		}
		return out
	}
	for i, n := range []audittest.Night{
		{Listed: "abc", Not: fail("NET a", "NET b", "STO a", "STO c"), Owner: "web"},
		{Listed: "abc", Not: fail("NET b", "STO a"), Owner: "web"},
		{Listed: "abc", Not: fail("NET a", "NET b", "STO a"), Owner: "payments"},
	} {
		record(t, l, n.Record(t, i+1))
	}
	return l
}

func TestViolations(t *testing.T) {
	t.Parallel()
	l := threeDays(t)
	day := func(n int) time.Time { return audittest.Moment.AddDate(0, 0, n) }
	tests := map[string]struct {
		query audit.SpellQuery
		want  []string
	}{
		"open":         {audit.SpellQuery{}, []string{"NET-001 a 3", "NET-001 b 1", "STO-001 a 1"}},
		"closed":       {audit.SpellQuery{State: audit.ClosedSpells}, []string{"NET-001 a 1", "STO-001 c 1"}},
		"all":          {audit.SpellQuery{State: audit.AllSpells}, []string{"NET-001 a 1", "NET-001 a 3", "NET-001 b 1", "STO-001 a 1", "STO-001 c 1"}},
		"control":      {audit.SpellQuery{Controls: []string{"STO-001"}}, []string{"STO-001 a 1"}},
		"controls":     {audit.SpellQuery{Controls: []string{"STO-001", "NET-001", "X"}}, []string{"NET-001 a 3", "NET-001 b 1", "STO-001 a 1"}},
		"owner":        {audit.SpellQuery{State: audit.AllSpells, Owner: "web"}, []string{"NET-001 a 1", "STO-001 c 1"}},
		"origin":       {audit.SpellQuery{Origin: audittest.Origin}, []string{"NET-001 a 3", "NET-001 b 1", "STO-001 a 1"}},
		"other origin": {audit.SpellQuery{Origin: "aws/1/x"}, nil},
		"resource":     {audit.SpellQuery{Resource: "*/a"}, []string{"NET-001 a 3", "STO-001 a 1"}},
		"since":        {audit.SpellQuery{Since: day(2)}, []string{"NET-001 a 3"}},
		"closed since": {audit.SpellQuery{State: audit.ClosedSpells, Since: day(2)}, []string{"NET-001 a 1", "STO-001 c 1"}},
		"none since":   {audit.SpellQuery{State: audit.AllSpells, Since: day(4)}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 2, 100} {
				var got []string
				q := tt.query
				q.Limit = size
				for {
					page, err := l.Violations(t.Context(), q)
					if err != nil {
						t.Fatal(err)
					}
					for _, s := range page.Spells {
						got = append(got, strings.Join([]string{s.Control, s.Name, s.Opened.AsOf.AddDate(0, 0, -audittest.Moment.Day()).Format("2")}, " "))
					}
					if q.After = page.Next; q.After == "" {
						break
					}
				}
				if diff := cmp.Diff(got, tt.want); diff != "" {
					t.Errorf("pages of %d (-got +want):\n%s", size, diff)
				}
			}
		})
	}
	for _, q := range []audit.SpellQuery{{State: "half"}, {After: "NET-001"}, {After: "NET-001 x y"}} {
		if _, err := l.Violations(t.Context(), q); err == nil {
			t.Errorf("Violations(%+v) succeeded", q)
		}
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	failing := map[string]audit.Outcome{"NET a": audit.Fail, "STO a": audit.Fail}
	var runs []audit.RunAt
	for i, n := range []audittest.Night{{Listed: "ab", Not: failing}, {Listed: "ab"}, {Listed: "ab", Not: failing}} {
		run := record(t, l, n.Record(t, i+1))
		runs = append(runs, audit.RunAt{Run: run.ID, AsOf: run.AsOf})
	}
	got, err := l.History(t.Context(), "NET-001", audittest.Bucket("a"))
	if err != nil {
		t.Fatal(err)
	}
	spell := audit.Spell{
		Control: "NET-001", Resource: audittest.Bucket("a"), Name: "a", Type: audittest.Type, Origin: audittest.Origin, Outcome: audit.Fail,
	}
	first, second := spell, spell
	first.Opened, first.Failed, first.Closed, first.How = runs[0], &runs[0], &runs[1], audit.Fixed
	second.Opened, second.Failed = runs[2], &runs[2]
	if diff := cmp.Diff(got, []audit.Spell{first, second}); diff != "" {
		t.Errorf("History() (-got +want):\n%s", diff)
	}
	for _, resource := range []string{audittest.Bucket("b"), "nonsense", ""} {
		if got, err := l.History(t.Context(), "NET-001", resource); err != nil || len(got) != 0 {
			t.Errorf("History(%q) = %v, %v; want none", resource, got, err)
		}
	}
}

// TestSeenAgainCostsNothing holds a night on which nothing changed to no write of any violation.
func TestSeenAgainCostsNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	n := audittest.Night{Listed: "ab", Not: map[string]audit.Outcome{"NET a": audit.Fail, "NET b": audit.NotEvaluated, "STO b": audit.Fail}, Owner: "web", Accept: "EXC-1"}
	record(t, l, n.Record(t, 1))
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, event := range []string{"INSERT", "UPDATE", "DELETE"} {
		if _, err := db.Exec(`CREATE TRIGGER no_` + event + ` BEFORE ` + event + ` ON violations BEGIN SELECT raise(ABORT, 'a write'); END`); err != nil {
			t.Fatal(err)
		}
	}
	record(t, l, n.Record(t, 2))
}

// TestManyPages moves a history of several pages, with changes on both sides of their edges.
func TestManyPages(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	many := func(name string, day int, fails func(i int) bool) audit.Run {
		return record(t, l, estate(t, name, day, 3500, fails))
	}
	all := func(int) bool { return true }
	many("first", 1, all)
	many("second", 2, func(i int) bool { return i%1000 != 999 && i%1000 != 0 })
	many("third", 3, func(i int) bool { return i%1000 != 998 })
	open, closed := 0, 0
	for _, s := range spells(t, l, audit.AllSpells) {
		if s.Closed == nil {
			open++
		} else {
			closed++
		}
	}
	// Closed: 4 × 0 and 3 × 999 on the second day, which failed again on the third, and 3 × 998 then.
	if open != 3500-3 || closed != 7+3 {
		t.Errorf("%d open and %d closed, want %d and %d", open, closed, 3500-3, 10)
	}
}

// version1 makes a ledger as the first version wrote it.
func version1(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	dump, err := os.ReadFile(filepath.Join("testdata", "version1.sql"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(string(dump)); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMigrate opens a ledger of version 1 with three runs of everything, in
// which NET-001 failed on a in all of them (first it could not be told) and on b
// in the first and the last, and a simulated one.
func TestMigrate(t *testing.T) {
	t.Parallel()
	l := open(t, version1(t))
	runs, err := l.Runs(t.Context(), ledger.Filter{})
	if err != nil || len(runs) != 4 {
		t.Fatalf("Runs() = %d runs, %v; want all 4", len(runs), err)
	}
	at := func(i int) *audit.RunAt { return &audit.RunAt{Run: runs[i].ID, AsOf: runs[i].AsOf} }
	spell := audit.Spell{Control: "NET-001", Resource: "aws/1/x/T/a", Name: "n", Type: "T", Origin: "aws/1/x", Owner: "payments", Outcome: audit.Fail}
	a, b := spell, spell
	a.Excepted, a.Opened, a.Failed = true, *at(3), at(2)
	b.Resource, b.Opened, b.Failed = "aws/1/x/T/b", *at(0), at(0)
	if diff := cmp.Diff(spells(t, l, audit.AllSpells), []audit.Spell{a, b}); diff != "" {
		t.Errorf("violations (-got +want):\n%s", diff)
	}
	if list, err := l.Deliveries(t.Context(), ledger.DeliveryQuery{Subject: runs[0].ID}); err != nil || len(list) != 1 || list[0].Status != audit.Delivered {
		t.Errorf("Deliveries() = %v, %v", list, err)
	}
	if met, err := l.Recurrences(t.Context()); err != nil || len(met) != 1 || met[0].Spells != 1 {
		t.Errorf("Recurrences() = %+v, %v; want b alone: a is accepted", met, err)
	}
	// The decisions are where they always were too: in the segment.
	d := decision("NET-001", "aws/1/x/T/b", audit.Fail)
	first := audittest.Ran(t, "", verdict("aws/1/x/T/a", decision("NET-001", "aws/1/x/T/a", audit.NotEvaluated)), verdict("aws/1/x/T/b", d))
	if first.Run.Verdicts != runs[3].Verdicts {
		t.Fatal("the first run had another segment")
	}
	page, err := audit.Record{Run: runs[3], Vault: first.Vault}.Find(t.Context(), audit.Query{Outcome: audit.Fail})
	if err != nil || len(page.Decisions) != 1 || page.Decisions[0].ID != d.ID {
		t.Errorf("Find() = %+v, %v; want %s", page, err, d.ID)
	}
}
