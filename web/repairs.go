package web

import (
	"net/http"
	"regexp"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// runbookName is what names of runbooks look like.
var runbookName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// repairStates are the words of audit.RepairState.
var repairStates = []string{
	"suggested", "requested", "approved", "denied", "expired", "blocked", "acting", "unknown", "acted", "verified", "failed", "rolled_back", "stuck",
	"settling", "settled",
}

// repairing refuses where repairs are off.
func (s *server) repairing() error {
	if s.Repairs == nil {
		return problem(http.StatusNotFound, "repairs are off", "configure remediation, and reload crosscheck")
	}
	return nil
}

func (s *server) listRepairs(w http.ResponseWriter, r *request) error {
	q := parseQuery(r.URL.RawQuery, "state", "control", "resource", "runbook", "limit")
	ask := RepairQuery{
		State: audit.RepairState(q.word("state", repairStates...)), Control: q.form("control", controlID, "a control id such as STO-001"),
		Resource: q.text("resource"), Runbook: q.form("runbook", runbookName, "a runbook's name"), Limit: q.limit(100),
	}
	if err := q.err(); err != nil {
		return err
	}
	if err := s.repairing(); err != nil {
		return err
	}
	list, err := s.Repairs.List(r.Context(), ask)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{"repairs": append([]audit.Repair{}, list...)})
}

func (s *server) showRepair(w http.ResponseWriter, r *request) error {
	id, err := r.pathID("id", "repair")
	if err == nil {
		err = r.nothing()
	}
	if err == nil {
		err = s.repairing()
	}
	if err != nil {
		return err
	}
	repair, err := s.Repairs.Repair(r.Context(), id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, repair)
}

func (s *server) requestRepair(w http.ResponseWriter, r *request) error {
	var b struct {
		Decision string `json:"decision"`
		Runbook  string `json:"runbook"`
	}
	if err := r.body(&b); err != nil {
		return err
	}
	switch {
	case !hexID.MatchString(b.Decision):
		return &Invalid{"decision: expected the id of a failed decision"}
	case b.Runbook != "" && !runbookName.MatchString(b.Runbook):
		return &Invalid{"runbook: expected a runbook's name"}
	}
	if err := s.repairing(); err != nil {
		return err
	}
	repair, err := s.Repairs.Request(r.Context(), RepairRequest{Decision: b.Decision, Runbook: b.Runbook, By: r.token.Name})
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/v1/repairs/"+repair.ID)
	return reply(w, http.StatusAccepted, repair)
}

func (s *server) approveRepair(w http.ResponseWriter, r *request) error {
	return s.answerRepair(w, r, true)
}

func (s *server) denyRepair(w http.ResponseWriter, r *request) error {
	return s.answerRepair(w, r, false)
}

func (s *server) answerRepair(w http.ResponseWriter, r *request, approve bool) error {
	id, err := r.pathID("id", "repair")
	if err != nil {
		return err
	}
	var b struct {
		Reason string `json:"reason"`
	}
	if err := r.body(&b); err != nil {
		return err
	}
	if !plain(b.Reason) {
		return &Invalid{"reason: expected one line of text"}
	}
	if err := s.repairing(); err != nil {
		return err
	}
	repair, err := s.Repairs.Answer(r.Context(), RepairAnswer{ID: id, Approve: approve, By: r.token.Name, Reason: b.Reason})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, repair)
}

func (s *server) settleRepair(w http.ResponseWriter, r *request) error {
	id, err := r.pathID("id", "repair")
	if err != nil {
		return err
	}
	var b struct {
		Note string `json:"note"`
	}
	if err := r.body(&b); err != nil {
		return err
	}
	if b.Note == "" || !plain(b.Note) {
		return &Invalid{"note: expected one line of text that says what was done"}
	}
	if err := s.repairing(); err != nil {
		return err
	}
	repair, err := s.Repairs.Settle(r.Context(), RepairNote{ID: id, By: r.token.Name, Note: b.Note})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, repair)
}

func (s *server) showSwitch(w http.ResponseWriter, r *request) error {
	if err := r.nothing(); err != nil {
		return err
	}
	if err := s.repairing(); err != nil {
		return err
	}
	k, err := s.Repairs.Stopped(r.Context())
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, k)
}

func (s *server) setSwitch(w http.ResponseWriter, r *request) error {
	var b struct {
		On     *bool  `json:"on"`
		Reason string `json:"reason"`
	}
	if err := r.body(&b); err != nil {
		return err
	}
	switch {
	case b.On == nil:
		return &Invalid{"on: expected true, which stops all repairs, or false"}
	case !plain(b.Reason):
		return &Invalid{"reason: expected one line of text"}
	}
	if err := s.repairing(); err != nil {
		return err
	}
	k, err := s.Repairs.Stop(r.Context(), KillSwitch{On: *b.On, By: r.token.Name, Reason: b.Reason})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, k)
}
