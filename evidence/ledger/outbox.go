package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// owe puts what is delivered into the queues of sinks. What a sink was owed before it is not owed again.
func owe(ctx context.Context, tx *sql.Tx, d audit.Delivery, doc string, sinks []string) error {
	for _, sink := range sinks {
		_, err := tx.ExecContext(ctx, `INSERT INTO deliveries (sink, kind, subject, doc, status, queued, tries, next, detail, note)
			VALUES (?, ?, ?, nullif(?, ''), ?, ?, 0, ?, '', '') ON CONFLICT DO NOTHING`,
			sink, d.Kind, d.Subject, doc, audit.Waiting, audit.Stamp(d.Queued), audit.Stamp(d.Queued))
		if err != nil {
			return err
		}
	}
	return nil
}

// Announce owes an announcement to sinks. One of the same kind and key is owed once, ever.
func (l *Ledger) Announce(ctx context.Context, a audit.Announcement, sinks []string) error {
	return l.write(ctx, func(tx *sql.Tx) error { return announce(ctx, tx, a, sinks) })
}

func announce(ctx context.Context, tx *sql.Tx, a audit.Announcement, sinks []string) error {
	doc, err := audit.Canonical(a)
	if err != nil {
		return err
	}
	return owe(ctx, tx, audit.Delivery{Kind: a.Kind, Subject: a.Key, Queued: a.At}, string(doc), sinks)
}

// DeliveryQuery narrows Deliveries. Fields that are empty do not narrow.
type DeliveryQuery struct {
	Seq     int64
	Sink    string
	Status  audit.DeliveryStatus
	Subject string    // a run's id, or an announcement's key
	Due     time.Time // waiting, and not to be tried before then or earlier; the oldest first
	Limit   int       // default 100
}

// ahead is how far a clock may have been ahead and be believed. What was tried
// later than that, or never, waits for no time to come: the clock was put back.
const ahead = 5 * time.Minute

const deliveryColumns = `seq, sink, kind, subject, coalesce(doc, ''), status, queued, tries, coalesce(last, ''), next, detail, note,
	(SELECT count(*) FROM rejections WHERE delivery = seq)`

