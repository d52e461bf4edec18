package ledger

import (
	"context"
	"database/sql"
	"errors"
)

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
