package web

import (
	"net/http"

	"github.com/crosscheck-dev/crosscheck/audit"
)

func (s *server) listControls(w http.ResponseWriter, r *request) error {
	q := parseQuery(r.URL.RawQuery, "framework", "severity")
	scope := audit.Scope{Severity: audit.Severity(q.word("severity", "critical", "high", "medium", "low"))}
	if f := q.text("framework"); f != "" {
		scope.Frameworks = []string{f}
	}
	if err := q.err(); err != nil {
		return err
	}
	catalog := s.Catalog()
	list, err := catalog.Select(scope)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{"revision": catalog.Revision, "controls": append([]audit.Control{}, list...)})
}

func (s *server) showControl(w http.ResponseWriter, r *request) error {
	if err := r.nothing(); err != nil {
		return err
	}
	catalog := s.Catalog()
	id := r.PathValue("id")
	c, ok := catalog.Control(id)
	if !ok {
		return &NotFound{"there is no control " + clip(id)}
	}
	return reply(w, http.StatusOK, map[string]any{
		"control": c, "rego": c.Rego, "requirements": append([]string{}, catalog.Requirements(id)...), "revision": catalog.Revision,
	})
}
