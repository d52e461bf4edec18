package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Violations are the spells in which controls did not pass, by control,
// resource and opening.
func (l *Ledger) Violations(ctx context.Context, q audit.SpellQuery) (audit.SpellPage, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	where, args, err := narrow(q)
	if err != nil {
		return audit.SpellPage{}, err
	}
	list, err := l.spells(ctx, where, append(args, q.Limit+1))
	if err != nil || len(list) <= q.Limit {
		return audit.SpellPage{Spells: spellsOf(list)}, err
	}
	last := list[q.Limit-1]
	return audit.SpellPage{Spells: spellsOf(list[:q.Limit]), Next: fmt.Sprint(last.Control, " ", last.seq, " ", last.Resource)}, nil
}

// History is all that is on record of one control on one resource, the first
// spell first.
func (l *Ledger) History(ctx context.Context, control, resource string) ([]audit.Spell, error) {
	where, args := []string{"control = ? AND resource = ?"}, []any{control, resource}
	var origins []string // what the id's origin may be, so that the key is used
	for i, r := range resource {
		if r == '/' {
			origins, args = append(origins, "?"), append(args, resource[:i])
		}
	}
	where = append(where, "origin IN ("+strings.Join(origins, ", ")+")")
	list, err := l.spells(ctx, where, append(args, -1))
	return spellsOf(list), err
}

// narrow renders a query's conditions.
func narrow(q audit.SpellQuery) (where []string, args []any, err error) {
	and := func(condition string, values ...any) {
		where, args = append(where, condition), append(args, values...)
	}
	switch q.State {
	case audit.OpenSpells:
		and("closed IS NULL")
	case audit.ClosedSpells:
		and("closed IS NOT NULL")
	case audit.AllSpells:
	default:
		return nil, nil, fmt.Errorf("violations that are %q: open, closed or all", q.State)
	}
	if len(q.Controls) > 0 {
		list := make([]any, len(q.Controls))
		for i, c := range q.Controls {
			list[i] = c
		}
		and("control IN (?"+strings.Repeat(", ?", len(list)-1)+")", list...)
	}
	if q.Outcome != "" {
		and("outcome = ?", q.Outcome)
	}
	if q.Owner != "" {
		and("owner = ?", q.Owner)
	}
	if q.Origin != "" {
		and("origin = ?", q.Origin)
	}
	if q.Resource != "" {
		and("resource GLOB ?", glob(q.Resource))
	}
	if !q.Since.IsZero() {
		const runs = "IN (SELECT seq FROM runs WHERE as_of >= ?)"
		at := audit.Stamp(q.Since)
		and("(opened "+runs+" OR closed "+runs+")", at, at)
	}
	if q.After != "" {
		parts := strings.SplitN(q.After, " ", 3)
		if len(parts) < 3 {
			return nil, nil, &audit.PageError{After: q.After, Of: "violations"}
		}
		seq, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil {
			return nil, nil, &audit.PageError{After: q.After, Of: "violations"}
		}
		and("(control, resource, opened) > (?, ?, ?)", parts[0], parts[2], seq)
	}
	return where, args, nil
}

// spell is one on record, with the number of the run that opened it.
type spell struct {
	audit.Spell
	seq int64
}

func spellsOf(list []spell) []audit.Spell {
	out := make([]audit.Spell, len(list))
	for i, s := range list {
		out[i] = s.Spell
	}
	return out
}

// spells reads those that conditions leave; the last of args is how many at most.
func (l *Ledger) spells(ctx context.Context, where []string, args []any) ([]spell, error) {
	condition := ""
	if len(where) > 0 {
		condition = " WHERE " + strings.Join(where, " AND ")
	}
	rows, err := l.db.QueryContext(ctx, `SELECT control, resource, name, type, origin, owner, outcome, excepted, opened, how,
			o.id, o.as_of, f.id, f.as_of, s.id, s.as_of, l.id, l.as_of, c.id, c.as_of, coalesce(json_extract(c.doc, '$.repair'), '')
		FROM (SELECT * FROM violations`+condition+` ORDER BY control, resource, opened LIMIT ?) AS v
		JOIN runs AS o ON o.seq = v.opened
		LEFT JOIN runs AS f ON f.seq = v.failed
		LEFT JOIN runs AS s ON s.seq = v.seen AND v.lost IS NOT NULL
		LEFT JOIN runs AS l ON l.seq = v.lost
		LEFT JOIN runs AS c ON c.seq = v.closed
		ORDER BY control, resource, opened`, args...)
	return collect(rows, err, scanSpell)
}

func scanSpell(rows *sql.Rows) (s spell, err error) {
	var how sql.NullString
	var at [5]struct{ id, asOf sql.NullString }
	into := []any{&s.Control, &s.Resource, &s.Name, &s.Type, &s.Origin, &s.Owner, &s.Outcome, &s.Excepted, &s.seq, &how}
	for i := range at {
		into = append(into, &at[i].id, &at[i].asOf)
	}
	into = append(into, &s.Repair)
	if err := rows.Scan(into...); err != nil {
		return s, err
	}
	s.How = audit.Closing(how.String)
	var opened *audit.RunAt
	for i, p := range []**audit.RunAt{&opened, &s.Failed, &s.Seen, &s.Lost, &s.Closed} {
		if !at[i].id.Valid {
			continue
		}
		t, err := time.Parse(time.RFC3339, at[i].asOf.String)
		if err != nil {
			return s, fmt.Errorf("run %s on record: %w", at[i].id.String, err)
		}
		*p = &audit.RunAt{Run: at[i].id.String, AsOf: t}
	}
	s.Opened = *opened
	return s, nil
}

// glob renders a pattern in which only * is special as one for SQLite.
func glob(pattern string) string {
	return strings.NewReplacer("[", "[[]", "?", "[?]").Replace(pattern)
}
