package ledger

import (
	"context"
	"database/sql"
	"errors"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Asked is the note of the delivery by which a sink asked for the approval of a
// repair, the latest; empty where it did not.
func (l *Ledger) Asked(ctx context.Context, sink, repair string) (note string, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT note FROM deliveries WHERE sink = ? AND kind = ? AND note <> ''
			AND json_extract(doc, '$.repair.id') = ? AND json_extract(doc, '$.repair.state') = ? ORDER BY seq DESC LIMIT 1`,
		sink, audit.OfRepair, repair, audit.RepairRequested).Scan(&note)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return note, err
}
