package web

import (
	"context"
	"net/http"

	"github.com/crosscheck-dev/crosscheck/audit"
)

func (s *server) listViolations(w http.ResponseWriter, r *request) error {
	q := parseQuery(r.URL.RawQuery, "state", "control", "outcome", "owner", "origin", "resource", "since", "limit", "after")
	ask := audit.SpellQuery{
		Outcome: audit.Outcome(q.word("outcome", "fail", "not_evaluated")), Owner: q.text("owner"), Origin: q.text("origin"),
		Resource: q.text("resource"), Since: q.since("since"), After: q.text("after"), Limit: q.limit(100),
	}
	if state := q.word("state", "open", "closed", "all"); state != "open" {
		ask.State = audit.SpellState(state)
	}
	if c := q.form("control", controlID, "a control id such as STO-001"); c != "" {
		ask.Controls = []string{c}
	}
	if err := q.err(); err != nil {
		return err
	}
	var page audit.SpellPage
	err := s.heavily(r.Context(), func(ctx context.Context) (err error) {
		page, err = s.Violations.Violations(ctx, ask)
		return err
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{"violations": append([]audit.Spell{}, page.Spells...), "next": page.Next})
}

func (s *server) showHistory(w http.ResponseWriter, r *request) error {
	q := parseQuery(r.URL.RawQuery, "control", "resource")
	control, resource := q.form("control", controlID, "a control id such as STO-001"), q.text("resource")
	if len(q.errs) == 0 && (control == "" || resource == "") {
		q.fail("parameters control and resource are required")
	}
	if err := q.err(); err != nil {
		return err
	}
	list, err := s.Violations.History(r.Context(), control, resource)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{"violations": append([]audit.Spell{}, list...)})
}
