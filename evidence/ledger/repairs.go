package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// repairing keeps the history of each repair, and what roll back restores.
const repairing = `CREATE TABLE repair_events (
		repair TEXT NOT NULL REFERENCES repairs (id),
		n      INTEGER NOT NULL,
		at     TEXT NOT NULL,
		by     TEXT NOT NULL,
		state  TEXT NOT NULL,
		reason TEXT NOT NULL,
		PRIMARY KEY (repair, n)
	) STRICT, WITHOUT ROWID;
	CREATE TABLE repair_memory (
		repair TEXT PRIMARY KEY REFERENCES repairs (id),
		before TEXT NOT NULL
	) STRICT, WITHOUT ROWID;
	CREATE INDEX repairs_by_runbook ON repairs (runbook, updated);`

// working are the states in which a repair has its resource for itself, and
// began those in which its runner was, or may have been, at work.
var (
	working = quotedStates(audit.RepairActing, audit.RepairUnknown, audit.RepairActed)
	began   = quotedStates(audit.RepairActing, audit.RepairUnknown, audit.RepairActed, audit.RepairVerified,
		audit.RepairFailed, audit.RepairRolledBack, audit.RepairStuck, audit.RepairSettling, audit.RepairSettled)
)

func quotedStates(list ...audit.RepairState) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = "'" + string(s) + "'" // constants of ours
	}
	return "(" + strings.Join(out, ", ") + ")"
}

