package elastic

import (
	"encoding/json"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// The kinds of documents. One decision that a run closed is a closing, whatever else it is.
const (
	kindDecision    = "decision"    // what is no plain pass, and passes where they are asked for
	kindClosing     = "closing"     // what was open and is not any more
	kindUnconfirmed = "unconfirmed" // open, and nobody can tell any more
	kindRun         = "run"
	kindCount       = "count" // of one control, type and origin
	kindRepair      = "repair"
)

// document is what is indexed, field for field that of setup/mappings.json: ECS,
// Elastic's own names of findings, and ours below crosscheck. What a control
// says of itself is rendered once, and put before it.
type document struct {
	At           string        `json:"@timestamp"`
	Message      string        `json:"message"`
	ECS          ecs           `json:"ecs"`
	Event        event         `json:"event"`
	Result       *result       `json:"result,omitempty"`
	Resource     *resource     `json:"resource,omitempty"`
	Cloud        *cloud        `json:"cloud,omitempty"`
	Orchestrator *orchestrator `json:"orchestrator,omitempty"`
	Related      *related      `json:"related,omitempty"`
	Observer     observer      `json:"observer"`
	Stream       stream        `json:"data_stream"`
	Ours         ours          `json:"crosscheck"`
}

type ecs struct {
	Version string `json:"version"`
}

type event struct {
	Kind     string   `json:"kind"`
	Category []string `json:"category"`
	Type     []string `json:"type"`
	Outcome  string   `json:"outcome"`
	ID       string   `json:"id"`
	Created  string   `json:"created"`
	Sequence int64    `json:"sequence"` // of the run: the second it judged by
	Severity int      `json:"severity,omitempty"`
	Dataset  string   `json:"dataset"`
	Module   string   `json:"module"`
}

// The words that Elastic has for how a rule came out.
const (
	passed        = "passed"
	failed        = "failed"
	unknown       = "unknown"
	notApplicable = "not_applicable"
)

type result struct {
	Evaluation string          `json:"evaluation"`
	Evidence   json.RawMessage `json:"evidence,omitempty"` // not indexed
	Expected   json.RawMessage `json:"expected,omitempty"` // not indexed
}

type resource struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	SubType string `json:"sub_type"`
}

type cloud struct {
	Provider string  `json:"provider"`
	Account  account `json:"account"`
	Region   string  `json:"region,omitempty"`
}

type account struct {
	ID string `json:"id"`
}

type orchestrator struct {
	Type    string  `json:"type"`
	Cluster cluster `json:"cluster"`
}

type cluster struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type related struct {
	Entity []string `json:"entity"`
}

type observer struct {
	Vendor  string `json:"vendor"`
	Product string `json:"product"`
	Version string `json:"version,omitempty"`
}

type stream struct {
	Type      string `json:"type"`
	Dataset   string `json:"dataset"`
	Namespace string `json:"namespace"`
}

// ours is what Elastic has no name for.
type ours struct {
	Delivery    string        `json:"delivery"`
	Kind        string        `json:"kind"`
	Decision    string        `json:"decision,omitempty"`
	Earlier     string        `json:"earlier_decision,omitempty"` // that a re-audit judged again
	Control     string        `json:"control,omitempty"`
	Digest      string        `json:"control_digest,omitempty"`
	Input       string        `json:"input_digest,omitempty"`
	Slice       string        `json:"slice_digest,omitempty"`
	Framework   []string      `json:"framework,omitempty"`
	Requirement []string      `json:"requirement,omitempty"`
	Outcome     audit.Outcome `json:"outcome,omitempty"`
	Severity    string        `json:"severity,omitempty"`
	Owner       string        `json:"owner,omitempty"`
	Source      string        `json:"source,omitempty"`
	Origin      string        `json:"origin,omitempty"`
	Type        string        `json:"type,omitempty"`
	Revision    string        `json:"revision,omitempty"`
	Excepted    bool          `json:"excepted"`
	Open        bool          `json:"open"`
	Violations  int           `json:"violations,omitempty"`
	LeftOut     int           `json:"violations_left_out,omitempty"`
	Violation   []violation   `json:"violation,omitempty"`
	Reason      []reason      `json:"reason,omitempty"`
	Exception   []exception   `json:"exception,omitempty"`
	Opened      *runAt        `json:"opened,omitempty"`
	FirstFailed *runAt        `json:"first_failed,omitempty"`
	LastSeen    *runAt        `json:"last_seen,omitempty"`
	Unconfirmed *runAt        `json:"unconfirmed,omitempty"`
	Closed      *runAt        `json:"closed,omitempty"`
	Run         *run          `json:"run,omitempty"`
	Count       *counts       `json:"count,omitempty"`
	Total       *totals       `json:"total,omitempty"`
	Moved       *moved        `json:"moved,omitempty"`
	Notice      []notice      `json:"notice,omitempty"`
	Repair      *repair       `json:"repair,omitempty"`
}

