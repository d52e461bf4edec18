package ledger

import (
	"context"
	"database/sql"
	"errors"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Decision finds a failed or not evaluated decision by its id, or the beginning
// of it, in the verdict segments of the runs on record; open gives what a run
// rests on. The latest run that has such a decision answers: whether a beginning
// is ambiguous is told within that run.
func (l *Ledger) Decision(ctx context.Context, open func(context.Context, audit.Run) (audit.Record, error), prefix string) (found audit.Found, rec audit.Record, err error) {
	if err := checkPrefix("decision", prefix); err != nil {
		return found, rec, err
	}
	for seq := int64(1) << 62; ; {
		var doc string
		err := l.db.QueryRowContext(ctx, `SELECT seq, doc FROM runs WHERE seq < ? ORDER BY seq DESC LIMIT 1`, seq).Scan(&seq, &doc)
		if errors.Is(err, sql.ErrNoRows) {
			return found, rec, &NotFoundError{Kind: "decision", ID: prefix}
		}
		if err != nil {
			return found, rec, err
		}
		run, err := decodeRun(doc)
		if err != nil {
			return found, rec, err
		}
		if rec, err = open(ctx, run); err != nil {
			return found, rec, err
		}
		list, err := rec.FindID(ctx, prefix)
		switch {
		case err != nil:
			return found, rec, err
		case len(list) > 1:
			return found, rec, &AmbiguousError{Kind: "decision", ID: prefix, Run: run.ID, Of: []string{list[0].ID, list[1].ID}}
		case len(list) == 1:
			return list[0], rec, nil
		}
	}
}
