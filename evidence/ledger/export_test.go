package ledger

import (
	"context"
	"database/sql"
)

// The queries about what owners met, and what the table that they read must hold.
const (
	MetQuery         = metAgain
	RecurrencesQuery = recurrences
	Recounted        = recounted
)

// Plan tells how a query is gone about, a line for each step.
func (l *Ledger) Plan(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := l.db.QueryContext(ctx, `EXPLAIN QUERY PLAN `+query, args...)
	return collect(rows, err, func(rows *sql.Rows) (detail string, err error) {
		var id, parent, unused int
		return detail, rows.Scan(&id, &parent, &unused, &detail)
	})
}
