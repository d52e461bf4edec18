// Package web is crosscheck over HTTP: the API, health, readiness and metrics.
// It decides nothing and knows no store: what it serves is given in Config.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Config says what is served. Where a field may be nil, its routes say that it
// is not configured.
type Config struct {
	Tokens     []Token // none: only health, readiness, metrics and the OpenAPI document are served
	Runs       Runs
	Decisions  Decisions
	Violations Violations
	Catalog    func() audit.Catalog
	Packs      Packs
	Deliveries Deliveries
	Repairs    Repairs      // may be nil
	Jobs       *Jobs        // may be nil: nothing can be started
	Metrics    http.Handler // may be nil
	Slack      http.Handler // may be nil; checks signatures itself

	Ledger        func(ctx context.Context) error // whether the ledger can be read
	Configuration func() error                    // may be nil; whether the configuration last read was good

	Observe func(route string, status int, took time.Duration) // may be nil; told of each request
	TempDir string                                             // where packs are zipped, default the system's
	Now     func() time.Time                                   // also the clock of deadlines of connections
	Log     *slog.Logger
}

// New checks the configuration and makes the handler of all routes.
func New(cfg Config) (http.Handler, error) {
	switch {
	case cfg.Runs == nil || cfg.Decisions == nil || cfg.Violations == nil || cfg.Packs == nil || cfg.Deliveries == nil:
		return nil, errors.New("web: Runs, Decisions, Violations, Packs and Deliveries are required")
	case cfg.Catalog == nil || cfg.Ledger == nil || cfg.Now == nil || cfg.Log == nil:
		return nil, errors.New("web: Catalog, Ledger, Now and Log are required")
	}
	if err := checkTokens(cfg.Tokens); err != nil {
		return nil, err
	}
	doc, err := openAPI()
	if err != nil {
		return nil, err
	}
	s := &server{
		Config: cfg, openapi: doc, heavy: make(chan struct{}, heavyAtOnce), starting: make(chan struct{}, heavyAtOnce),
		archives: newArchives(cfg.TempDir, cfg.Packs.Export),
	}
	return s.handler(), nil
}

// RunQuery narrows runs. Fields that are empty do not narrow.
type RunQuery struct {
	Trigger audit.Trigger
	Status  audit.Status
	Audit   string
	Before  string // id of a run: only those recorded before it
	Limit   int
}

// Runs reads runs. A run that is not there is a *NotFound.
type Runs interface {
	// Each gives runs one by one, the latest first.
	Each(ctx context.Context, q RunQuery, yield func(audit.Run) error) error
	// Run finds a run by its id, or the beginning of it.
	Run(ctx context.Context, id string) (audit.Run, error)
}

// DecisionQuery narrows decisions as `crosscheck decisions list` does.
type DecisionQuery struct {
	Run      string // id, its beginning, or latest; empty: the latest complete one of everything
	Control  string
	Outcome  string // fail, not_evaluated, pass, excluded or all; empty: fail and not_evaluated
	Resource string // a pattern for audit.Matches
	Excepted *bool
	After    string
	Limit    int
}

// Decisions reads decisions. What is not there is a *NotFound, a query that
// cannot be answered an *Invalid.
type Decisions interface {
	List(ctx context.Context, q DecisionQuery) (audit.Run, audit.Page, error)
	// Decision finds a decision by its id, or the beginning of it.
	Decision(ctx context.Context, id string) (Decision, error)
}

// Decision is one decision with all that it rests on.
type Decision struct {
	Decision     audit.Found      `json:"decision"`
	Control      audit.Control    `json:"control"`
	Requirements []string         `json:"requirements"`
	Run          DecisionRun      `json:"run"`
	Document     json.RawMessage  `json:"document"`
	Slice        *audit.Slice     `json:"slice,omitempty"`
	Exception    *audit.Exception `json:"exception,omitempty"`
	Replaces     string           `json:"replaces,omitempty"`    // the decision that this one judged again
	ReplacedBy   string           `json:"replaced_by,omitempty"` // the decision that judged this one again
	Pack         string           `json:"pack,omitempty"`        // id of the run's pack
}

