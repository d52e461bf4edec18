package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// AuditRequest asks for a run, or for a re-audit where it names what of.
type AuditRequest struct {
	Audit string      // the scheduled audit to run now; empty: Scope says what
	Scope audit.Scope // controls, frameworks and severity
	Full  bool        // evaluate everything
	By    string      // who asks, as authenticated

	// Of a re-audit:
	Of           []string // decisions, resources and controls
	Owners       []string // what they answer for
	Requirements []string // framework/requirement: their controls
}

// Reaudit tells whether only a part is to be judged again.
func (r AuditRequest) Reaudit() bool { return len(r.Of)+len(r.Owners)+len(r.Requirements) > 0 }

// Underway is an audit that runs now.
type Underway struct {
	What  string    `json:"what"` // such as: scheduled audit nightly
	Since time.Time `json:"since"`
	Job   string    `json:"job,omitempty"` // to poll, where it was asked for here
}

// Runner runs audits, one at a time whoever asks.
type Runner interface {
	// Check tells what is wrong with a request, before anything is begun.
	Check(ctx context.Context, r AuditRequest) error
	// Claim makes the caller the only one in this process that audits, until
	// release. Where another one does, the error is a *Busy.
	Claim(u Underway) (release func(), err error)
	// Run runs one audit; the caller has claimed it. The run is returned also
	// where it did not reach every sink: then the error is an *audit.DeliveryError.
	Run(ctx context.Context, r AuditRequest) (audit.Run, error)
}

// JobStatus says how far a job is.
type JobStatus string

// The statuses. A job that is done has a run, whatever that came to.
const (
	JobQueued  JobStatus = "queued"
	JobRunning JobStatus = "running"
	JobDone    JobStatus = "done"
	JobFailed  JobStatus = "failed"
)

// Job is an audit that somebody asked for. It is known until crosscheck stops;
// the run is in the ledger.
type Job struct {
	ID        string       `json:"id"`
	What      string       `json:"what"`
	By        string       `json:"by"`
	Status    JobStatus    `json:"status"`
	Requested time.Time    `json:"requested"`
	Started   time.Time    `json:"started,omitzero"`
	Ended     time.Time    `json:"ended,omitzero"`
	Run       string       `json:"run,omitempty"`
	RunStatus audit.Status `json:"run_status,omitempty"`
	Detail    string       `json:"detail,omitempty"` // why it failed, or where the run was not delivered
}

const (
	keepJobs = 200 // that are over
	maxKey   = 255 // bytes of an idempotency key
)

// JobsConfig says who runs audits.
type JobsConfig struct {
	Runner Runner
	Now    func() time.Time
	Log    *slog.Logger
}

// Jobs runs the audits that are asked for over HTTP. It outlives the handler,
// which is made anew when the configuration is read again.
type Jobs struct {
	cfg  JobsConfig
	todo chan *job // one at most: who has claimed is alone

	mu     sync.Mutex
	open   bool // Run is at work
	jobs   []*job
	byKeys map[string]*job // by token and idempotency key
}

type job struct {
	Job
	request     AuditRequest
	key, digest string
	release     func()
}

// NewJobs checks the configuration. Nothing is run before Run is called.
func NewJobs(cfg JobsConfig) (*Jobs, error) {
	if cfg.Runner == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("web: jobs need Runner, Now and Log")
	}
	return &Jobs{cfg: cfg, todo: make(chan *job, 1), byKeys: map[string]*job{}}, nil
}

// Run runs what is asked for until ctx ends, and waits for what is under way,
// which ctx ends too. It is called once.
func (j *Jobs) Run(ctx context.Context) error {
	j.mu.Lock()
	j.open = true
	j.mu.Unlock()
	for {
		select {
		case next := <-j.todo:
			j.perform(ctx, next)
		case <-ctx.Done():
			j.mu.Lock()
			j.open = false
			j.mu.Unlock()
			select {
			case next := <-j.todo:
				j.perform(ctx, next) // it sees that ctx ended
			default:
			}
			return nil
		}
	}
}

