package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// movedPage bounds how many spells are in memory at once.
const movedPage = 1000

// Moved implements audit.History. What came after the run is left out: what a
// later one closed is open, and what a later one lost or saw fail first is as it was.
func (l *Ledger) Moved(ctx context.Context, run audit.Run, yield func(audit.Spell) error) error {
	if run.Simulated || run.Trigger == audit.Gate {
		return nil
	}
	var seq int64
	err := l.db.QueryRowContext(ctx, `SELECT seq FROM runs WHERE id = ?`, run.ID).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return &NotFoundError{Kind: "run", ID: run.ID}
	}
	if err != nil {
		return err
	}
	last := key{}
	for {
		page, err := l.movedAfter(ctx, seq, last)
		if err != nil {
			return fmt.Errorf("violations of run %s: %w", run.ID, err)
		}
		for _, s := range page {
			if err := yield(s); err != nil {
				return err
			}
			last = key{s.Origin, s.Resource, s.Control}
		}
		if len(page) < movedPage {
			return ctx.Err()
		}
	}
}

func (l *Ledger) movedAfter(ctx context.Context, seq int64, last key) ([]audit.Spell, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT control, resource, name, type, origin, owner, outcome, excepted, opened, how,
			o.id, o.as_of, f.id, f.as_of, s.id, s.as_of, l.id, l.as_of, c.id, c.as_of, coalesce(json_extract(c.doc, '$.repair'), '')
		FROM (SELECT control, resource, name, type, origin, owner, outcome, excepted, opened,
				CASE WHEN closed = ?1 THEN how END AS how, CASE WHEN closed = ?1 THEN closed END AS closed,
				CASE WHEN failed <= ?1 THEN failed END AS failed, seen, CASE WHEN lost <= ?1 THEN lost END AS lost
			FROM violations WHERE opened <= ?1 AND (closed IS NULL OR closed >= ?1) AND (origin, resource, control) > (?2, ?3, ?4)
			ORDER BY origin, resource, control LIMIT ?5) AS v
		JOIN runs AS o ON o.seq = v.opened
		LEFT JOIN runs AS f ON f.seq = v.failed
		LEFT JOIN runs AS s ON s.seq = v.seen AND v.lost IS NOT NULL
		LEFT JOIN runs AS l ON l.seq = v.lost
		LEFT JOIN runs AS c ON c.seq = v.closed
		ORDER BY origin, resource, control`, seq, last.origin, last.resource, last.control, movedPage)
	list, err := collect(rows, err, scanSpell)
	return spellsOf(list), err
}
