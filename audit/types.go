// Package audit is the vocabulary of crosscheck and its one pipeline: collect,
// decide, record, deliver. It imports nothing else of this module; collectors,
// engines, ledgers and sinks are written against it.
package audit

import (
	"slices"
	"strings"
	"time"
)

// The sources crosscheck reads.
const (
	AWS        = "aws"
	Kubernetes = "kubernetes"
	Terraform  = "terraform"
	NetBox     = "netbox"
)

// Outcome is what a decision came to.
type Outcome string

// The outcomes. Excluded marks a resource that a control says it does not apply to.
const (
	Pass         Outcome = "pass"
	Fail         Outcome = "fail"
	NotEvaluated Outcome = "not_evaluated"
	Excluded     Outcome = "excluded"
)

// Severity of a control.
type Severity string

// Severities lists them from worst to least.
var severities = []Severity{"critical", "high", "medium", "low"}

// Rank is 0 for critical and grows as severity falls; unknown ones rank last.
func (s Severity) Rank() int {
	if i := slices.Index(severities, s); i >= 0 {
		return i
	}
	return len(severities)
}

// Valid tells whether s is one of critical, high, medium and low.
func (s Severity) Valid() bool { return slices.Contains(severities, s) }

// Trigger says what started a run.
type Trigger string

// The triggers.
const (
	Schedule Trigger = "schedule"
	Manual   Trigger = "manual"
	Reaudit  Trigger = "reaudit"
	Gate     Trigger = "gate"
)

// Violation is what a failed decision found: one object of the control's set.
// Observed and Expected are any JSON value, a json.RawMessage where they were
// read from a record; Path is a JSON pointer into the document.
type Violation struct {
	Message   string `json:"message"`
	Observed  any    `json:"observed"`
	Expected  any    `json:"expected"`
	Path      string `json:"path"`
	Exception string `json:"exception,omitempty"` // id of the exception that covers this violation alone
}

// Reason says why a decision was not evaluated or a resource excluded.
type Reason struct {
	Code   string `json:"code"`             // gap, redacted, undefined, lookup, error, limit, not_applicable, needs_estate
	Where  string `json:"where,omitempty"`  // JSON pointer, attribute, or source.kind
	Detail string `json:"detail,omitempty"` // the gap's reason, the control's exclusion sentence, OPA's error
}

// Lookup is one look-up a decision made in the estate.
type Lookup struct {
	Source string `json:"source"`
	Kind   string `json:"kind"`
	Key    string `json:"key"`
	Hits   []Hit  `json:"hits"` // nil for a miss, else sorted by id
}

// Hit is one estate entry: what another resource declares under a key.
type Hit struct {
	ID     string `json:"id"`
	Origin string `json:"origin"`
	Value  any    `json:"value"`
}

// Slice is all a decision looked up. Gaps holds, for each source.kind looked
// up, the digest of the gaps that could hide an entry there.
type Slice struct {
	Lookups []Lookup          `json:"lookups"`
	Gaps    map[string]string `json:"gaps"`
}

// Decision is one control judged on one resource in one run.
type Decision struct {
	ID            string      `json:"id"` // of those that a Decider gives it may be empty: Record fills it in
	Control       string      `json:"control"`
	ControlDigest string      `json:"control_digest"` // as the ID
	Outcome       Outcome     `json:"outcome"`
	SliceDigest   string      `json:"slice_digest,omitempty"` // empty: the control cannot read the estate
	Violations    []Violation `json:"violations,omitempty"`   // sorted, only for Fail
	Reasons       []Reason    `json:"reasons,omitempty"`      // sorted, only for NotEvaluated and Excluded
	Exception     string      `json:"exception,omitempty"`    // id of the exception that covers the whole decision
	Slice         *Slice      `json:"-"`                      // what was looked up; only in memory, only while deciding
}

// Excepted tells whether all that the decision found is accepted.
func (d Decision) Excepted() bool {
	if d.Exception != "" {
		return true
	}
	for _, v := range d.Violations {
		if v.Exception == "" {
			return false
		}
	}
	return d.Outcome == Fail && len(d.Violations) > 0
}

// Verdict is one resource with the decisions on it, sorted by control.
type Verdict struct {
	Resource    string            `json:"resource"` // id
	Name        string            `json:"name"`
	Type        string            `json:"type"`
	Origin      string            `json:"origin"`
	Owner       string            `json:"owner,omitempty"`
	InputDigest string            `json:"input_digest"` // SHA-256 of the document's line, without the newline
	Decisions   []Decision        `json:"decisions"`
	Tags        map[string]string `json:"-"`
	Refereed    int64             `json:"-"` // how many of the decisions were made by OPA's own evaluator too
	Carried     bool              `json:"-"` // taken over from an earlier run: only what is not a plain pass is here
}

