package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Filter narrows Runs. Empty fields do not narrow.
type Filter struct {
	Trigger audit.Trigger
	Status  audit.Status
	Audit   string // the scheduled audit's name
	Before  string // id of a run: only those recorded before it
	Limit   int    // default 100
}

// Runs are the recorded runs, latest first.
func (l *Ledger) Runs(ctx context.Context, f Filter) (out []audit.Run, err error) {
	err = l.EachRun(ctx, f, func(run audit.Run) error {
		out = append(out, run)
		return nil
	})
	return out, err
}

// EachRun gives the recorded runs one by one, latest first: a run of a large
// estate is large.
func (l *Ledger) EachRun(ctx context.Context, f Filter, yield func(audit.Run) error) error {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	rows, err := l.db.QueryContext(ctx, `SELECT doc FROM runs WHERE (?1 = '' OR trigger = ?1) AND (?2 = '' OR status = ?2)
			AND (?3 = '' OR coalesce(json_extract(doc, '$.audit'), '') = ?3) AND (?4 = '' OR seq < (SELECT seq FROM runs WHERE id = ?4))
		ORDER BY seq DESC LIMIT ?5`, f.Trigger, f.Status, f.Audit, f.Before, f.Limit)
	_, err = collect(rows, err, func(rows *sql.Rows) (none struct{}, _ error) {
		var doc string
		if err := rows.Scan(&doc); err != nil {
			return none, err
		}
		run, err := decodeRun(doc)
		if err != nil {
			return none, err
		}
		return none, yield(run)
	})
	return err
}

// Run finds a run by its id or a prefix that no other run has.
func (l *Ledger) Run(ctx context.Context, prefix string) (audit.Run, error) {
	if err := checkPrefix("run", prefix); err != nil {
		return audit.Run{}, err
	}
	rows, err := l.db.QueryContext(ctx, `SELECT doc FROM runs WHERE id BETWEEN ?1 AND ?1 || 'g' ORDER BY id LIMIT 2`, prefix)
	runs, err := collect(rows, err, func(rows *sql.Rows) (audit.Run, error) {
		var doc string
		if err := rows.Scan(&doc); err != nil {
			return audit.Run{}, err
		}
		return decodeRun(doc)
	})
	switch {
	case err != nil:
		return audit.Run{}, err
	case len(runs) == 0:
		return audit.Run{}, &NotFoundError{Kind: "run", ID: prefix}
	case len(runs) > 1 && runs[0].ID != prefix:
		return audit.Run{}, &AmbiguousError{Kind: "run", ID: prefix, Of: []string{runs[0].ID, runs[1].ID}}
	}
	return runs[0], nil
}

// Attempt is one audit that was begun.
type Attempt struct {
	ID      string       `json:"id"`
	Started string       `json:"started"`
	Ended   string       `json:"ended,omitempty"`
	Status  audit.Status `json:"status"`
	PID     int          `json:"pid"`
	Run     string       `json:"run,omitempty"` // empty unless the attempt was completed
}

// Attempts are the audits that were begun, latest first, those that never completed too.
func (l *Ledger) Attempts(ctx context.Context, limit int) ([]Attempt, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT id, started, coalesce(ended, ''), status, pid, coalesce(run, '') FROM attempts ORDER BY rowid DESC LIMIT ?`, limit)
	return collect(rows, err, func(rows *sql.Rows) (a Attempt, err error) {
		return a, rows.Scan(&a.ID, &a.Started, &a.Ended, &a.Status, &a.PID, &a.Run)
	})
}

// NotFoundError says that nothing on record has an id.
type NotFoundError struct{ Kind, ID string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("no %s %s on record", e.Kind, e.ID) }

// AmbiguousError says that more than one id on record begins so.
type AmbiguousError struct {
	Kind, ID string
	Run      string // of decisions: the run that has both
	Of       []string
}

func (e *AmbiguousError) Error() string {
	in := ""
	if e.Run != "" {
		in = " in run " + e.Run
	}
	return fmt.Sprintf("%s %s is ambiguous%s: give more of it (%s)", e.Kind, e.ID, in, strings.Join(e.Of, ", "))
}

// checkPrefix refuses what cannot begin an id, so that a typing error is told from a loss.
func checkPrefix(kind, prefix string) error {
	if prefix == "" || len(prefix) > 64 || strings.Trim(prefix, "0123456789abcdef") != "" {
		return fmt.Errorf("%q is no %s id: up to 64 lower-case hex digits", prefix, kind)
	}
	return nil
}

// collect reads all rows of a query.
func collect[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) (out []T, _ error) {
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		out = append(out, v)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}
