package main

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/schedule"
	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/web"
)

// answering is the part of a daemon that is asked over HTTP. What it answers by
// is replaced when the configuration is read again; jobs and counts go on.
type answering struct {
	d       *daemon
	now     *current
	current web.Current
	jobs    *web.Jobs
}

// answers begins to measure, so that all that is made afterwards is measured.
func (d *daemon) answers(cfg configs.Config) (*answering, error) {
	h := &answering{d: d, now: &current{}}
	names := func() []string {
		var out []string
		for _, a := range d.state().Audits {
			out = append(out, a.Name)
		}
		return out
	}
	if err := d.app.measure(h.now, names, h.recurrence()); err != nil {
		return nil, err
	}
	runner := daemonRunner{d: d, apiRunner: apiRunner{
		current: h.now, scheduled: h.scheduled,
		perform: func(ctx context.Context, _ *installation, o audit.Order) (audit.Run, error) {
			return d.alone(ctx, o, 0, nil)
		},
	}}
	var err error
	h.jobs, err = web.NewJobs(web.JobsConfig{Runner: runner, Now: d.app.now, Log: d.app.logger(cfg.Log)})
	return h, err
}

// recurrence reads the recurrence rate once for each run on record.
func (h *answering) recurrence() func(context.Context) (float64, error) {
	var mu sync.Mutex
	var at int64
	var rate float64
	return func(ctx context.Context) (float64, error) {
		mu.Lock()
		defer mu.Unlock()
		newest, err := h.d.ledger.Newest(ctx)
		if err != nil || newest == at {
			return rate, err
		}
		list, err := h.d.ledger.Recurrences(ctx)
		if err != nil {
			return 0, err
		}
		at, rate = newest, recurrenceRate(list)
		return rate, nil
	}
}

// recurrenceRate is the part of all failures that owners had met before.
func recurrenceRate(list []ledger.Recurrence) float64 {
	var again, all int64
	for _, r := range list {
		again += r.Again
		all += r.Spells
	}
	if all == 0 {
		return 0
	}
	return float64(again) / float64(all)
}

// scheduled is what a scheduled audit in force would be run as.
func (h *answering) scheduled(name string) (audit.Order, bool) {
	for _, a := range h.d.state().Audits {
		if a.Name == name {
			return orderOf(a), true
		}
	}
	return audit.Order{}, false
}

func orderOf(a schedule.Audit) audit.Order {
	return audit.Order{Trigger: audit.Schedule, Scope: a.Scope, Full: a.Full, Audit: a.Name}
}

// handler makes all routes for a configuration.
func (d *daemon) handler(f force) (http.Handler, interface{ Wait() }, error) {
	cfg, err := d.app.apiConfig(f.in, f.box.Wake)
	if err != nil {
		return nil, nil, err
	}
	cfg.Jobs, cfg.Metrics, cfg.Observe = d.http.jobs, d.app.measured.Handler(), d.app.measured.Requested
	cfg.Configuration = func() error {
		if s := d.state(); s.ConfigError != "" {
			return errors.New("the configuration file is wrong, the one before is in force: the log says more")
		}
		return nil
	}
	var buttons interface{ Wait() }
	if f.in.cfg.Remediation != nil {
		engine, err := d.app.repairEngine(f.in)
		if err != nil {
			return nil, nil, err
		}
		cfg.Repairs = apiRepairs{in: f.in, engine: engine, wake: d.tendSoon, now: func() audit.Switch { return audit.Switch{At: d.app.now().UTC()} }}
		pressed, err := d.app.interactions(f.in, decideBySlack(engine, d.tendSoon))
		if err != nil {
			return nil, nil, err
		}
		if pressed != nil {
			cfg.Slack, buttons = pressed, pressed
		}
	}
	h, err := web.New(cfg)
	return h, buttons, err
}

// replace answers by another configuration from now on.
func (h *answering) replace(f force) {
	h.now.Store(f.in)
	h.current.Set(f.handler)
}

// serve answers until it is shut; then it lets what is under way end.
func (h *answering) serve(ctx context.Context, f force, fail func(error)) (shut func(), err error) {
	cfg := apiServe(f.in)
	cfg.Handler = &h.current
	s, err := web.Listen(ctx, cfg)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(ctx); err != nil {
			fail(err)
		}
	})
	wg.Go(func() { _ = h.jobs.Run(ctx) }) // nil, always
	f.in.log.InfoContext(ctx, "answering", "address", s.Addr().String())
	return func() { stop(); wg.Wait() }, nil
}

// daemonRunner runs what is asked for over HTTP in the daemon's one slot.
type daemonRunner struct {
	apiRunner
	d *daemon
}

// Claim implements web.Runner.
func (r daemonRunner) Claim(web.Underway) (release func(), err error) {
	select {
	case r.d.slot <- struct{}{}:
		return sync.OnceFunc(func() { <-r.d.slot }), nil
	default:
	}
	s := r.d.state()
	what := s.Running
	if what == "" {
		what = "another audit, about to begin"
	}
	return nil, &web.Busy{Underway: web.Underway{What: what, Since: s.Since}}
}
