// Package remediate repairs what an audit found: a runbook, one violated
// decision, a runner. It is the only package that may change an audited system.
//
// Nothing is done unless it is configured, and nothing is done twice: the intent
// is in the ledger before a runner is called, and a repair of which nobody knows
// how it ended is settled by a re-audit, never by doing it again.
package remediate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Call is one use of a runbook on one resource, as runners see it.
type Call struct {
	Repair   string // the repair's id, which is the idempotency key too
	Runbook  Runbook
	Resource string // id
	Origin   string
	Type     string
	Targets  []Values // one, or one for each violation; never empty
	DryRun   bool     // change nothing, say what would be changed
}

// Runner is what acts. It is called by one goroutine at a time for one resource.
type Runner interface {
	// Capture reads what Undo needs to put back what is there now. Equal states
	// give equal bytes. A runner that cannot read it gives nil. It changes nothing.
	Capture(ctx context.Context, c Call) (json.RawMessage, error)
	// Act does what the runbook says, once, and tells what it did. After an error
	// nobody may rely on its having done nothing.
	Act(ctx context.Context, c Call) (output string, err error)
	// Undo puts back what Capture gave before Act.
	Undo(ctx context.Context, c Call, before json.RawMessage) (output string, err error)
}

// ErrAtWork marks the error of a runner that stopped looking while what it began
// may go on: nobody knows how that ends, and nothing is put back meanwhile.
var ErrAtWork = errors.New("what was begun may go on")

// Checker is a runner that can tell, without asking anybody, what is wrong with a runbook.
type Checker interface {
	Check(r Runbook) error
}

// Comparer is a runner of which two captured states may be the same though their
// bytes differ, because somebody else changed what lies beside.
type Comparer interface {
	Same(before, now json.RawMessage) bool
}

// Judged is a decision that was made again.
type Judged struct {
	Run      audit.Run
	Decision audit.Found    // zero where Gone is set
	Document audit.Resource // with its values; zero where Gone is set
	Failing  []string       // all controls that fail on the resource; only of what was judged again
	Gone     bool           // the resource is absent from a complete listing
}

// Judge looks at decisions.
type Judge interface {
	// Seen gives a decision on record by its whole id, with its resource as it was then.
	Seen(ctx context.Context, decision string) (Judged, error)
	// Again judges a decision's resource on fresh data, by a re-audit that is on
	// record when it returns. repair names the repair that it verifies, if any.
	// What cannot be told, because it could not be listed, is an error.
	Again(ctx context.Context, d audit.Found, repair string) (Judged, error)
	// Failing gives the controls that failed on a resource in a re-audit on record.
	Failing(ctx context.Context, run, resource string) ([]string, error)
}

// Ledger keeps repairs.
type Ledger interface {
	// Repairs gives repairs, the latest first.
	Repairs(ctx context.Context, q audit.RepairQuery) ([]audit.Repair, error)
	// Move takes a repair from one state to the next, with what is owed to sinks,
	// all of it or nothing. Where it is in another state the error is
	// audit.ErrMoved, where another repair works on the resource audit.ErrBusy,
	// where the run has as many as it may audit.ErrEnough.
	Move(ctx context.Context, m audit.RepairMove) error
	// Memory gives what was captured before a repair acted, nil if nothing was.
	Memory(ctx context.Context, id string) (json.RawMessage, error)
}

// Switches say what a person stopped.
type Switches interface {
	// Switch gives how a switch stands; the zero value where nobody touched it.
	Switch(ctx context.Context, name string) (audit.Switch, error)
}

// The switches. Breaker names that of one runbook.
const (
	StopSwitch = "repairs" // its value is Stopped or anything else
	Stopped    = "stopped"
)

// Breaker is the switch by which a person lets a runbook try again after failures.
func Breaker(runbook string) string { return "breaker/" + runbook }

// Config is what an Engine works by.
type Config struct {
	Runbooks    []Runbook         // see Load
	Uses        map[string]Use    // by runbook: those that are not here are off
	Runners     map[string]Runner // by name
	Ledger      Ledger
	Switches    Switches
	Judge       Judge
	Claim       func() (release func() error, err error) // makes this process the only one that repairs
	Patience    *Patience                                // of who looks often; may be nil
	StopFile    string                                   // while it exists nothing is done; empty: none
	Approvers   []string                                 // who may approve, as they are authenticated
	RequestTTL  time.Duration                            // default 72 h
	ApprovalTTL time.Duration                            // default 24 h
	Failures    int                                      // in a row, after which a runbook waits for a person; default 3
	Timeout     time.Duration                            // of one call of a runner, default 10 min
	Sinks       []string                                 // that are told what happens to repairs
	Secrets     []string                                 // that no output may hold
	Now         func() time.Time                         // required
	Sleep       func(context.Context, time.Duration) error
	Stat        func(name string) (fs.FileInfo, error) // default os.Stat
	Log         *slog.Logger                           // required
}

