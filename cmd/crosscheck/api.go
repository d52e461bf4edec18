package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/web"
	"github.com/crosscheck-dev/crosscheck/web/metrics"
)

// apiConfig has an installation, whose ledger is open, answer over HTTP. Repairs,
// Jobs, Metrics, Slack, Configuration and Observe are for the caller to add.
// wake is called when deliveries are to be tried again; it may be nil.
func (a *app) apiConfig(in *installation, wake func()) (web.Config, error) {
	tokens, err := apiTokens(in.cfg.API)
	if err != nil {
		return web.Config{}, err
	}
	return web.Config{
		Tokens: tokens, Runs: apiRuns{in}, Decisions: apiDecisions{in}, Violations: apiViolations{in}, Packs: apiPacks{in},
		Deliveries: apiDeliveries{in: in, app: a, wake: wake}, Catalog: func() audit.Catalog { return in.library.Catalog },
		Ledger: func(ctx context.Context) error {
			_, err := in.ledger.Newest(ctx)
			return err
		},
		TempDir: in.cfg.DataDir, Now: a.now, Log: in.log,
	}, nil
}

// apiTokens reads the secrets of the tokens.
func apiTokens(cfg configs.API) ([]web.Token, error) {
	var out []web.Token
	for i, t := range cfg.Tokens {
		secret, err := t.Token.Reveal()
		if err != nil {
			return nil, err // says where
		}
		roles := make([]web.Role, len(t.Roles))
		for j, r := range t.Roles {
			roles[j] = web.Role(r)
		}
		token, err := web.NewToken(t.Name, roles, secret)
		if err != nil {
			return nil, fmt.Errorf("api.tokens[%d].token: %w", i, err)
		}
		out = append(out, token)
	}
	return out, nil
}

// apiServe says where an installation answers.
func apiServe(in *installation) web.ServeConfig {
	cfg := web.ServeConfig{Listen: in.cfg.API.Listen, Authenticated: len(in.cfg.API.Tokens) > 0, Log: in.log}
	if t := in.cfg.API.TLS; t != nil {
		cfg.CertFile, cfg.KeyFile = t.CertFile, t.KeyFile
	}
	return cfg
}

// current is the installation that is in force. It is replaced when the
// configuration is read again; what is measured goes on.
type current struct{ atomic.Pointer[installation] }

// errNone says that nothing is in force yet.
var errNone = errors.New("no configuration is in force")

// catalog is that of the installation in force.
func (c *current) catalog() audit.Catalog {
	if in := c.Load(); in != nil {
		return in.library.Catalog
	}
	return audit.Catalog{}
}

// standing reads what stands from the ledger in force.
type standing struct{ current *current }

func (s standing) ledger() (*ledger.Ledger, error) {
	if in := s.current.Load(); in != nil && in.ledger != nil {
		return in.ledger, nil
	}
	return nil, errNone
}

// Newest implements metrics.Ledger.
func (s standing) Newest(ctx context.Context) (int64, error) {
	l, err := s.ledger()
	if err != nil {
		return 0, err
	}
	return l.Newest(ctx)
}

// LastOf implements metrics.Ledger.
func (s standing) LastOf(ctx context.Context, name string, after int64) (audit.Run, int64, bool, error) {
	l, err := s.ledger()
	if err != nil {
		return audit.Run{}, 0, false, err
	}
	return l.LastOf(ctx, name, after)
}

// OpenTally implements metrics.Ledger.
func (s standing) OpenTally(ctx context.Context) ([]audit.OpenTally, error) {
	l, err := s.ledger()
	if err != nil {
		return nil, err
	}
	return l.OpenTally(ctx)
}

// RunTally implements metrics.Ledger.
func (s standing) RunTally(ctx context.Context) ([]audit.RunTally, error) {
	l, err := s.ledger()
	if err != nil {
		return nil, err
	}
	return l.RunTally(ctx)
}

// QueueTally implements metrics.Ledger.
func (s standing) QueueTally(ctx context.Context) ([]audit.QueueTally, error) {
	l, err := s.ledger()
	if err != nil {
		return nil, err
	}
	return l.QueueTally(ctx)
}

// RepairRates implements metrics.Ledger.
func (s standing) RepairRates(ctx context.Context) ([]audit.RepairRate, error) {
	l, err := s.ledger()
	if err != nil {
		return nil, err
	}
	return l.RepairRates(ctx)
}