// Deliveries are what sinks are and were owed, the latest first.
func (l *Ledger) Deliveries(ctx context.Context, q DeliveryQuery) ([]audit.Delivery, error) {
	var where []string
	var args []any
	and := func(condition string, values ...any) { where, args = append(where, condition), append(args, values...) }
	order := "seq DESC"
	if q.Seq != 0 {
		and("seq = ?", q.Seq)
	}
	if q.Sink != "" {
		and("sink = ?", q.Sink)
	}
	if q.Status != "" {
		and("status = ?", q.Status)
	}
	if q.Subject != "" {
		and("subject = ?", q.Subject)
	}
	if !q.Due.IsZero() {
		and("status = 'waiting' AND (next <= ? OR tries = 0 OR last > ?)", audit.Stamp(q.Due), audit.Stamp(q.Due.Add(ahead)))
		order = "seq"
	}
	condition := ""
	if len(where) > 0 {
		condition = " WHERE " + strings.Join(where, " AND ")
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	rows, err := l.db.QueryContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries`+condition+` ORDER BY `+order+` LIMIT ?`, append(args, q.Limit)...)
	return collect(rows, err, func(rows *sql.Rows) (audit.Delivery, error) { return l.scanDelivery(rows) })
}

func (l *Ledger) scanDelivery(rows *sql.Rows) (d audit.Delivery, err error) {
	var doc, queued, last, next string
	if err := rows.Scan(&d.Seq, &d.Sink, &d.Kind, &d.Subject, &doc, &d.Status, &queued, &d.Tries, &last, &next, &d.Detail, &d.Note, &d.Rejected); err != nil {
		return d, err
	}
	for _, at := range []struct {
		text string
		into *time.Time
	}{{queued, &d.Queued}, {last, &d.Last}, {next, &d.Next}} {
		if at.text == "" {
			continue
		}
		if *at.into, err = time.Parse(time.RFC3339, at.text); err != nil {
			return d, fmt.Errorf("delivery %d on record: %w", d.Seq, err)
		}
	}
	if d.Status != audit.Waiting {
		d.Next = time.Time{}
	}
	if doc != "" {
		if err := json.Unmarshal([]byte(doc), &d.Announcement); err != nil {
			return d, fmt.Errorf("delivery %d on record: %w", d.Seq, err)
		}
	}
	d.Keeper = l
	return d, nil
}

// Due gives what a sink is owed and may be tried at a moment, the oldest first.
func (l *Ledger) Due(ctx context.Context, sink string, at time.Time, limit int) ([]audit.Delivery, error) {
	return l.Deliveries(ctx, DeliveryQuery{Sink: sink, Due: at, Limit: limit})
}

// Tried keeps how a try went: of d the status, the tries, when, until when it waits, and the detail.
func (l *Ledger) Tried(ctx context.Context, d audit.Delivery) error {
	next := d.Next
	if next.IsZero() {
		next = d.Last
	}
	return l.write(ctx, func(tx *sql.Tx) error {
		return one(tx.ExecContext(ctx, `UPDATE deliveries SET status = ?, tries = ?, last = ?, next = ?, detail = ? WHERE seq = ?`,
			d.Status, d.Tries, audit.Stamp(d.Last), audit.Stamp(next), d.Detail, d.Seq))
	})
}

// one is an error unless a statement changed one row.
func one(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(fmt.Errorf("%d rows changed, not one", n), err)
	}
	return nil
}

// Retry lets deliveries be tried at once that wait or were refused; again lets
// those too that were delivered. It tells how many there are.
func (l *Ledger) Retry(ctx context.Context, q DeliveryQuery, at time.Time, again bool) (n int64, err error) {
	err = l.write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE deliveries SET status = 'waiting', next = ?1
			WHERE (?2 OR status <> 'delivered') AND (?3 = '' OR sink = ?3) AND (?4 = '' OR subject = ?4) AND (?5 = '' OR status = ?5)`,
			audit.Stamp(at), again, q.Sink, q.Subject, q.Status)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

// KeepNote implements audit.Keeper.
func (l *Ledger) KeepNote(ctx context.Context, seq int64, note string) error {
	return l.write(ctx, func(tx *sql.Tx) error {
		return one(tx.ExecContext(ctx, `UPDATE deliveries SET note = ? WHERE seq = ?`, note, seq))
	})
}

// KeepRejections implements audit.Keeper.
func (l *Ledger) KeepRejections(ctx context.Context, seq int64, list []audit.Rejection) error {
	return l.write(ctx, func(tx *sql.Tx) error {
		for _, r := range list {
			if _, err := tx.ExecContext(ctx, `INSERT INTO rejections (delivery, id, reason, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
				seq, r.ID, r.Reason, audit.Stamp(r.At)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Rejections are the documents of a delivery that its sink refused for good, by id.
func (l *Ledger) Rejections(ctx context.Context, seq int64, limit int) ([]audit.Rejection, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT id, reason, at FROM rejections WHERE delivery = ? ORDER BY id LIMIT ?`, seq, limit)
	return collect(rows, err, func(rows *sql.Rows) (r audit.Rejection, err error) {
		var at string
		if err := rows.Scan(&r.ID, &r.Reason, &at); err != nil {
			return r, err
		}
		r.At, err = time.Parse(time.RFC3339, at)
		return r, err
	})
}

var sinkName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// Claim makes this process the only one that delivers to a sink, until release
// or its end. Where another one does, the error is audit.ErrElsewhere.
func (l *Ledger) Claim(sink string) (release func() error, err error) {
	if !sinkName.MatchString(sink) {
		return nil, fmt.Errorf("%q is no name of a sink", sink)
	}
	dir := filepath.Join(filepath.Dir(l.path), "locks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := takeLock(filepath.Join(dir, sink+".lock"))
	if locked := (*LockedError)(nil); errors.As(err, &locked) {
		return nil, &claimed{sink, locked.PID}
	}
	if err != nil {
		return nil, err
	}
	return f.Close, nil
}
