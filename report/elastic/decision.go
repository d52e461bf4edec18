package elastic

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// decision writes what a decision came to, with the spell that it opened, left
// open or closed. A plain pass that closes nothing is written only if asked for.
func (w *writer) decision(v audit.Verdict, d audit.Decision, s *audit.Spell) error {
	closed, earlier := s != nil && s.Closed != nil, w.rec.Run.Relinked[d.ID]
	if d.Outcome == audit.Pass && !closed && earlier == "" && !w.cfg.Passes {
		if s != nil {
			return w.alone(*s)
		}
		return nil
	}
	doc := w.about(v.Origin, v.Resource, v.Name, v.Type, v.Owner, d.Control)
	doc.Result = &result{Evaluation: evaluation(d.Outcome)}
	o := &doc.Ours
	o.Kind, o.Decision, o.Digest, o.Input, o.Slice, o.Outcome = kindDecision, d.ID, d.ControlDigest, v.InputDigest, d.SliceDigest, d.Outcome
	o.Excepted, o.Earlier = d.Excepted(), earlier
	if err := w.found(doc, d); err != nil {
		return err
	}
	for _, r := range d.Reasons {
		o.Reason = append(o.Reason, reason{r.Code, r.Where, bounded(r.Detail, 8<<10)})
	}
	o.Exception = w.excepted(d)
	w.spell(doc, s)
	id := d.ID
	if d.Outcome == audit.Pass && closed {
		id = w.closing(*s)
	}
	return w.emit(id, d.Control, w.finish(doc))
}

// alone writes a spell of which the run stored no decision: it closed, or
// nobody can tell any more. What is merely still open was not judged.
func (w *writer) alone(s audit.Spell) error {
	doc := w.about(s.Origin, s.Resource, s.Name, s.Type, s.Owner, s.Control)
	o := &doc.Ours
	o.Excepted, o.Outcome = s.Excepted, s.Outcome
	w.spell(doc, &s)
	switch {
	case s.Closed != nil:
		o.Outcome, doc.Result = "", &result{Evaluation: closedAs(s.How)}
		if doc.Result.Evaluation == passed {
			o.Outcome = audit.Pass
		}
		return w.emit(w.closing(s), s.Control, w.finish(doc))
	case s.Lost != nil && s.Lost.Run == w.rec.Run.ID:
		o.Kind, doc.Result = kindUnconfirmed, &result{Evaluation: unknown}
		return w.emit(id(kindUnconfirmed, w.rec.Run.ID, s.Control, s.Resource), s.Control, w.finish(doc))
	}
	return nil
}

func (w *writer) closing(s audit.Spell) string {
	return id(kindClosing, w.rec.Run.ID, s.Control, s.Resource)
}

// spell says since when a control does not pass on the resource, and how that ended.
func (w *writer) spell(doc *document, s *audit.Spell) {
	if s == nil {
		return
	}
	o, this := &doc.Ours, w.rec.Run.ID
	o.Opened, o.FirstFailed, o.LastSeen, o.Unconfirmed, o.Open = at(&s.Opened), at(s.Failed), at(s.Seen), at(s.Lost), s.Closed == nil
	if s.Repair != "" {
		o.Repair = &repair{ID: s.Repair}
	}
	if s.Closed == nil {
		w.moved.Open++
		if s.Opened.Run == this {
			w.moved.Opened++
		}
		return
	}
	o.Kind, o.Closed = kindClosing, at(s.Closed)
	o.Closed.How = s.How
	switch s.How {
	case audit.Fixed:
		w.moved.Fixed++
	case audit.Cleared:
		w.moved.Cleared++
	case audit.Gone:
		w.moved.Gone++
	case audit.NotApplicable:
		w.moved.NotApplicable++
	}
}

// about begins a document about one control on one resource.
func (w *writer) about(origin, resourceID, name, typ, owner, control string) *document {
	doc := w.base
	doc.Resource = &resource{ID: resourceID, Name: name, Type: typ, SubType: typ}
	doc.Related = &related{[]string{resourceID}}
	w.place(&doc, origin)
	w.judged(&doc, control)
	doc.Ours.Owner, doc.Ours.Type = owner, typ
	return &doc
}

// place says where an origin is, in ECS's words.
func (w *writer) place(doc *document, origin string) {
	doc.Ours.Origin, doc.Ours.Source = origin, audit.SourceOf(origin)
	parts := strings.Split(origin, "/")
	switch {
	case doc.Ours.Source == audit.AWS && len(parts) == 3:
		doc.Cloud = &cloud{Provider: "aws", Account: account{parts[1]}, Region: parts[2]}
	case doc.Ours.Source == audit.Kubernetes && len(parts) == 2:
		doc.Orchestrator = &orchestrator{Type: "kubernetes", Cluster: cluster{parts[1], parts[1]}}
	}
}

// judged says by which control.
func (w *writer) judged(doc *document, control string) {
	r := w.rule(control)
	doc.Ours.Control, doc.Ours.Severity, doc.Ours.Requirement, doc.Ours.Framework = control, r.severity, r.requirements, r.frameworks
	doc.Event.Severity = r.rank
}

func (w *writer) finish(doc *document) *document {
	doc.Event.Outcome = unknown
	switch doc.Result.Evaluation {
	case passed:
		doc.Event.Outcome = "success"
	case failed:
		doc.Event.Outcome = "failure"
	}
	doc.Message = fmt.Sprintf("Rule %q: %s", w.rule(doc.Ours.Control).title, doc.Result.Evaluation)
	return doc
}