type violation struct {
	Message   string `json:"message"`
	Path      string `json:"path"`
	Exception string `json:"exception,omitempty"`
}

type reason struct {
	Code   string `json:"code"`
	Where  string `json:"where,omitempty"`
	Detail string `json:"detail,omitempty"`
}

type exception struct {
	ID          string `json:"id"`
	ApprovedBy  string `json:"approved_by,omitempty"`
	RequestedBy string `json:"requested_by,omitempty"`
	Ticket      string `json:"ticket,omitempty"`
	ApprovedOn  string `json:"approved_on,omitempty"`
	Expires     string `json:"expires,omitempty"`
}

type runAt struct {
	Run  string        `json:"run"`
	AsOf string        `json:"as_of"`
	How  audit.Closing `json:"how,omitempty"`
}

func at(r *audit.RunAt) *runAt {
	if r == nil {
		return nil
	}
	return &runAt{Run: r.Run, AsOf: audit.Stamp(r.AsOf)}
}

// run is which run a document is of; the document of the run itself has more.
type run struct {
	ID        string        `json:"id"`
	Trigger   audit.Trigger `json:"trigger"`
	Audit     string        `json:"audit,omitempty"`
	Repair    string        `json:"repair,omitempty"`
	Simulated bool          `json:"simulated"`
	Whole     bool          `json:"whole"` // not narrowed
	Status    audit.Status  `json:"status"`
	AsOf      string        `json:"as_of"`
	*runMore
}

type runMore struct {
	Previous  string      `json:"previous,omitempty"`
	Entity    string      `json:"entity"`
	System    string      `json:"system"`
	Config    string      `json:"config_digest"`
	Engine    string      `json:"engine"`
	Scope     audit.Scope `json:"scope"`
	Started   string      `json:"started"`
	Ended     string      `json:"ended"`
	Seconds   int64       `json:"seconds"`
	Origins   int         `json:"origins"`
	Resources int64       `json:"resources"`
	Gaps      int         `json:"gaps"`
}

type counts struct {
	Listed       int64 `json:"listed"`
	Pass         int64 `json:"pass"`
	Fail         int64 `json:"fail"`
	NotEvaluated int64 `json:"not_evaluated"`
	Excluded     int64 `json:"excluded"`
	Excepted     int64 `json:"excepted"`
	Gaps         int64 `json:"gaps"`
}

// totals are those of a run.
type totals struct {
	counts
	Percent *float64 `json:"pass_percent,omitempty"` // of what was not excluded; none of nothing
}

// moved is what a run opened and closed, and what is open after it.
type moved struct {
	Opened        int64 `json:"opened"`
	Fixed         int64 `json:"fixed"`
	Cleared       int64 `json:"cleared"`
	Gone          int64 `json:"gone"`
	NotApplicable int64 `json:"not_applicable"`
	Open          int64 `json:"open"`
}

type notice struct {
	Code    string `json:"code"`
	Subject string `json:"subject"`
	Message string `json:"message"`
}

type repair struct {
	ID        string            `json:"id"`
	Runbook   string            `json:"runbook,omitempty"`
	Version   string            `json:"version,omitempty"`
	Digest    string            `json:"digest,omitempty"`
	Runner    string            `json:"runner,omitempty"`
	Mode      audit.RepairMode  `json:"mode,omitempty"`
	State     audit.RepairState `json:"state,omitempty"`
	Reason    string            `json:"reason,omitempty"`
	Decision  string            `json:"decision,omitempty"`
	Run       string            `json:"run,omitempty"`
	Updated   string            `json:"updated,omitempty"`
	Requested *step             `json:"requested,omitempty"`
	Decided   *step             `json:"decided,omitempty"`
	Acted     *step             `json:"acted,omitempty"`
	Verified  *step             `json:"verified,omitempty"`
	Undone    *step             `json:"undone,omitempty"`
	Settled   *step             `json:"settled,omitempty"`
}

type step struct {
	At       string        `json:"at"`
	By       string        `json:"by,omitempty"`
	Output   string        `json:"output,omitempty"`
	Run      string        `json:"run,omitempty"`
	Decision string        `json:"decision,omitempty"`
	Outcome  audit.Outcome `json:"outcome,omitempty"`
}

func stepOf(s *audit.RepairStep) *step {
	if s == nil {
		return nil
	}
	return &step{At: audit.Stamp(s.At), By: s.By, Output: bounded(s.Output, 8<<10), Run: s.Run, Decision: s.Decision, Outcome: s.Outcome}
}

// bounded keeps the beginning of a text, and says that there was more.
func bounded(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && s[most]&0xC0 == 0x80 { // not within a character
		most--
	}
	return s[:most] + "…"
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return audit.Stamp(t)
}