func (j *Jobs) perform(ctx context.Context, next *job) {
	defer next.release()
	j.change(func() { next.Status, next.Started = JobRunning, j.cfg.Now().UTC().Truncate(time.Second) })
	run, err := j.run(ctx, next.request)
	undelivered := errors.As(err, new(*audit.DeliveryError))
	if err != nil {
		j.cfg.Log.WarnContext(ctx, "audit that was asked for", "job", next.ID, "by", next.By, "error", err.Error())
	}
	j.change(func() {
		next.Ended, next.Status = j.cfg.Now().UTC().Truncate(time.Second), JobDone
		switch {
		case undelivered:
			next.Detail = "the run is recorded, but was not delivered everywhere: see /api/v1/deliveries"
		case err != nil && ctx.Err() != nil:
			next.Status, next.Detail = JobFailed, "crosscheck was stopped: nothing of it is recorded"
			return
		case err != nil:
			next.Status, next.Detail = JobFailed, problemOf(err).Detail+": nothing of it is recorded; the log says more under the job's id"
			return
		}
		next.Job.Run, next.RunStatus = run.ID, run.Status
	})
}

func (j *Jobs) run(ctx context.Context, r AuditRequest) (run audit.Run, err error) {
	defer func() {
		if p := recover(); p != nil {
			j.cfg.Log.ErrorContext(ctx, "internal error, please report it", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errors.New("panic")
		}
	}()
	if err := ctx.Err(); err != nil {
		return audit.Run{}, err
	}
	return j.cfg.Runner.Run(ctx, r)
}

func (j *Jobs) change(do func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	do()
}

// start begins a job, or gives the one that was begun under the same key.
func (j *Jobs) start(ctx context.Context, what, key string, r AuditRequest) (Job, error) {
	digest, err := audit.DigestOf([]any{r.Audit, r.Scope, r.Full, r.Of, r.Owners, r.Requirements})
	if err != nil {
		return Job{}, err
	}
	if key != "" {
		key = r.By + "\n" + key
	}
	if known, ok, err := j.again(key, digest); ok || err != nil {
		return known, err
	}
	if err := j.cfg.Runner.Check(ctx, r); err != nil {
		return Job{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if old, ok := j.byKeys[key]; ok && key != "" && old.digest == digest { // somebody was faster
		return old.Job, nil
	}
	if !j.open {
		return Job{}, problem(http.StatusServiceUnavailable, "crosscheck is stopping, or has not begun", "ask again when /readyz says that it is ready")
	}
	now := j.cfg.Now().UTC().Truncate(time.Second)
	next := &job{request: r, key: key, digest: digest, Job: Job{ID: rand.Text(), What: what, By: r.By, Status: JobQueued, Requested: now}}
	if next.release, err = j.cfg.Runner.Claim(Underway{What: what, Since: now, Job: next.ID}); err != nil {
		return Job{}, err
	}
	select {
	case j.todo <- next:
		j.keep(next)
		return next.Job, nil
	default: // who has claimed is alone, so this is a fault of the Runner's
		next.release()
		return Job{}, &Busy{Underway{What: "another audit", Since: now}}
	}
}

// again finds what was begun under a key.
func (j *Jobs) again(key, digest string) (Job, bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	old, ok := j.byKeys[key]
	switch {
	case key == "" || !ok:
		return Job{}, false, nil
	case old.digest != digest:
		return Job{}, false, &Invalid{"the Idempotency-Key was used for another request: use a new one for each"}
	}
	return old.Job, true, nil
}

// keep remembers a job, and forgets the oldest of those that are over.
func (j *Jobs) keep(next *job) {
	if j.jobs = append(j.jobs, next); next.key != "" {
		j.byKeys[next.key] = next
	}
	for len(j.jobs) > keepJobs && !j.jobs[0].Ended.IsZero() {
		delete(j.byKeys, j.jobs[0].key)
		j.jobs = slices.Delete(j.jobs, 0, 1)
	}
}

// list gives the jobs, the latest first.
func (j *Jobs) list() []Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]Job, 0, len(j.jobs))
	for _, one := range slices.Backward(j.jobs) {
		out = append(out, one.Job)
	}
	return out
}