// Engine takes repairs from a violated decision to a verified one. It may be
// shared by goroutines.
type Engine struct {
	cfg      Config
	runbooks map[string]Runbook // those in use
	guards   []guard
}

// New checks that every runbook in use is there, is right, and has its runner.
func New(cfg Config) (*Engine, error) {
	if cfg.Ledger == nil || cfg.Switches == nil || cfg.Judge == nil || cfg.Claim == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("remediate: ledger, switches, judge, claim, now and log are required")
	}
	cfg.defaults()
	e := &Engine{cfg: cfg, runbooks: map[string]Runbook{}}
	e.guards = e.allGuards()
	for id, use := range cfg.Uses {
		i := slices.IndexFunc(cfg.Runbooks, func(r Runbook) bool { return r.ID == id })
		if i < 0 {
			return nil, fmt.Errorf("remediation.use.%s: no such runbook: `crosscheck repairs runbooks` shows them", id)
		}
		r := cfg.Runbooks[i]
		runner, ok := cfg.Runners[r.Runner]
		if !ok {
			return nil, fmt.Errorf("remediation.use.%s: its runner %q is not configured", id, r.Runner)
		}
		if c, ok := runner.(Checker); ok {
			if err := c.Check(r); err != nil {
				return nil, fmt.Errorf("runbook %s: %w", id, err)
			}
		}
		if err := use.check(r); err != nil {
			return nil, fmt.Errorf("remediation.use.%s: %w", id, err)
		}
		e.runbooks[id] = r
	}
	return e, nil
}

func (c *Config) defaults() {
	if c.RequestTTL == 0 {
		c.RequestTTL = 72 * time.Hour
	}
	if c.ApprovalTTL == 0 {
		c.ApprovalTTL = 24 * time.Hour
	}
	if c.Failures == 0 {
		c.Failures = 3
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Minute
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	if c.Stat == nil {
		c.Stat = stat
	}
}

// Use is how one runbook is used here.
type Use struct {
	Mode       audit.RepairMode
	MaxTargets int               // a run, default the runbook's, else 5
	MaxPercent int               // of the control's population a run, default the runbook's, else 10; one is always allowed
	Origins    List              // patterns in which * stands for anything
	Namespaces List              // likewise; only of kubernetes
	Tags       TagList           // of the resource
	Windows    []Window          // when it may act; empty: at any time
	With       map[string]string // settings that the runbook takes parameters from
}

// List allows and denies by patterns. What is denied is not allowed; where
// nothing is named as allowed, everything else is.
type List struct{ Allow, Deny []string }

// TagList allows and denies by tags: key=value, or key, or a pattern of it.
type TagList struct{ Allow, Deny []string }

func (u Use) check(r Runbook) error {
	switch {
	case u.Mode != audit.ModeSuggest && u.Mode != audit.ModeApprove && u.Mode != audit.ModeAuto:
		return fmt.Errorf("mode %q: expected suggest, approve or auto", u.Mode)
	case u.MaxTargets < 0 || u.MaxPercent < 0 || u.MaxPercent > 100:
		return errors.New("max_targets must not be negative, max_percent is one of 0 to 100")
	}
	for _, w := range u.Windows {
		if err := w.check(); err != nil {
			return err
		}
	}
	for _, p := range r.Parameters {
		if p.From != fromSettings {
			continue
		}
		value, ok := u.With[p.setting()]
		if !ok {
			if p.Optional {
				continue
			}
			return fmt.Errorf("with.%s is required by runbook %s", p.setting(), r.ID)
		}
		if err := p.fits(value); err != nil {
			return fmt.Errorf("with.%s: %w", p.setting(), err)
		}
	}
	return nil
}

// limits are those of a runbook as it is used here.
func (u Use) limits(r Runbook) (targets, percent int) {
	targets, percent = 5, 10
	for _, l := range []Limits{r.Limits, {u.MaxTargets, u.MaxPercent}} {
		if l.MaxTargets > 0 {
			targets = l.MaxTargets
		}
		if l.MaxPercent > 0 {
			percent = l.MaxPercent
		}
	}
	return targets, percent
}

// Used gives a runbook that is in use, with how.
func (e *Engine) Used(id string) (Runbook, Use, bool) {
	r, ok := e.runbooks[id]
	return r, e.cfg.Uses[id], ok
}
