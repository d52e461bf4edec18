package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Occurrences are what became of due times, the latest first. Of one that is
// running or waits the run is that which its attempt came to, if it is on record.
func (l *Ledger) Occurrences(ctx context.Context, q audit.OccurrenceQuery) ([]audit.Occurrence, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	statuses := []byte("[]")
	if len(q.Statuses) > 0 {
		var err error
		if statuses, err = json.Marshal(q.Statuses); err != nil {
			return nil, err
		}
	}
	since, until := "", ""
	if !q.Since.IsZero() {
		since = audit.Stamp(q.Since)
	}
	if !q.Until.IsZero() {
		until = audit.Stamp(q.Until)
	}
	rows, err := l.db.QueryContext(ctx, `SELECT o.audit, o.due, o.status, o.tries, o.attempt, coalesce(o.run, a.run, ''), o.at, o.detail
		FROM occurrences AS o LEFT JOIN attempts AS a ON a.id = o.attempt
		WHERE (?1 = '' OR o.audit = ?1) AND (?2 = '' OR o.due >= ?2) AND (?3 = '' OR o.due <= ?3)
			AND (?4 = '[]' OR o.status IN (SELECT value FROM json_each(?4)))
		ORDER BY o.due DESC, o.audit LIMIT ?5`, q.Audit, since, until, string(statuses), q.Limit)
	return collect(rows, err, scanOccurrence)
}

func scanOccurrence(rows *sql.Rows) (o audit.Occurrence, err error) {
	var due, at string
	if err := rows.Scan(&o.Audit, &due, &o.Status, &o.Tries, &o.Attempt, &o.Run, &at, &o.Detail); err != nil {
		return o, err
	}
	var errs [2]error
	o.Due, errs[0] = time.Parse(time.RFC3339, due)
	o.At, errs[1] = time.Parse(time.RFC3339, at)
	if err := errors.Join(errs[:]...); err != nil {
		return o, fmt.Errorf("due time of audit %q on record: %w", o.Audit, err)
	}
	return o, nil
}

// KeepOccurrences puts occurrences on record, and owes announcements to sinks:
// all of it or nothing. What is settled stays as it is.
func (l *Ledger) KeepOccurrences(ctx context.Context, list []audit.Occurrence, tell []audit.Announcement, sinks []string) error {
	return l.write(ctx, func(tx *sql.Tx) error {
		for _, o := range list {
			_, err := tx.ExecContext(ctx, `INSERT INTO occurrences (audit, due, status, run, tries, attempt, at, detail)
				VALUES (?, ?, ?, nullif(?, ''), ?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET status = excluded.status, run = excluded.run, tries = excluded.tries,
					attempt = excluded.attempt, at = excluded.at, detail = excluded.detail
				WHERE status IN ('running', 'waiting')`,
				o.Audit, audit.Stamp(o.Due), o.Status, o.Run, o.Tries, o.Attempt, audit.Stamp(o.At), o.Detail)
			if err != nil {
				return fmt.Errorf("audit %s due at %s: %w", o.Audit, audit.Stamp(o.Due), err)
			}
		}
		for _, a := range tell {
			if err := announce(ctx, tx, a, sinks); err != nil {
				return err
			}
		}
		return nil
	})
}

// Attending makes this process the only one that runs the schedules of a data
// directory, until release or its end.
func (l *Ledger) Attending() (release func() error, err error) {
	f, err := takeLock(filepath.Join(filepath.Dir(l.path), "daemon.lock"))
	if locked := (*LockedError)(nil); errors.As(err, &locked) {
		return nil, fmt.Errorf("another daemon is running: process %s holds %s; stop it, or set another data_dir", locked.PID, locked.Path)
	}
	if err != nil {
		return nil, err
	}
	return f.Close, nil
}