// measure begins to measure: whatever this app makes afterwards is measured.
// audits names the scheduled audits in force; recurrence may be nil.
func (a *app) measure(now *current, audits func() []string, recurrence func(context.Context) (float64, error)) error {
	cfg := configs.Log{Level: "warn", Format: "text"}
	if in := now.Load(); in != nil {
		cfg = in.cfg.Log
	}
	m, err := metrics.New(metrics.Config{
		Ledger: standing{now}, Audits: audits, Catalog: now.catalog, Recurrence: recurrence, Version: version(), Now: a.now, Log: a.logger(cfg),
		Credentials: func() []metrics.Credential {
			if in := now.Load(); in != nil {
				return expiring(in.cfg)
			}
			return nil
		},
	})
	a.measured = m
	return err
}

// turn lets one audit run at a time in this process, whoever asks for it.
type turn struct {
	mu      sync.Mutex
	running *web.Underway
}

// Claim takes the turn until release; where another one has it, the error is a *web.Busy.
func (t *turn) Claim(u web.Underway) (release func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running != nil {
		return nil, &web.Busy{Underway: *t.running}
	}
	t.running = &u
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.running = nil
	}), nil
}

// apiRunner implements web.Runner.
type apiRunner struct {
	*turn
	current   *current
	scheduled func(name string) (audit.Order, bool) // a scheduled audit by its name; nil: there are none
	perform   func(ctx context.Context, in *installation, o audit.Order) (audit.Run, error)
}

// Check implements web.Runner.
func (r apiRunner) Check(ctx context.Context, ask web.AuditRequest) error {
	in := r.current.Load()
	if in == nil {
		return errNone
	}
	_, err := r.order(ctx, in, ask)
	return forWeb(err)
}

// Run implements web.Runner.
func (r apiRunner) Run(ctx context.Context, ask web.AuditRequest) (audit.Run, error) {
	in := r.current.Load()
	if in == nil {
		return audit.Run{}, errNone
	}
	o, err := r.order(ctx, in, ask)
	if err != nil {
		return audit.Run{}, forWeb(err)
	}
	return r.perform(ctx, in, o)
}

// order is what a request comes to.
func (r apiRunner) order(ctx context.Context, in *installation, ask web.AuditRequest) (audit.Order, error) {
	switch {
	case ask.Reaudit():
		return in.reauditOrder(ctx, ask)
	case ask.Audit != "":
		o, ok := audit.Order{}, false
		if r.scheduled != nil {
			o, ok = r.scheduled(ask.Audit)
		}
		if !ok {
			return o, &web.Invalid{Message: fmt.Sprintf("no audit is called %q in the configuration", ask.Audit)}
		}
		o.Trigger, o.Audit, o.Full = audit.Manual, ask.Audit, o.Full || ask.Full
		return o, nil
	}
	_, err := in.library.Catalog.Select(ask.Scope)
	return audit.Order{Trigger: audit.Manual, Scope: ask.Scope, Full: ask.Full}, naming(in.library.Catalog, err)
}

// reauditOrder finds what is concerned by a request of a re-audit.
func (in *installation) reauditOrder(ctx context.Context, ask web.AuditRequest) (audit.Order, error) {
	last, ok, err := in.ledger.LastComplete(ctx)
	switch {
	case err != nil:
		return audit.Order{}, err
	case !ok:
		return audit.Order{}, &web.Conflict{Message: "no complete run is on record to lay this one over", Remedy: "start an audit of everything first"}
	}
	c, err := in.concerned(ctx, last, asked{args: ask.Of, owners: ask.Owners, requirements: ask.Requirements})
	if err != nil {
		return audit.Order{}, err
	}
	return c.order(ctx)
}

// forWeb turns an error into one that the API may show.
func forWeb(err error) error {
	var missing *ledger.NotFoundError
	var several *ledger.AmbiguousError
	var page *audit.PageError
	var wrong misasked
	var unknown audit.UnknownError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &missing):
		return &web.NotFound{Message: missing.Error()}
	case errors.As(err, &several):
		return &web.Invalid{Message: several.Error()}
	case errors.As(err, &wrong):
		return &web.Invalid{Message: wrong.Error()}
	case errors.As(err, &unknown):
		return &web.Invalid{Message: unknown.Error()}
	case errors.As(err, &page):
		return &web.Invalid{Message: page.Error()}
	}
	return err
}
