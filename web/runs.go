package web

import (
	"context"
	"net/http"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// RunSummary is a run as a list shows it.
type RunSummary struct {
	ID           string        `json:"id"`
	Status       audit.Status  `json:"status"`
	Trigger      audit.Trigger `json:"trigger"`
	Audit        string        `json:"audit,omitempty"`
	Repair       string        `json:"repair,omitempty"`
	Scope        audit.Scope   `json:"scope"`
	AsOf         time.Time     `json:"as_of"`
	Simulated    bool          `json:"simulated"`
	Started      time.Time     `json:"started"`
	Ended        time.Time     `json:"ended"`
	Revision     string        `json:"revision"`
	Origins      int           `json:"origins"`
	Resources    int64         `json:"resources"`
	Listed       int64         `json:"listed"` // = pass + fail + not_evaluated + excluded
	Pass         int64         `json:"pass"`
	Fail         int64         `json:"fail"`
	NotEvaluated int64         `json:"not_evaluated"`
	Excluded     int64         `json:"excluded"`
	Excepted     int64         `json:"excepted"` // a part of fail
	Gaps         int           `json:"gaps"`
	Notices      int           `json:"notices"`
	Previous     string        `json:"previous,omitempty"`
}

// Summarise counts what a run came to.
func Summarise(run audit.Run) RunSummary {
	s := RunSummary{
		ID: run.ID, Status: run.Status, Trigger: run.Trigger, Audit: run.Audit, Repair: run.Repair, Scope: run.Scope, AsOf: run.AsOf,
		Simulated: run.Simulated, Started: run.Started, Ended: run.Ended, Revision: run.Revision, Origins: len(run.Snapshots),
		Gaps: len(run.Gaps()), Notices: len(run.Notices), Previous: run.Previous,
	}
	for _, snap := range run.Snapshots {
		s.Resources += snap.Resources
	}
	for _, c := range run.Counts {
		s.Listed += c.Listed
		s.Pass += c.Pass
		s.Fail += c.Fail
		s.NotEvaluated += c.NotEvaluated
		s.Excluded += c.Excluded
		s.Excepted += c.Excepted
	}
	return s
}

// RunDetail is all of a run but who ran the program, where.
type RunDetail struct {
	Summary   RunSummary        `json:"summary"`
	Origins   []RunOrigin       `json:"origins"`
	Counts    []audit.Count     `json:"counts"`
	Gaps      []audit.Gap       `json:"gaps"`
	Notices   []audit.Notice    `json:"notices"`
	Relinked  map[string]string `json:"relinked,omitempty"` // re-audit: new decision → the one that it judged again
	Evaluated []audit.Evaluated `json:"evaluated,omitempty"`
	Engine    string            `json:"engine"`
}

// RunOrigin is what a run read of one origin.
type RunOrigin struct {
	Origin    string    `json:"origin"`
	Digest    string    `json:"digest"`
	Resources int64     `json:"resources"`
	Identity  string    `json:"identity"`
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended"`
	Recorded  bool      `json:"recorded"`
}

func (s *server) listRuns(w http.ResponseWriter, r *request) error {
	q := parseQuery(r.URL.RawQuery, "trigger", "status", "audit", "before", "limit")
	ask := RunQuery{
		Trigger: audit.Trigger(q.word("trigger", "schedule", "manual", "reaudit", "gate")), Status: audit.Status(q.word("status", "complete", "incomplete")),
		Audit: q.text("audit"), Before: q.form("before", hexID, "a run's whole id"), Limit: q.limit(50),
	}
	if err := q.err(); err != nil {
		return err
	}
	limit, list, next := ask.Limit, []RunSummary{}, ""
	ask.Limit++
	err := s.heavily(r.Context(), func(ctx context.Context) error {
		return s.Runs.Each(ctx, ask, func(run audit.Run) error {
			if len(list) == limit {
				next = list[limit-1].ID
			} else {
				list = append(list, Summarise(run))
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{"runs": list, "next": next})
}

func (s *server) showRun(w http.ResponseWriter, r *request) error {
	id, err := r.pathID("id", "run")
	if err == nil {
		err = r.nothing()
	}
	if err != nil {
		return err
	}
	run, err := s.Runs.Run(r.Context(), id)
	if err != nil {
		return err
	}
	d := RunDetail{
		Summary: Summarise(run), Origins: []RunOrigin{}, Counts: append([]audit.Count{}, run.Counts...), Gaps: append([]audit.Gap{}, run.Gaps()...),
		Notices: append([]audit.Notice{}, run.Notices...), Relinked: run.Relinked, Evaluated: run.Evaluated, Engine: run.Engine,
	}
	for _, o := range run.Snapshots {
		d.Origins = append(d.Origins, RunOrigin{o.Origin, o.Digest, o.Resources, o.Identity, o.Started, o.Ended, o.Recorded})
	}
	return reply(w, http.StatusOK, d)
}
