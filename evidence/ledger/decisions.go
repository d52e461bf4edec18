package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Decision is a failed or not evaluated decision on record, with its resource.
type Decision struct {
	audit.Decision
	Run         string `json:"run"`
	Resource    string `json:"resource"`
	Name        string `json:"name"`
	Type        string `json:"type"`
	Origin      string `json:"origin"`
	Owner       string `json:"owner,omitempty"`
	InputDigest string `json:"input_digest"`
}

// Query narrows Decisions to those of one run. Other fields that are empty do not narrow.
type Query struct {
	Run      string // full id, required
	Control  string
	Outcome  audit.Outcome
	Resource string // glob over the resource id, in which * stands for anything
	Excepted *bool
	After    string // Page.Next of the page before
	Limit    int    // default 100
}

// Page is a part of the answer. Next is empty on the last one.
type Page struct {
	Decisions []Decision
	Next      string
}

const decisionColumns = `run, id, control, control_digest, resource, name, type, origin, owner, outcome, exception, input_digest, slice_digest, violations, reasons`

// Decisions are the failed and not evaluated decisions of a run, by control and resource.
func (l *Ledger) Decisions(ctx context.Context, q Query) (Page, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	where, args := []string{"run = ?"}, []any{q.Run}
	and := func(condition string, values ...any) {
		where, args = append(where, condition), append(args, values...)
	}
	if q.Control != "" {
		and("control = ?", q.Control)
	}
	if q.Outcome != "" {
		and("outcome = ?", q.Outcome)
	}
	if q.Resource != "" {
		and("resource GLOB ?", glob(q.Resource))
	}
	if q.Excepted != nil {
		and("excepted = ?", *q.Excepted)
	}
	if q.After != "" {
		control, resource, ok := strings.Cut(q.After, " ")
		if !ok {
			return Page{}, fmt.Errorf("%q is no page of decisions: give the one that the page before named", q.After)
		}
		and("(control, resource) > (?, ?)", control, resource)
	}
	rows, err := l.db.QueryContext(ctx, `SELECT `+decisionColumns+` FROM decisions WHERE `+strings.Join(where, " AND ")+
		` ORDER BY control, resource LIMIT ?`, append(args, q.Limit+1)...)
	list, err := collect(rows, err, scanDecision)
	if err != nil {
		return Page{}, err
	}
	if len(list) <= q.Limit {
		return Page{Decisions: list}, nil
	}
	last := list[q.Limit-1]
	return Page{Decisions: list[:q.Limit], Next: last.Control + " " + last.Resource}, nil
}

// Decision finds a failed or not evaluated decision by its id or a prefix that
// no other has. One that several runs came to is that of the latest.
func (l *Ledger) Decision(ctx context.Context, prefix string) (Decision, error) {
	if err := checkPrefix("decision", prefix); err != nil {
		return Decision{}, err
	}
	rows, err := l.db.QueryContext(ctx, `SELECT `+decisionColumns+` FROM decisions WHERE (id, (SELECT seq FROM runs WHERE runs.id = run)) IN (
		SELECT decisions.id, max(seq) FROM decisions JOIN runs ON runs.id = decisions.run
		WHERE decisions.id BETWEEN ?1 AND ?1 || 'g' GROUP BY decisions.id ORDER BY decisions.id LIMIT 2) ORDER BY id`, prefix)
	list, err := collect(rows, err, scanDecision)
	switch {
	case err != nil:
		return Decision{}, err
	case len(list) == 0:
		return Decision{}, &NotFoundError{Kind: "decision", ID: prefix}
	case len(list) > 1 && list[0].ID != prefix:
		return Decision{}, &AmbiguousError{Kind: "decision", ID: prefix, Of: []string{list[0].ID, list[1].ID}}
	}
	return list[0], nil
}

func scanDecision(rows *sql.Rows) (d Decision, err error) {
	var violations, reasons sql.NullString
	err = rows.Scan(&d.Run, &d.ID, &d.Control, &d.ControlDigest, &d.Resource, &d.Name, &d.Type, &d.Origin, &d.Owner,
		&d.Outcome, &d.Exception, &d.InputDigest, &d.SliceDigest, &violations, &reasons)
	if err != nil {
		return d, err
	}
	for text, into := range map[*sql.NullString]any{&violations: &d.Violations, &reasons: &d.Reasons} {
		if !text.Valid {
			continue
		}
		dec := json.NewDecoder(strings.NewReader(text.String))
		dec.UseNumber()
		if err := dec.Decode(into); err != nil {
			return d, fmt.Errorf("decision %s on record: %w", d.ID, err)
		}
	}
	return d, nil
}

// glob renders a pattern in which only * is special as one for SQLite.
func glob(pattern string) string {
	return strings.NewReplacer("[", "[[]", "?", "[?]").Replace(pattern)
}
