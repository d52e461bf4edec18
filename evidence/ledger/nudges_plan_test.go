package ledger_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

// TestNudgePlans has no query about what owners met look at any spell: who met
// something in a run is looked up, and so are the runs in which they had met it.
func TestNudgePlans(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	tests := map[string]struct {
		query string
		args  []any
		want  []string // of met
	}{
		"again": {ledger.MetQuery, []any{1, 3, ""}, []string{
			"SEARCH v USING COVERING INDEX met_by_run (failed=?)", "SEARCH met USING PRIMARY KEY (owner=? AND control=? AND failed<?)",
		}},
		"recurrences": {ledger.RecurrencesQuery, nil, []string{"SCAN met"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan, err := l.Plan(t.Context(), tt.query, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, step := range plan {
				if strings.Contains(step, "violations") {
					t.Errorf("spells are read: %s", step)
				}
				if strings.Contains(step, "met") || strings.Contains(step, " v ") {
					got = append(got, step)
				}
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("plan (-got +want):\n%s\n%s", diff, strings.Join(plan, "\n"))
			}
		})
	}
}

// TestMetIsKept: after each of many nights, in which resources come and go, change
// hands, and are accepted, what is kept of who met what is what the spells say.
func TestMetIsKept(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 8))
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	db := opened(t, path)
	most := 0
	for day := 1; day <= 80; day++ {
		n := audittest.Night{Listed: "abcdefgh"[:2+r.IntN(7)], Owner: []string{"payments", "platform", ""}[r.IntN(3)], Not: map[string]audit.Outcome{}}
		for _, control := range []string{"NET", "STO"} {
			for _, resource := range n.Listed {
				if outcome := []audit.Outcome{audit.Fail, audit.NotEvaluated, ""}[r.IntN(3)]; outcome != "" {
					n.Not[fmt.Sprintf("%s %c", control, resource)] = outcome
				}
			}
		}
		if r.IntN(3) == 0 {
			n.Accept = "EX-1"
		}
		record(t, l, n.Record(t, day))
		kept, told := rowsOf(t, db, `SELECT owner, control, failed, n FROM met ORDER BY owner, control, failed`), rowsOf(t, db, ledger.Recounted)
		if diff := cmp.Diff(kept, told); diff != "" {
			t.Fatalf("day %d: kept, and told by the spells (-kept +told):\n%s", day, diff)
		}
		most = max(most, len(kept))
	}
	if most < 40 {
		t.Errorf("at most %d were met: the test tells little", most)
	}
}

func opened(tb testing.TB, path string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func rowsOf(tb testing.TB, db *sql.DB, query string, args ...any) (out []string) {
	tb.Helper()
	rows, err := db.QueryContext(tb.Context(), query, args...)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		tb.Fatal(err)
	}
	values, into := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			tb.Fatal(err)
		}
		out = append(out, fmt.Sprintln(values...))
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return out
}

// What was asked before met was kept.
const (
	countsThen = `owner <> '' AND failed IS NOT NULL AND NOT excepted`
	metThen    = `WITH met AS MATERIALIZED (
			SELECT DISTINCT owner, control FROM violations AS v WHERE failed = ?1 AND ` + countsThen + `
				AND NOT EXISTS (SELECT 1 FROM nudges WHERE nudges.owner = v.owner AND (nudges.control = v.control OR nudges.at > ?3)))
		SELECT v.owner, v.control, count(DISTINCT v.failed) AS times
		FROM violations AS v JOIN met ON met.owner = v.owner AND met.control = v.control
		WHERE v.failed <= ?1 AND NOT v.excepted GROUP BY v.owner, v.control HAVING times >= ?2 ORDER BY v.owner, v.control`
	recurrencesThen = `WITH met AS MATERIALIZED (SELECT owner, control, failed, count(*) AS n FROM violations WHERE ` + countsThen + ` GROUP BY owner, control, failed),
			at AS (SELECT owner, control, min(at) AS at FROM nudges GROUP BY owner, control),
			told AS MATERIALIZED (SELECT owner, control, at, (SELECT coalesce(max(seq), 0) FROM runs WHERE ended <= at) AS seq FROM at),
			ranked AS (SELECT *, min(failed) OVER (PARTITION BY owner, control) AS first FROM met)
		SELECT r.owner, r.control, sum(n), coalesce(sum(n) FILTER (WHERE failed > first), 0), coalesce(told.at, ''), coalesce(sum(n) FILTER (WHERE failed > first AND failed > told.seq), 0)
		FROM ranked AS r LEFT JOIN told ON told.owner = r.owner AND told.control = r.control
		GROUP BY r.owner, r.control ORDER BY r.owner, r.control`
)

