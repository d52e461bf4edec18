package evidence

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Line is one line of decisions.ndjson: a decision with all that its ID rests
// on. The fields stand in the order of canonical JSON.
type Line struct {
	AsOf          string          `json:"as_of"`
	Control       string          `json:"control"`
	ControlDigest string          `json:"control_digest"`
	Exception     string          `json:"exception"`
	ID            string          `json:"id"`
	InputDigest   string          `json:"input_digest"`
	Name          string          `json:"name"`
	Origin        string          `json:"origin"`
	Outcome       audit.Outcome   `json:"outcome"`
	Owner         string          `json:"owner"`
	Reasons       []lineReason    `json:"reasons"`
	Resource      string          `json:"resource"`
	SliceDigest   string          `json:"slice_digest"`
	Type          string          `json:"type"`
	Violations    []lineViolation `json:"violations"`
}

type lineReason struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Where  string `json:"where"`
}

type lineViolation struct {
	Exception string          `json:"exception"`
	Expected  json.RawMessage `json:"expected"` // canonical
	Message   string          `json:"message"`
	Observed  json.RawMessage `json:"observed"` // canonical
	Path      string          `json:"path"`
}

// newLine joins a decision with the resource that it judges.
func newLine(v audit.Verdict, d audit.Decision, asOf time.Time) (Line, error) {
	l := Line{
		AsOf: audit.Stamp(asOf), Control: d.Control, ControlDigest: d.ControlDigest, Exception: d.Exception, ID: d.ID,
		InputDigest: v.InputDigest, Name: v.Name, Origin: v.Origin, Outcome: d.Outcome, Owner: v.Owner,
		Reasons: []lineReason{}, Resource: v.Resource, SliceDigest: d.SliceDigest, Type: v.Type, Violations: []lineViolation{},
	}
	for _, r := range d.Reasons {
		l.Reasons = append(l.Reasons, lineReason{Code: r.Code, Detail: r.Detail, Where: r.Where})
	}
	for _, x := range d.Violations {
		observed, err := audit.Canonical(x.Observed)
		if err != nil {
			return Line{}, err
		}
		expected, err := audit.Canonical(x.Expected)
		if err != nil {
			return Line{}, err
		}
		l.Violations = append(l.Violations, lineViolation{
			Exception: x.Exception, Expected: expected, Message: x.Message, Observed: observed, Path: x.Path,
		})
	}
	return l, nil
}

// render gives the line as canonical JSON with a newline.
func (l Line) render() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(l)
	return buf.Bytes(), err
}

// parseLine reads a line of decisions.ndjson and refuses all but its one rendering.
func parseLine(b []byte) (Line, error) {
	var l Line
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return Line{}, errors.New("is not a decision")
	}
	if l.Reasons == nil || l.Violations == nil {
		return Line{}, errors.New("is not a decision: reasons and violations are lists")
	}
	for i := range l.Violations {
		for _, raw := range []*json.RawMessage{&l.Violations[i].Observed, &l.Violations[i].Expected} {
			v, err := audit.DecodeJSON(*raw)
			if err != nil {
				return Line{}, errors.New("is not a decision: a violation has no observed and expected value")
			}
			if *raw, err = audit.Canonical(v); err != nil {
				return Line{}, err
			}
		}
	}
	again, err := l.render()
	if err != nil {
		return Line{}, err
	}
	if !bytes.Equal(bytes.TrimSuffix(again, []byte("\n")), b) {
		return Line{}, errors.New("is not written as canonical JSON")
	}
	return l, nil
}

// recompute gives the ID that the line's own fields make.
func (l Line) recompute() (string, error) {
	b, err := l.identity()
	return audit.Digest(b), err
}

// identity is the array of which the decision's ID is the digest.
func (l Line) identity() ([]byte, error) {
	return audit.Canonical([]any{"crosscheck/decision/1", l.Control, l.ControlDigest, l.Resource, l.InputDigest, l.SliceDigest, l.AsOf})
}

// excepted tells whether all that the decision found is accepted.
func (l Line) excepted() bool {
	if l.Exception != "" {
		return true
	}
	return l.Outcome == audit.Fail && len(l.Violations) > 0 && !slices.ContainsFunc(l.Violations, func(v lineViolation) bool { return v.Exception == "" })
}

// exceptions are the ids of those that cover the decision or a part of it.
func (l Line) exceptions() []string {
	var out []string
	if l.Exception != "" {
		out = append(out, l.Exception)
	}
	for _, v := range l.Violations {
		if v.Exception != "" {
			out = append(out, v.Exception)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

var populationHeader = []string{"resource", "name", "type", "origin", "owner", "outcome", "accepted", "exceptions", "notes", "decision_id"}

// population is the line's row in its control's population.
func (l Line) population() []string {
	accepted := "no"
	switch ex := l.exceptions(); {
	case l.Outcome != audit.Fail:
		accepted = ""
	case l.excepted():
		accepted = "yes"
	case len(ex) > 0:
		accepted = "in part"
	}
	var notes []string
	for _, v := range l.Violations {
		notes = append(notes, v.Message)
	}
	for _, r := range l.Reasons {
		notes = append(notes, r.String())
	}
	return []string{l.Resource, l.Name, l.Type, l.Origin, l.Owner, string(l.Outcome), accepted, strings.Join(l.exceptions(), " "), strings.Join(notes, "; "), l.ID}
}

// String renders a reason for a person.
func (r lineReason) String() string {
	var parts []string
	for _, p := range []string{r.Code, r.Where, r.Detail} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ": ")
}

// sentence renders a reason in the words of a report.
func (r lineReason) sentence() string {
	said := map[string]string{
		"gap": "could not be read", "redacted": "is a secret and was not kept", "undefined": "is not defined for this type of resource",
		"lookup": "may be missing from what was collected", "needs_estate": "needs a source that this run does not read",
	}[r.Code]
	switch {
	case r.Code == "not_applicable" && r.Detail != "":
		return r.Detail
	case said == "":
		return r.String()
	}
	out := strings.TrimSpace(r.Where + " " + said)
	if r.Detail != "" {
		out += ": " + r.Detail
	}
	return out
}

// csvWriter writes rows that no spreadsheet takes for a formula.
type csvWriter struct{ w *csv.Writer }

func newCSV(w io.Writer) csvWriter { return csvWriter{csv.NewWriter(w)} }

func (c csvWriter) row(cells []string) error {
	out := make([]string, len(cells))
	for i, cell := range cells {
		out[i] = inert(cell)
	}
	return c.w.Write(out)
}

func (c csvWriter) flush() error {
	c.w.Flush()
	return c.w.Error()
}

// inert puts an apostrophe before a cell that a spreadsheet would run. Control
// characters, which can hide one, become spaces.
func inert(cell string) string {
	cell = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, cell)
	if trimmed := strings.TrimLeft(cell, " \u00a0\ufeff"); trimmed != "" && strings.ContainsRune("=+-@|%＝＋－＠", []rune(trimmed)[0]) {
		return "'" + cell
	}
	return cell
}