// DecisionRun says of which run a decision is, and how its document was collected.
type DecisionRun struct {
	ID        string `json:"id"`
	Evaluated string `json:"evaluated_in,omitempty"` // the earlier run that the outcome was taken over from
	AsOf      string `json:"as_of"`
	Collected string `json:"collected"`
	Identity  string `json:"identity"`
}

// Violations reads what is open, and what was.
type Violations interface {
	// Violations are those that a query leaves, a page at a time. A page that
	// does not exist is an *Invalid.
	Violations(ctx context.Context, q audit.SpellQuery) (audit.SpellPage, error)
	// History is all that is on record of one control on one resource.
	History(ctx context.Context, control, resource string) ([]audit.Spell, error)
}

// Pack is the evidence of a run.
type Pack struct {
	ID   string `json:"id"`
	Run  string `json:"run"`
	AsOf string `json:"as_of"`
}

// Packs reads evidence packs. One that is not there is a *NotFound.
type Packs interface {
	List(ctx context.Context, limit int) ([]Pack, error)
	// Pack finds that of a run by the run's id, or the beginning of it.
	Pack(ctx context.Context, run string) (Pack, error)
	// Export writes a pack as a zip: the same bytes each time.
	Export(ctx context.Context, p Pack, w io.Writer) error
}

// DeliveryQuery narrows deliveries. Fields that are empty do not narrow.
type DeliveryQuery struct {
	Sink    string
	Status  audit.DeliveryStatus
	Subject string
	Limit   int
}

// Deliveries reads what sinks are owed, and has it tried again.
type Deliveries interface {
	List(ctx context.Context, q DeliveryQuery) ([]audit.Delivery, error)
	// Retry has tried at once what waits or was refused, and tells how much that
	// is; again: also what was delivered.
	Retry(ctx context.Context, q DeliveryQuery, again bool) (int64, error)
}

// RepairQuery narrows repairs. Fields that are empty do not narrow.
type RepairQuery struct {
	State    audit.RepairState
	Control  string
	Resource string // whole id
	Runbook  string
	Limit    int
}

// RepairRequest asks for a repair of a violated decision.
type RepairRequest struct {
	Decision string
	Runbook  string // empty: the one that the control names
	By       string // who asks, as authenticated
}

// RepairAnswer approves or denies a repair.
type RepairAnswer struct {
	ID      string
	Approve bool
	By      string // who answers, as authenticated
	Reason  string
}

// RepairNote says what a person did about a repair that is stuck.
type RepairNote struct {
	ID   string
	By   string // who did it, as authenticated
	Note string
}

// KillSwitch says whether all repairs are stopped.
type KillSwitch struct {
	On     bool      `json:"on"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

// Repairs reads repairs, asks for them and answers for them. What is not there is
// a *NotFound, what cannot be asked an *Invalid, and what the state of a repair,
// a guard or the rule that nobody approves their own forbids is a *Conflict.
type Repairs interface {
	// List gives repairs, the latest first.
	List(ctx context.Context, q RepairQuery) ([]audit.Repair, error)
	// Repair finds one by its id, or the beginning of it.
	Repair(ctx context.Context, id string) (audit.Repair, error)
	Request(ctx context.Context, r RepairRequest) (audit.Repair, error)
	Answer(ctx context.Context, a RepairAnswer) (audit.Repair, error)
	// Settle has a re-audit tell how the resource stands, soon.
	Settle(ctx context.Context, n RepairNote) (audit.Repair, error)
	Stopped(ctx context.Context) (KillSwitch, error)
	// Stop sets the kill switch; At is filled in by who keeps it.
	Stop(ctx context.Context, k KillSwitch) (KillSwitch, error)
}