// A million spells of thirty nights: 200 owners meet 25 controls.
const (
	manySpells = 1_000_000
	manyNights = 30
)

// many is a ledger of many spells. Their numbers are spread by primes, so that
// owners meet controls in every run; but in the last one only each so-manieth owner does.
func many(tb testing.TB, spells, each int) (*ledger.Ledger, *sql.DB) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "ledger.db")
	l, db := open(tb, path), opened(tb, path)
	do := func(statement string, args ...any) {
		if _, err := db.ExecContext(tb.Context(), statement, args...); err != nil {
			tb.Fatal(err)
		}
	}
	for night := 1; night <= manyNights; night++ {
		do(`INSERT INTO runs (seq, id, status, trigger, whole, simulated, as_of, started, ended, doc)
			VALUES (?1, ?2, 'complete', 'schedule', 1, 0, ?3, ?3, ?3, '{}')`, night, fmt.Sprint("night", night), audit.Stamp(nightly(night)))
	}
	do(`WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n + 1 < ?1)
		INSERT INTO violations (origin, resource, control, opened, type, name, owner, outcome, excepted, failed)
		SELECT printf('aws/%012d/eu-west-1', n % 50), printf('aws/%012d/eu-west-1/AWS::EC2::SecurityGroup/sg-%017x', n % 50, n), printf('NET-%03d', n / 7 % 25),
			1 + n / 11 % ?2, 'AWS::EC2::SecurityGroup', printf('web-%d', n), printf('team-%03d', n / 13 % 200), 'fail', n % 97 = 0, 1 + n / 11 % ?2 FROM n
		WHERE n / 11 % ?2 + 1 < ?2 OR n / 13 % 200 % ?3 = 0`, spells, manyNights, each)
	do(`INSERT INTO met ` + ledger.Recounted)
	return l, db
}

func nightly(night int) time.Time { return time.Date(2026, 1, night, 2, 0, 0, 0, time.UTC) }

// metNow lists who met what, as rowsOf does.
func metNow(tb testing.TB, l *ledger.Ledger, times int) (out []string) {
	tb.Helper()
	run := audit.Run{ID: fmt.Sprint("night", manyNights), Trigger: audit.Schedule, Ended: nightly(manyNights)}
	list, err := l.Met(tb.Context(), run, times, time.Hour)
	if err != nil {
		tb.Fatal(err)
	}
	for _, n := range list {
		out = append(out, fmt.Sprintln(n.Owner, n.Control.ID, n.Times))
	}
	return out
}

func thenMet(tb testing.TB, db *sql.DB, times int) []string {
	tb.Helper()
	return rowsOf(tb, db, metThen, manyNights, times, audit.Stamp(nightly(manyNights).Add(-time.Hour)))
}

// TestMetAsBefore: what is kept changes what it takes to answer, not the answer.
func TestMetAsBefore(t *testing.T) {
	t.Parallel()
	l, db := many(t, 20_000, 1)
	for _, times := range []int{1, 3, 5, manyNights} {
		want := thenMet(t, db, times)
		if diff := cmp.Diff(metNow(t, l, times), want); diff != "" {
			t.Errorf("met %d times (-got +want):\n%s", times, diff)
		}
		if times == 1 && len(want) < 100 {
			t.Errorf("only %d owners met a control: the test tells nothing", len(want))
		}
	}
	if diff := cmp.Diff(rowsOf(t, db, ledger.RecurrencesQuery), rowsOf(t, db, recurrencesThen)); diff != "" {
		t.Errorf("recurrences (-got +want):\n%s", diff)
	}
}

// BenchmarkNudges asks who met what again among a million spells, as it is asked
// now and as it was before: where every owner failed anew in the last run, and
// where one in fifty did.
func BenchmarkNudges(b *testing.B) {
	for name, each := range map[string]int{"all": 1, "few": 50} {
		b.Run(name, func(b *testing.B) { benchmarkNudges(b, each) })
	}
}

func benchmarkNudges(b *testing.B, each int) {
	b.Helper()
	l, db := many(b, manySpells, each)
	timed := func(f func()) float64 {
		started := time.Now()
		f()
		return time.Since(started).Seconds() * 1e3
	}
	for b.Loop() {
		now, then := timed(func() { metNow(b, l, 3) }), timed(func() { thenMet(b, db, 3) })
		b.ReportMetric(now, "met-ms")
		b.ReportMetric(then/now, "met-before/now")
		now, then = timed(func() { rowsOf(b, db, ledger.RecurrencesQuery) }), timed(func() { rowsOf(b, db, recurrencesThen) })
		b.ReportMetric(now, "recurrences-ms")
		b.ReportMetric(then/now, "recurrences-before/now")
	}
}