// Repairs gives repairs, those that moved last first.
func (l *Ledger) Repairs(ctx context.Context, q audit.RepairQuery) ([]audit.Repair, error) {
	var where []string
	var args []any
	and := func(condition string, value ...any) { where, args = append(where, condition), append(args, value...) }
	if q.ID != "" {
		and("substr(id, 1, length(?)) = ?", q.ID, q.ID)
	}
	if len(q.States) > 0 {
		and("state IN " + quotedStates(known(q.States)...))
	}
	for _, eq := range [][2]string{{"control", q.Control}, {"resource", q.Resource}, {"runbook", q.Runbook}} {
		if eq[1] != "" {
			and(eq[0]+" = ?", eq[1])
		}
	}
	if q.Run != "" {
		and("? IN (json_extract(doc, '$.run'), json_extract(doc, '$.verified.run'), json_extract(doc, '$.undone.run'), json_extract(doc, '$.settled.run'))", q.Run)
	}
	if !q.Since.IsZero() {
		and("updated >= ?", audit.Stamp(q.Since))
	}
	condition := ""
	if len(where) > 0 {
		condition = " WHERE " + strings.Join(where, " AND ")
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	rows, err := l.db.QueryContext(ctx, `SELECT doc FROM repairs`+condition+` ORDER BY updated DESC, seq DESC LIMIT ?`, append(args, q.Limit)...)
	return collect(rows, err, func(rows *sql.Rows) (r audit.Repair, err error) {
		var doc string
		if err := rows.Scan(&doc); err != nil {
			return r, err
		}
		if err := json.Unmarshal([]byte(doc), &r); err != nil {
			return r, fmt.Errorf("repair on record: %w", err)
		}
		return r, nil
	})
}

// known leaves out what is no state, so that no word of a caller's is part of a statement.
func known(list []audit.RepairState) []audit.RepairState {
	return slices.DeleteFunc(slices.Clone(list), func(s audit.RepairState) bool {
		return strings.ContainsFunc(string(s), func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' })
	})
}

// Move takes a repair from one state to the next: the row, its history, what is
// remembered for roll back, and what sinks are told, all of it or nothing. Where
// the repair is in another state the error is audit.ErrMoved. One that begins to
// act is stopped by audit.ErrBusy while another has the resource, and by
// audit.ErrEnough where its run has as many of the runbook as it may.
func (l *Ledger) Move(ctx context.Context, m audit.RepairMove) error {
	doc, err := audit.Canonical(m.To)
	if err != nil {
		return err
	}
	return l.write(ctx, func(tx *sql.Tx) error {
		if m.To.State == audit.RepairActing {
			if err := mayBegin(ctx, tx, m); err != nil {
				return err
			}
		}
		if err := moveRow(ctx, tx, m, string(doc)); err != nil {
			return err
		}
		if m.Before != nil {
			if _, err := tx.ExecContext(ctx, `INSERT INTO repair_memory (repair, before) VALUES (?, ?)`, m.To.ID, string(m.Before)); err != nil {
				return err
			}
		}
		var n int64
		err := tx.QueryRowContext(ctx, `INSERT INTO repair_events (repair, n, at, by, state, reason)
			VALUES (?1, (SELECT coalesce(max(n), 0) + 1 FROM repair_events WHERE repair = ?1), ?2, ?3, ?4, ?5) RETURNING n`,
			m.To.ID, audit.Stamp(m.To.Updated), m.By, m.To.State, m.To.Reason).Scan(&n)
		if err != nil {
			return err
		}
		r := m.To
		return announce(ctx, tx, audit.Announcement{
			Kind: audit.OfRepair, Key: fmt.Sprintf("%s/%d/%s", r.ID, n, r.State), At: r.Updated, Repair: &r,
		}, m.Sinks)
	})
}

func moveRow(ctx context.Context, tx *sql.Tx, m audit.RepairMove, doc string) error {
	r := m.To
	var res sql.Result
	var err error
	if m.From == "" {
		res, err = tx.ExecContext(ctx, `INSERT INTO repairs (id, control, resource, decision, runbook, state, updated, doc)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			r.ID, r.Control, r.Resource, r.Decision, r.Runbook, r.State, audit.Stamp(r.Updated), doc)
	} else {
		res, err = tx.ExecContext(ctx, `UPDATE repairs SET state = ?, updated = ?, doc = ? WHERE id = ? AND state = ?`,
			r.State, audit.Stamp(r.Updated), doc, r.ID, m.From)
	}
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(audit.ErrMoved, err)
	}
	return nil
}

func mayBegin(ctx context.Context, tx *sql.Tx, m audit.RepairMove) error {
	var busy, acted int
	err := tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM repairs WHERE resource = ?1 AND id <> ?2 AND state IN `+working+`),
		(SELECT count(*) FROM repairs WHERE runbook = ?3 AND id <> ?2 AND state IN `+began+` AND json_extract(doc, '$.run') = ?4)`,
		m.To.Resource, m.To.ID, m.To.Runbook, m.To.Run).Scan(&busy, &acted)
	switch {
	case err != nil:
		return err
	case busy > 0:
		return audit.ErrBusy
	case m.AtMost > 0 && acted >= m.AtMost:
		return audit.ErrEnough
	}
	return nil
}

// Memory gives what was captured before a repair acted, nil if nothing was.
func (l *Ledger) Memory(ctx context.Context, id string) (json.RawMessage, error) {
	var before string
	err := l.db.QueryRowContext(ctx, `SELECT before FROM repair_memory WHERE repair = ?`, id).Scan(&before)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return json.RawMessage(before), err
}

// RepairEvents are the steps of a repair, in order.
func (l *Ledger) RepairEvents(ctx context.Context, id string) ([]audit.RepairEvent, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT at, by, state, reason FROM repair_events WHERE repair = ? ORDER BY n`, id)
	return collect(rows, err, func(rows *sql.Rows) (e audit.RepairEvent, err error) {
		var at string
		if err := rows.Scan(&at, &e.By, &e.State, &e.Reason); err != nil {
			return e, err
		}
		e.At, err = time.Parse(time.RFC3339, at)
		return e, err
	})
}

// RepairRates counts the repairs of each runbook by their state.
func (l *Ledger) RepairRates(ctx context.Context) ([]audit.RepairRate, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT runbook, state, count(*) FROM repairs GROUP BY runbook, state ORDER BY runbook, state`)
	return collect(rows, err, func(rows *sql.Rows) (r audit.RepairRate, err error) {
		return r, rows.Scan(&r.Runbook, &r.State, &r.Count)
	})
}

// RepairsOf gives the repairs that a run bears on, by id: those of decisions it
// made, those it verified or saw undone or settled, and, where it is a run of everything,
// those that were settled since the one before it.
func (l *Ledger) RepairsOf(ctx context.Context, run audit.Run) ([]audit.Repair, error) {
	const most = 100_000
	out, err := l.Repairs(ctx, audit.RepairQuery{Run: run.ID, Limit: most})
	if err != nil {
		return nil, err
	}
	if run.Scope.Whole() && run.Previous != "" && !run.Simulated {
		previous, err := l.Run(ctx, run.Previous)
		if err != nil {
			return nil, err
		}
		since, err := l.Repairs(ctx, audit.RepairQuery{Since: previous.Ended, Limit: most})
		if err != nil {
			return nil, err
		}
		for _, r := range since {
			if !r.Updated.After(run.Started) {
				out = append(out, r)
			}
		}
	}
	slices.SortFunc(out, func(a, b audit.Repair) int { return strings.Compare(a.ID, b.ID) })
	return slices.CompactFunc(out, func(a, b audit.Repair) bool { return a.ID == b.ID }), nil
}

// Switch tells how a switch stands; the zero value where nobody touched it.
func (l *Ledger) Switch(ctx context.Context, name string) (audit.Switch, error) {
	s := audit.Switch{Name: name}
	var at string
	err := l.db.QueryRowContext(ctx, `SELECT value, by, at FROM switches WHERE name = ?`, name).Scan(&s.Value, &s.By, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return audit.Switch{}, nil
	}
	if err != nil {
		return s, err
	}
	s.At, err = time.Parse(time.RFC3339, at)
	return s, err
}

// Turn turns a switch.
func (l *Ledger) Turn(ctx context.Context, s audit.Switch) error {
	return l.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO switches (name, value, by, at) VALUES (?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value, by = excluded.by, at = excluded.at`, s.Name, s.Value, s.By, audit.Stamp(s.At))
		return err
	})
}
