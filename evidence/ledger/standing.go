package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Newest numbers the latest run on record, 0 where there is none. What OpenTally,
// RunTally and LastOf tell changes with it alone.
func (l *Ledger) Newest(ctx context.Context) (seq int64, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM runs`).Scan(&seq)
	return seq, err
}

// lastOfBack is how many runs are looked through for the last complete one of an audit.
const lastOfBack = 1000

// LastOf is the last complete run of an audit with a number above after, not
// simulated and no re-audit. That of no name is the last of everything that was
// asked for by hand. Only the latest 1,000 runs are looked through.
func (l *Ledger) LastOf(ctx context.Context, name string, after int64) (run audit.Run, seq int64, ok bool, err error) {
	var doc string
	err = l.db.QueryRowContext(ctx, `SELECT seq, doc FROM runs
		WHERE seq > max(?1, (SELECT coalesce(max(seq), 0) FROM runs) - ?2) AND status = 'complete' AND NOT simulated
			AND trigger IN ('schedule', 'manual') AND (whole OR ?3 <> '') AND coalesce(json_extract(doc, '$.audit'), '') = ?3
		ORDER BY seq DESC LIMIT 1`, after, lastOfBack, name).Scan(&seq, &doc)
	if errors.Is(err, sql.ErrNoRows) {
		return run, 0, false, nil
	}
	if err != nil {
		return run, 0, false, err
	}
	run, err = decodeRun(doc)
	return run, seq, err == nil, err
}

// OpenTally counts the open violations, by control.
func (l *Ledger) OpenTally(ctx context.Context) ([]audit.OpenTally, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT control, outcome, excepted, count(*) FROM violations
		WHERE closed IS NULL GROUP BY control, outcome, excepted ORDER BY control, outcome, excepted`)
	return collect(rows, err, func(rows *sql.Rows) (t audit.OpenTally, err error) {
		return t, rows.Scan(&t.Control, &t.Outcome, &t.Excepted, &t.N)
	})
}

// RunTally counts the runs on record, by trigger and status.
func (l *Ledger) RunTally(ctx context.Context) ([]audit.RunTally, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT trigger, status, count(*) FROM runs GROUP BY trigger, status ORDER BY trigger, status`)
	return collect(rows, err, func(rows *sql.Rows) (t audit.RunTally, err error) {
		return t, rows.Scan(&t.Trigger, &t.Status, &t.N)
	})
}

// QueueTally counts the deliveries, by sink and status.
func (l *Ledger) QueueTally(ctx context.Context) ([]audit.QueueTally, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT sink, status, count(*), min(queued) FROM deliveries GROUP BY sink, status ORDER BY sink, status`)
	return collect(rows, err, func(rows *sql.Rows) (t audit.QueueTally, err error) {
		var oldest string
		if err := rows.Scan(&t.Sink, &t.Status, &t.N, &oldest); err != nil {
			return t, err
		}
		if t.Oldest, err = time.Parse(time.RFC3339, oldest); err != nil {
			err = fmt.Errorf("deliveries of %s on record: %w", t.Sink, err)
		}
		return t, err
	})
}
