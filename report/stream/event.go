package stream

import (
	"fmt"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// logged is an event of OPA's decision log
// (https://www.openpolicyagent.org/docs/management-decision-logs): labels,
// bundles, path, input, result, erased, error and timestamp mean what they mean
// there. What OPA has no field for is in custom.
type logged struct {
	Labels     map[string]string     `json:"labels"`
	DecisionID string                `json:"decision_id"`
	Bundles    map[string]revision   `json:"bundles"`
	Path       string                `json:"path"`
	Input      map[string]any        `json:"input"`
	Result     *[]audit.Violation    `json:"result,omitempty"`
	Erased     []string              `json:"erased"`
	Error      *failure              `json:"error,omitempty"`
	Timestamp  string                `json:"timestamp"`
	Custom     map[string]crosscheck `json:"custom"`
}

type revision struct {
	Revision string `json:"revision"`
}

// failure is why a decision has no result, in the form of OPA's errors.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// crosscheck is what OPA has no field for.
type crosscheck struct {
	Run          string         `json:"run"`
	Audit        string         `json:"audit,omitempty"`
	Control      string         `json:"control"`
	Title        string         `json:"title"`
	Severity     audit.Severity `json:"severity"`
	Requirements []string       `json:"requirements"`
	Outcome      audit.Outcome  `json:"outcome"`
	Reasons      []audit.Reason `json:"reasons,omitempty"`
	Exception    string         `json:"exception,omitempty"`
	Excepted     bool           `json:"excepted"`
	Owner        string         `json:"owner,omitempty"`
	InputDigest  string         `json:"input_digest"`
	SliceDigest  string         `json:"slice_digest,omitempty"`
	Simulated    bool           `json:"simulated,omitempty"`
	Repair       string         `json:"repair,omitempty"`
}

// events makes those of one run.
type events struct {
	rec      audit.Record
	labels   map[string]string
	bundles  map[string]revision
	controls map[string]audit.Control
}

func newEvents(rec audit.Record, cfg Config) *events {
	e := &events{
		rec: rec, labels: map[string]string{"app": "crosscheck", "version": cfg.Version, "id": cfg.Host, "entity": rec.Run.Entity, "system": rec.Run.System},
		bundles: map[string]revision{"crosscheck": {rec.Run.Revision}}, controls: map[string]audit.Control{},
	}
	for _, c := range rec.Catalog.Controls {
		e.controls[c.ID] = c
	}
	return e
}

// erased are the parts of the input that are not in a stream: they are in the
// snapshot, by the input's digest.
var erased = []string{"/input/data", "/input/gaps", "/input/redacted", "/input/tags"}

func (e *events) of(v audit.Verdict, d audit.Decision) (event, error) {
	c, ok := e.controls[d.Control]
	if !ok {
		return event{}, fmt.Errorf("decision %s is of control %s, which the library of the run does not hold", d.ID, d.Control)
	}
	run := e.rec.Run
	l := logged{
		Labels: e.labels, DecisionID: d.ID, Bundles: e.bundles, Path: strings.ReplaceAll(c.Package, ".", "/") + "/violation",
		Input: map[string]any{
			"id": v.Resource, "name": v.Name, "type": v.Type, "origin": v.Origin, "source": audit.SourceOf(v.Origin),
		},
		Erased: erased, Timestamp: audit.Stamp(run.AsOf),
		Custom: map[string]crosscheck{"crosscheck": {
			Run: run.ID, Audit: run.Audit, Control: d.Control, Title: c.Title, Severity: c.Severity,
			Requirements: append([]string{}, e.rec.Catalog.Requirements(c.ID)...), Outcome: d.Outcome, Reasons: d.Reasons,
			Exception: d.Exception, Excepted: d.Excepted(), Owner: v.Owner, InputDigest: v.InputDigest, SliceDigest: d.SliceDigest,
			Simulated: run.Simulated, Repair: run.Repair,
		}},
	}
	if d.Outcome == audit.NotEvaluated {
		l.Error = &failure{Code: "not_evaluated", Message: said(d.Reasons)}
	} else {
		found := append([]audit.Violation{}, d.Violations...)
		l.Result = &found
	}
	line, err := audit.Canonical(l)
	return event{id: d.ID, key: v.Resource, line: line}, err
}

// said renders reasons as one sentence.
func said(reasons []audit.Reason) string {
	parts := make([]string, len(reasons))
	for i, r := range reasons {
		parts[i] = strings.Join(strings.Fields(r.Code+" "+r.Where+" "+r.Detail), " ")
	}
	return strings.Join(parts, "; ")
}
