package ledger

import (
	"context"
	"database/sql"
	"errors"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Decision finds a failed or not evaluated decision by its id, or the beginning
// of it, in the verdict segments of the runs on record, which v holds. The
// latest run that has such a decision answers: whether a beginning is ambiguous
// is told within that run.
func (l *Ledger) Decision(ctx context.Context, v audit.Vault, prefix string) (found audit.Found, run audit.Run, err error) {
	if err := checkPrefix("decision", prefix); err != nil {
		return found, run, err
	}
	for seq := int64(1) << 62; ; {
		var doc string
		err := l.db.QueryRowContext(ctx, `SELECT seq, doc FROM runs WHERE seq < ? ORDER BY seq DESC LIMIT 1`, seq).Scan(&seq, &doc)
		if errors.Is(err, sql.ErrNoRows) {
			return found, run, &NotFoundError{Kind: "decision", ID: prefix}
		}
		if err != nil {
			return found, run, err
		}
		if run, err = decodeRun(doc); err != nil {
			return found, run, err
		}
		list, err := audit.Record{Run: run, Vault: v}.FindID(ctx, prefix)
		switch {
		case err != nil:
			return found, run, err
		case len(list) > 1:
			return found, run, &AmbiguousError{Kind: "decision", ID: prefix, Run: run.ID, Of: []string{list[0].ID, list[1].ID}}
		case len(list) == 1:
			return list[0], run, nil
		}
	}
}
