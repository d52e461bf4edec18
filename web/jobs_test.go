package web_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/web"
)

// runner is one installation's turn to audit, as cmd keeps it.
type runner struct {
	mu      sync.Mutex
	running *web.Underway
	ran     []web.AuditRequest
	wrong   error                                    // of Check
	run     func(context.Context) (audit.Run, error) // nil: at once
	check   func()                                   // nil: at once
}

func (r *runner) Check(context.Context, web.AuditRequest) error {
	if r.check != nil {
		r.check()
	}
	return r.wrong
}

func (r *runner) Claim(u web.Underway) (func(), error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running != nil {
		return nil, &web.Busy{Underway: *r.running}
	}
	r.running = &u
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.running = nil
	}, nil
}

func (r *runner) Run(ctx context.Context, ask web.AuditRequest) (audit.Run, error) {
	r.mu.Lock()
	r.ran = append(r.ran, ask)
	r.mu.Unlock()
	if r.run == nil {
		return exampleRun(), nil
	}
	return r.run(ctx)
}

// working starts jobs that are worked on until the test ends.
func working(t *testing.T, r *runner) *web.Jobs {
	t.Helper()
	j, err := web.NewJobs(web.JobsConfig{Runner: r, Now: func() time.Time { return asOf }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- j.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return j
}

// idleJobs are worked on, each at once.
func idleJobs(t *testing.T) *web.Jobs { return working(t, &runner{}) }

// begin asks until jobs are worked on: that begins in another goroutine.
func begin(s *site, target, body, key string) (job web.Job, code int, location string) {
	s.t.Helper()
	for {
		r := request("POST", target, body, secrets[web.Operator])
		if key != "" {
			r.Header.Set("Idempotency-Key", key)
		}
		w := s.ask(r)
		if w.Code == http.StatusServiceUnavailable {
			continue
		}
		if w.Code == http.StatusAccepted {
			job = decode[web.Job](s.t, w)
		}
		return job, w.Code, w.Header().Get("Location")
	}
}

// ended polls a job until it is over.
func ended(s *site, location string) web.Job {
	s.t.Helper()
	for {
		if job := decode[web.Job](s.t, s.as(web.Viewer, "GET", location, "")); !job.Ended.IsZero() {
			return job
		}
	}
}

func TestOneAuditAtATime(t *testing.T) {
	t.Parallel()
	let := make(chan struct{})
	r := &runner{run: func(context.Context) (audit.Run, error) { <-let; return exampleRun(), nil }}
	jobs := working(t, r)
	s := newSite(t, func(c *web.Config) { c.Jobs = jobs })
	job, code, location := begin(s, "/api/v1/runs", `{"controls":["STO-001"],"full":true}`, "")
	if code != http.StatusAccepted || location != "/api/v1/jobs/"+job.ID || job.By != "the-operator" {
		t.Fatalf("%d %q %+v", code, location, job)
	}
	w := s.as(web.Operator, "POST", "/api/v1/reaudits", `{"of":["STO-001"]}`)
	p := decode[web.Problem](t, w)
	if w.Code != http.StatusConflict || p.Running == nil || p.Running.Job != job.ID || p.Running.What != "audit of a part" {
		t.Errorf("while one runs: %d %s", w.Code, w.Body)
	}
	close(let)
	if got := ended(s, location); got.Status != web.JobDone || got.Run != runID || got.RunStatus != audit.Complete {
		t.Errorf("ended as %+v", got)
	}
	if job, code, location = begin(s, "/api/v1/reaudits", `{"of":["STO-001","3f9a"]}`, ""); code != http.StatusAccepted {
		// The claim is given back just after the job is over.
		for code == http.StatusConflict {
			job, code, location = begin(s, "/api/v1/reaudits", `{"of":["STO-001","3f9a"]}`, "")
		}
	}
	ended(s, location)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ran) != 2 || !r.ran[0].Full || len(r.ran[0].Scope.Controls) != 1 || strings.Join(r.ran[1].Of, " ") != "3f9a STO-001" || r.ran[1].By != "the-operator" {
		t.Errorf("ran %+v", r.ran)
	}
	if list := decode[struct{ Jobs []web.Job }](t, s.as(web.Viewer, "GET", "/api/v1/jobs", "")); len(list.Jobs) != 2 || list.Jobs[0].ID != job.ID {
		t.Errorf("jobs %+v", list.Jobs)
	}
}

// TestJobAfterRestart: who asks for a job after a restart is told that it is
// forgotten, and where its run is.
func TestJobAfterRestart(t *testing.T) {
	t.Parallel()
	before := newSite(t, func(c *web.Config) { c.Jobs = idleJobs(t) })
	job, _, location := begin(before, "/api/v1/runs", `{}`, "key")
	if got := ended(before, location); got.ID != job.ID {
		t.Fatalf("%+v", got)
	}
	after := newSite(t, func(c *web.Config) { c.Jobs = idleJobs(t) })
	w := after.as(web.Viewer, "GET", location, "")
	p := decode[web.Problem](t, w)
	if w.Code != http.StatusNotFound || !strings.Contains(p.Detail, "a restart forgets jobs") || !strings.Contains(p.Remedy, "GET /api/v1/runs") {
		t.Errorf("after a restart: %d %s", w.Code, w.Body)
	}
	if again, code, _ := begin(after, "/api/v1/runs", `{}`, "key"); code != http.StatusAccepted || again.ID == job.ID {
		t.Errorf("the key of a job that is forgotten: %d %+v", code, again)
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	let := make(chan struct{})
	r := &runner{run: func(context.Context) (audit.Run, error) { <-let; return exampleRun(), nil }}
	jobs := working(t, r)
	s := newSite(t, func(c *web.Config) { c.Jobs = jobs })
	first, _, location := begin(s, "/api/v1/runs", `{}`, "k1")
	again, code, _ := begin(s, "/api/v1/runs", `{}`, "k1") // while it runs: no conflict, the same job
	if code != http.StatusAccepted || again.ID != first.ID {
		t.Errorf("again: %d %+v", code, again)
	}
	if _, code, _ := begin(s, "/api/v1/runs", `{"full":true}`, "k1"); code != http.StatusUnprocessableEntity {
		t.Errorf("the key for another request: %d", code)
	}
	if _, code, _ := begin(s, "/api/v1/runs", `{}`, "k2"); code != http.StatusConflict {
		t.Errorf("another key: %d", code)
	}
	close(let)
	ended(s, location)
	if again, _, _ = begin(s, "/api/v1/runs", `{}`, "k1"); again.ID != first.ID || again.Run != runID {
		t.Errorf("after it: %+v", again)
	}
	if _, code, _ := begin(s, "/api/v1/runs", `{}`, strings.Repeat("k", 300)); code != http.StatusBadRequest {
		t.Errorf("a long key: %d", code)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ran) != 1 {
		t.Errorf("%d runs", len(r.ran))
	}
}

func TestJobsThatFail(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		run    func(context.Context) (audit.Run, error)
		status web.JobStatus
		detail string
	}{
		"not delivered": {func(context.Context) (audit.Run, error) {
			return exampleRun(), &audit.DeliveryError{Run: runID, Err: errHidden}
		}, web.JobDone, "not delivered everywhere"},
		"nothing recorded": {func(context.Context) (audit.Run, error) { return audit.Run{}, errHidden }, web.JobFailed, "the log says more"},
		"unknown": {func(context.Context) (audit.Run, error) {
			return audit.Run{}, audit.UnknownError{Kind: "origin", Name: "aws/x"}
		}, web.JobFailed, "no origin aws/x"},
		"a fault of ours": {func(context.Context) (audit.Run, error) { panic(hidden) }, web.JobFailed, "the log says more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			jobs := working(t, &runner{run: tt.run})
			s := newSite(t, func(c *web.Config) { c.Jobs = jobs })
			_, _, location := begin(s, "/api/v1/runs", `{}`, "")
			job := ended(s, location)
			if job.Status != tt.status || !strings.Contains(job.Detail, tt.detail) || (job.Run != "") != (tt.status == web.JobDone) {
				t.Errorf("%+v", job)
			}
		})
	}
}

