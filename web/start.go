package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

const (
	maxWords    = 100 // entries of a list in a request
	maxSubjects = 500 // of a re-audit
)

func (s *server) startRun(w http.ResponseWriter, r *request) error {
	var b struct {
		Audit      string         `json:"audit"`
		Controls   []string       `json:"controls"`
		Frameworks []string       `json:"frameworks"`
		Severity   audit.Severity `json:"severity"`
		Full       bool           `json:"full"`
	}
	if err := r.body(&b); err != nil {
		return err
	}
	scope := audit.Scope{Controls: unique(b.Controls), Frameworks: unique(b.Frameworks), Severity: b.Severity}
	if err := errors.Join(words("controls", b.Controls, maxWords), words("frameworks", b.Frameworks, maxWords)); err != nil {
		return err
	}
	switch {
	case !plain(b.Audit):
		return &Invalid{"audit: expected the name of a scheduled audit"}
	case b.Audit != "" && !scope.Whole():
		return &Invalid{"audit has a scope of its own: expected no other beside it"}
	case b.Severity != "" && !b.Severity.Valid():
		return &Invalid{"severity: expected critical, high, medium or low"}
	}
	what := "audit"
	switch {
	case b.Audit != "":
		what = "audit " + b.Audit
	case !scope.Whole():
		what = "audit of a part"
	}
	return s.start(w, r, what, AuditRequest{Audit: b.Audit, Scope: scope, Full: b.Full})
}

func (s *server) startReaudit(w http.ResponseWriter, r *request) error {
	var b struct {
		Of           []string `json:"of"`
		Owners       []string `json:"owners"`
		Requirements []string `json:"requirements"`
	}
	if err := r.body(&b); err != nil {
		return err
	}
	if err := errors.Join(words("of", b.Of, maxSubjects), words("owners", b.Owners, maxWords), words("requirements", b.Requirements, maxWords)); err != nil {
		return err
	}
	ask := AuditRequest{Of: unique(b.Of), Owners: unique(b.Owners), Requirements: unique(b.Requirements)}
	if !ask.Reaudit() {
		return &Invalid{"expected at least one decision, resource or control in of, or an owner, or a requirement"}
	}
	return s.start(w, r, "re-audit", ask)
}

// start begins a job and says where to ask for it.
func (s *server) start(w http.ResponseWriter, r *request, what string, ask AuditRequest) error {
	if s.Jobs == nil {
		return problem(http.StatusServiceUnavailable, "nothing can be started here", "run `crosscheck daemon`, which can")
	}
	key := r.Header.Get("Idempotency-Key")
	if len(key) > maxKey || !plain(key) || len(r.Header.Values("Idempotency-Key")) > 1 {
		return problem(http.StatusBadRequest, "the Idempotency-Key is too long, given twice, or not printable", "send one of up to 255 bytes, such as a UUID")
	}
	ask.By = r.token.Name
	var job Job
	err := oneOf(r.Context(), s.starting, func(ctx context.Context) (err error) { // what is asked for is looked up in all of a run
		job, err = s.Jobs.start(ctx, what, key, ask)
		return err
	})
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/v1/jobs/"+job.ID)
	return reply(w, http.StatusAccepted, job)
}

func (s *server) listJobs(w http.ResponseWriter, r *request) error {
	if err := r.nothing(); err != nil {
		return err
	}
	list := []Job{}
	if s.Jobs != nil {
		list = s.Jobs.list()
	}
	return reply(w, http.StatusOK, map[string]any{"jobs": list})
}

func (s *server) showJob(w http.ResponseWriter, r *request) error {
	if err := r.nothing(); err != nil {
		return err
	}
	if s.Jobs != nil {
		list := s.Jobs.list()
		if i := slices.IndexFunc(list, func(j Job) bool { return j.ID == r.PathValue("id") }); i >= 0 {
			return reply(w, http.StatusOK, list[i])
		}
	}
	return problem(http.StatusNotFound, fmt.Sprintf("there is no such job: a restart forgets jobs, and of those that are over the last %d are known", keepJobs),
		"what it came to is a run, if it came to anything: GET /api/v1/runs lists them, the latest first")
}

func unique(list []string) []string {
	out := slices.Clone(list)
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	slices.Sort(out)
	return slices.Compact(out)
}
