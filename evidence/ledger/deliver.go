package ledger

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Delivery is one try to deliver a run to a sink.
type Delivery struct {
	Run    string    `json:"run"`
	Sink   string    `json:"sink"`
	Status string    `json:"status"` // delivered or failed
	At     time.Time `json:"at"`
	Detail string    `json:"detail,omitempty"` // why it failed, or where it went
}

// RecordDelivery keeps a try, after the run itself is on record.
func (l *Ledger) RecordDelivery(ctx context.Context, d Delivery) error {
	return l.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO deliveries (run, sink, status, at, detail) VALUES (?, ?, ?, ?, ?)`,
			d.Run, d.Sink, d.Status, audit.Stamp(d.At), d.Detail)
		return err
	})
}

// Deliveries of a run, in the order in which they were tried.
func (l *Ledger) Deliveries(ctx context.Context, run string) ([]Delivery, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT run, sink, status, at, detail FROM deliveries WHERE run = ? ORDER BY seq`, run)
	return collect(rows, err, func(rows *sql.Rows) (d Delivery, err error) {
		var at string
		if err := rows.Scan(&d.Run, &d.Sink, &d.Status, &at, &d.Detail); err != nil {
			return d, err
		}
		d.At, err = time.Parse(time.RFC3339, at)
		return d, err
	})
}

// Pack is where the evidence of a run is.
type Pack struct {
	Run  string `json:"run"`
	ID   string `json:"pack"`
	Path string `json:"path"`
}

// SetPack remembers where a run's evidence is.
func (l *Ledger) SetPack(ctx context.Context, p Pack) error {
	return l.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO packs (run, pack, path) VALUES (?, ?, ?)
			ON CONFLICT (run) DO UPDATE SET pack = excluded.pack, path = excluded.path`, p.Run, p.ID, p.Path)
		return err
	})
}

// Pack tells where a run's evidence is; ok is false where it has none. The
// previous pack of a run is that of Run.Previous.
func (l *Ledger) Pack(ctx context.Context, run string) (p Pack, ok bool, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT run, pack, path FROM packs WHERE run = ?`, run).Scan(&p.Run, &p.ID, &p.Path)
	if errors.Is(err, sql.ErrNoRows) {
		return p, false, nil
	}
	return p, err == nil, err
}

// Packs are those of all runs, that of the latest run first.
func (l *Ledger) Packs(ctx context.Context, limit int) ([]Pack, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT run, pack, path FROM packs JOIN runs ON runs.id = packs.run ORDER BY seq DESC LIMIT ?`, limit)
	return collect(rows, err, func(rows *sql.Rows) (p Pack, err error) {
		return p, rows.Scan(&p.Run, &p.ID, &p.Path)
	})
}
