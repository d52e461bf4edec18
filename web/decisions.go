package web

import (
	"context"
	"net/http"

	"github.com/crosscheck-dev/crosscheck/audit"
)

func (s *server) listDecisions(w http.ResponseWriter, r *request) error {
	q := parseQuery(r.URL.RawQuery, "run", "control", "outcome", "resource", "excepted", "limit", "after")
	ask := DecisionQuery{
		Control: q.form("control", controlID, "a control id such as STO-001"), Outcome: q.word("outcome", "fail", "not_evaluated", "pass", "excluded", "all"),
		Resource: q.text("resource"), Excepted: q.yesNo("excepted"), After: q.text("after"), Limit: q.limit(100),
	}
	if ask.Run = q.text("run"); ask.Run != "latest" {
		ask.Run = q.form("run", hexID, "a run's id, or latest")
	}
	if err := q.err(); err != nil {
		return err
	}
	var run audit.Run
	var page audit.Page
	err := s.heavily(r.Context(), func(ctx context.Context) (err error) {
		run, page, err = s.Decisions.List(ctx, ask)
		return err
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{
		"run": run.ID, "as_of": audit.Stamp(run.AsOf), "decisions": append([]audit.Found{}, page.Decisions...), "next": page.Next,
	})
}

func (s *server) showDecision(w http.ResponseWriter, r *request) error {
	id, err := r.pathID("id", "decision")
	if err == nil {
		err = r.nothing()
	}
	if err != nil {
		return err
	}
	var d Decision
	err = s.heavily(r.Context(), func(ctx context.Context) (err error) {
		d, err = s.Decisions.Decision(ctx, id)
		return err
	})
	if err != nil {
		return err
	}
	d.Requirements = append([]string{}, d.Requirements...)
	return reply(w, http.StatusOK, d)
}