func evaluation(o audit.Outcome) string {
	switch o {
	case audit.Pass:
		return passed
	case audit.Fail:
		return failed
	case audit.Excluded:
		return notApplicable
	}
	return unknown
}

func closedAs(how audit.Closing) string {
	if how == audit.Fixed || how == audit.Cleared {
		return passed
	}
	return notApplicable
}

// What one document holds of what was found. All of it is in the ledger, and in the pack.
const (
	mostViolations = 100
	mostEvidence   = 256 << 10
)

// found writes the violations: their messages to search, what was observed and
// expected to read.
func (w *writer) found(doc *document, d audit.Decision) error {
	type seen struct {
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	var observed, expected []seen
	o := &doc.Ours
	o.Violations = len(d.Violations)
	for _, x := range d.Violations[:min(len(d.Violations), mostViolations)] {
		o.Violation = append(o.Violation, violation{bounded(x.Message, 8<<10), bounded(x.Path, 8<<10), x.Exception})
		observed, expected = append(observed, seen{x.Path, x.Observed}), append(expected, seen{x.Path, x.Expected})
	}
	o.LeftOut = len(d.Violations) - len(o.Violation)
	if len(observed) == 0 {
		return nil
	}
	var err error
	if doc.Result.Evidence, err = evidence("observed", observed); err != nil {
		return err
	}
	doc.Result.Expected, err = evidence("violations", expected)
	return err
}

func evidence(name string, list any) (json.RawMessage, error) {
	b, err := json.Marshal(map[string]any{name: list})
	if err == nil && len(b) > mostEvidence {
		b, err = json.Marshal(map[string]any{"left_out": fmt.Sprintf("%d bytes: crosscheck decisions show", len(b))})
	}
	return b, err
}

// excepted gives the exceptions that cover the decision or a part of it, with who approved them until when.
func (w *writer) excepted(d audit.Decision) []exception {
	ids := []string{d.Exception}
	for _, x := range d.Violations {
		ids = append(ids, x.Exception)
	}
	slices.Sort(ids)
	var out []exception
	for _, id := range slices.Compact(ids) {
		if id == "" {
			continue
		}
		e, ok := w.exceptions[id]
		if !ok {
			e = exception{ID: id}
		}
		out = append(out, e)
	}
	return out
}

// rule is what a control says of itself, rendered once.
type rule struct {
	title, severity string
	rank            int
	requirements    []string
	frameworks      []string
	text            []byte
}

// severities in numbers, as Elastic's risk scores have them.
func risk(s audit.Severity) int {
	switch s {
	case "critical":
		return 99
	case "high":
		return 73
	case "medium":
		return 47
	}
	return 21
}

func (w *writer) rule(control string) rule {
	r, ok := w.rules[control]
	if !ok {
		r = ruleOf(w.rec.Catalog, control)
		w.rules[control] = r
	}
	return r
}

type benchmark struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Number  string `json:"rule_number"`
	Posture string `json:"posture_type"`
}

type ruleText struct {
	ID          string     `json:"id"`
	UUID        string     `json:"uuid"`
	Name        string     `json:"name"`
	Description string     `json:"description,omitempty"`
	Version     string     `json:"version,omitempty"`
	Section     string     `json:"section,omitempty"`
	Tags        []string   `json:"tags,omitempty"`
	Rationale   string     `json:"rationale,omitempty"`
	Remediation string     `json:"remediation,omitempty"`
	Number      string     `json:"rule_number"`
	Benchmark   *benchmark `json:"benchmark,omitempty"`
}

func ruleOf(catalog audit.Catalog, control string) rule {
	c, ok := catalog.Control(control)
	if !ok { // of a violation that outlived its control
		c = audit.Control{ID: control, Title: control}
	}
	r := rule{title: c.Title, severity: string(c.Severity), rank: risk(c.Severity), requirements: catalog.Requirements(control)}
	t := ruleText{
		ID: control, UUID: cmp.Or(c.Digest, control), Name: c.Title, Description: c.Description, Version: catalog.Revision,
		Rationale: c.Why, Remediation: fixes(c.Fix), Number: control,
	}
	if parts := strings.Split(c.Package, "."); len(parts) > 1 {
		t.Section = parts[1]
	}
	posture := "cspm"
	if len(c.AppliesTo) > 0 && !slices.ContainsFunc(c.AppliesTo, func(a string) bool { return audit.SourceOf(a) != audit.Kubernetes }) {
		posture = "kspm"
	}
	for _, f := range catalog.Frameworks {
		for _, q := range f.Requirements {
			if !slices.ContainsFunc(q.Evidence, func(e audit.Evidence) bool { return e.Control == control }) {
				continue
			}
			if t.Benchmark == nil {
				t.Benchmark = &benchmark{f.ID, f.Title, f.Version, q.ID, posture}
			}
			if !slices.Contains(r.frameworks, f.ID) {
				r.frameworks, t.Tags = append(r.frameworks, f.ID), append(t.Tags, f.Title)
			}
		}
	}
	r.text = canonical(t)
	return r
}

func fixes(fix map[string]string) string {
	tools := make([]string, 0, len(fix))
	for tool := range fix {
		tools = append(tools, tool)
	}
	slices.Sort(tools)
	var out strings.Builder
	for _, tool := range tools {
		fmt.Fprintf(&out, "%s:\n%s\n", tool, fix[tool])
	}
	return strings.TrimSpace(out.String())
}