// Count is how the decisions of one control on one type of one origin came out.
// Listed = Pass + Fail + NotEvaluated + Excluded. Excepted is a part of Fail.
type Count struct {
	Control      string `json:"control"`
	Type         string `json:"type"`
	Origin       string `json:"origin"`
	Listed       int64  `json:"listed"`
	Pass         int64  `json:"pass"`
	Fail         int64  `json:"fail"`
	NotEvaluated int64  `json:"not_evaluated"`
	Excluded     int64  `json:"excluded"`
	Excepted     int64  `json:"excepted"`
	Gaps         []Gap  `json:"gaps,omitempty"` // population gaps: resources of this type may be missing
}

// Notice is what a run says about itself: an unused exception, a stale snapshot.
type Notice struct {
	Code    string `json:"code"`
	Subject string `json:"subject"`
	Message string `json:"message"`
}

// Scope is what a run judges. Empty fields do not narrow; look-ups are never narrowed.
type Scope struct {
	Controls   []string `json:"controls,omitempty"`
	Frameworks []string `json:"frameworks,omitempty"`
	Severity   Severity `json:"severity,omitempty"` // this one and worse
	Origins    []string `json:"origins,omitempty"`
	Resources  []string `json:"resources,omitempty"` // sorted
}

// Whole tells whether the scope narrows nothing.
func (s Scope) Whole() bool {
	return len(s.Controls)+len(s.Frameworks)+len(s.Origins)+len(s.Resources) == 0 && s.Severity == ""
}

// Judges tells whether a resource is within the scope.
func (s Scope) Judges(origin, id string) bool {
	if len(s.Origins) > 0 && !slices.Contains(s.Origins, origin) {
		return false
	}
	_, named := slices.BinarySearch(s.Resources, id)
	return named || len(s.Resources) == 0
}

// Status of a run in the ledger.
type Status string

// The statuses. Only a Complete run is reported as evidence of the whole; an
// Incomplete one was recorded and delivered, but an origin could not be read at all.
const (
	Running     Status = "running"
	Complete    Status = "complete"
	Incomplete  Status = "incomplete"
	Interrupted Status = "interrupted"
)

// Provenance says what ran: it never enters an ID, and sits in the pack's provenance.json.
type Provenance struct {
	Version      string `json:"version"`
	BinarySHA256 string `json:"binary_sha256"`
	Host         string `json:"host"`
	User         string `json:"user"`
}

// Run is one audit. Times are UTC, in whole seconds.
type Run struct {
	ID           string            `json:"id"`
	Status       Status            `json:"status"`
	Entity       string            `json:"entity"` // who is audited, as configured
	System       string            `json:"system"` // what is audited, as configured
	Revision     string            `json:"revision"`
	Library      string            `json:"library"` // vault digest of the library's tar
	ConfigDigest string            `json:"config_digest"`
	Trigger      Trigger           `json:"trigger"`
	Audit        string            `json:"audit,omitempty"`  // the scheduled audit's name
	Repair       string            `json:"repair,omitempty"` // the repair that this re-audit verifies
	Scope        Scope             `json:"scope"`
	AsOf         time.Time         `json:"as_of"`
	Simulated    bool              `json:"simulated"`
	Started      time.Time         `json:"started"`
	Ended        time.Time         `json:"ended"`
	Snapshots    []Snapshot        `json:"snapshots"` // sorted by origin
	Counts       []Count           `json:"counts"`    // sorted by control, type, origin
	Notices      []Notice          `json:"notices"`
	Engine       string            `json:"engine"`              // what decided, with the version of OPA and the limits
	Refereed     int64             `json:"refereed"`            // decisions that OPA's own evaluator made too, and alike
	Evaluated    []Evaluated       `json:"evaluated,omitempty"` // in which earlier runs the outcomes taken over were evaluated; sorted
	Carried      string            `json:"carried,omitempty"`   // vault digest of the blocks taken over, a CarriedBlock each
	Verdicts     string            `json:"verdicts"`            // vault digest of the verdict segment
	Exceptions   string            `json:"exceptions"`          // vault digest of exceptions.yaml, empty if none
	Previous     string            `json:"previous,omitempty"`  // the complete run before this one
	Relinked     map[string]string `json:"relinked,omitempty"`  // re-audit: new decision id → old decision id
	Provenance   Provenance        `json:"provenance"`
}

// Gaps are the population gaps of all snapshots, sorted.
func (r Run) Gaps() []Gap {
	var out []Gap
	for _, s := range r.Snapshots {
		out = append(out, s.Gaps...)
	}
	slices.SortFunc(out, Gap.compare)
	return slices.Compact(out)
}

// SourceOf is the source an origin or resource id belongs to.
func SourceOf(origin string) string {
	source, _, _ := strings.Cut(origin, "/")
	return source
}