func TestRefusedBeforeItBegins(t *testing.T) {
	t.Parallel()
	r := &runner{wrong: audit.UnknownError{Kind: "control", Name: "STO-999"}}
	jobs := working(t, r)
	s := newSite(t, func(c *web.Config) { c.Jobs = jobs })
	if _, code, _ := begin(s, "/api/v1/runs", `{"controls":["STO-999"]}`, ""); code != http.StatusUnprocessableEntity || len(r.ran) > 0 {
		t.Errorf("%d, ran %v", code, r.ran)
	}
}

// TestJobsStop has what is under way end, and nothing begin.
func TestJobsStop(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	r := &runner{run: func(ctx context.Context) (audit.Run, error) {
		close(begun)
		<-ctx.Done()
		return audit.Run{}, ctx.Err()
	}}
	jobs, err := web.NewJobs(web.JobsConfig{Runner: r, Now: func() time.Time { return asOf }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, func(c *web.Config) { c.Jobs = jobs })
	if w := s.as(web.Operator, "POST", "/api/v1/runs", `{}`); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("before: %d", w.Code)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	done := make(chan error)
	go func() { done <- jobs.Run(ctx) }()
	_, _, location := begin(s, "/api/v1/runs", `{}`, "")
	<-begun
	stop(errors.New("stop"))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if job := ended(s, location); job.Status != web.JobFailed || !strings.Contains(job.Detail, "stopped") {
		t.Errorf("%+v", job)
	}
	if w := s.as(web.Operator, "POST", "/api/v1/runs", `{}`); w.Code != http.StatusServiceUnavailable {
		t.Errorf("after: %d", w.Code)
	}
}

// TestChecksAreHeavy: to find out what a re-audit is of may read all of a run, so
// that no more than four do at once.
func TestChecksAreHeavy(t *testing.T) {
	t.Parallel()
	begun, end := make(chan struct{}, 20), make(chan struct{})
	r := &runner{check: func() { begun <- struct{}{}; <-end }}
	s := newSite(t, func(c *web.Config) { c.Jobs = working(t, r) })
	codes := make(chan int, 20)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { codes <- s.as(web.Operator, "POST", "/api/v1/reaudits", `{"owners":["web"]}`).Code })
		<-begun
	}
	go func() {
		<-begun // a fifth would wait for ever
		close(end)
	}()
	if code := s.as(web.Operator, "POST", "/api/v1/reaudits", `{"owners":["web"]}`).Code; code != http.StatusServiceUnavailable {
		t.Errorf("a fifth at once: %d", code)
	} else {
		begun <- struct{}{}
	}
	wg.Wait()
}
