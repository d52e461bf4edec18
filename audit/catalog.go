package audit

import (
	"slices"
	"strings"
)

// Parameter of a control: its type (string, number, boolean, array or object), default and current value.
type Parameter struct {
	Type        string `json:"type"`
	Description string `json:"description"`
	Default     any    `json:"default"`
	Value       any    `json:"value"` // the default unless configured
}

// Control is one rule the estate is held to, as its METADATA describes it.
type Control struct {
	ID             string               `json:"id"`
	Title          string               `json:"title"`
	Description    string               `json:"description"`
	Severity       Severity             `json:"severity"`
	AppliesTo      []string             `json:"applies_to"` // source/type, or source/*
	Why            string               `json:"why"`
	Fix            map[string]string    `json:"fix"` // tool → snippet
	Runbook        string               `json:"runbook,omitempty"`
	Excludes       string               `json:"excludes,omitempty"` // why a resource is excluded where `applies` is false
	Parameters     map[string]Parameter `json:"parameters,omitempty"`
	ComparesTokens []string             `json:"compares_tokens,omitempty"` // attributes compared for equality or presence only
	NeedsAll       bool                 `json:"needs_all,omitempty"`
	Package        string               `json:"package"` // controls.storage.public_access
	File           string               `json:"file"`    // path in the library
	Rego           string               `json:"-"`       // the module's text
	Digest         string               `json:"digest"`  // its modules with all they import, and its parameters
}

// AppliesToType tells whether the control judges resources of a type of a source.
func (c Control) AppliesToType(source, typ string) bool {
	return slices.Contains(c.AppliesTo, source+"/"+typ) || slices.Contains(c.AppliesTo, source+"/*")
}

// Strength of the evidence a control gives for a requirement.
type Strength string

// The strengths.
const (
	Direct     Strength = "direct"
	Partial    Strength = "partial"
	Supporting Strength = "supporting"
)

// Evidence is one control's contribution to a requirement.
type Evidence struct {
	Control   string   `json:"control"`
	Strength  Strength `json:"strength"`
	Rationale string   `json:"rationale"`
}

// Requirement is one criterion of a framework. One without evidence is not testable here.
type Requirement struct {
	ID           string     `json:"id"`
	Title        string     `json:"title"`
	Evidence     []Evidence `json:"evidence"`
	NotEvidenced string     `json:"not_evidenced"` // what the controls do not show
}

// Framework maps requirements to controls.
type Framework struct {
	ID           string        `json:"id"`
	Title        string        `json:"title"`
	Version      string        `json:"version"`
	Report       string        `json:"report"` // file stem of its PDF: soc2, iso27001
	Requirements []Requirement `json:"requirements"`
}

// Catalog is what a library says of itself. Controls are sorted by id.
type Catalog struct {
	Revision   string      `json:"revision"`
	Controls   []Control   `json:"controls"`
	Frameworks []Framework `json:"frameworks"`
}

// Control finds a control by id.
func (c Catalog) Control(id string) (Control, bool) {
	for _, ctl := range c.Controls {
		if ctl.ID == id {
			return ctl, true
		}
	}
	return Control{}, false
}

// Requirements of a control, as "framework id requirement id", sorted.
func (c Catalog) Requirements(control string) []string {
	var out []string
	for _, f := range c.Frameworks {
		for _, r := range f.Requirements {
			if slices.ContainsFunc(r.Evidence, func(e Evidence) bool { return e.Control == control }) {
				out = append(out, f.ID+" "+r.ID)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Select returns the controls within a scope, in order. An unknown control or framework is an error.
func (c Catalog) Select(s Scope) ([]Control, error) {
	for _, id := range s.Controls {
		if _, ok := c.Control(id); !ok {
			return nil, UnknownError{Kind: "control", Name: id}
		}
	}
	in := map[string]bool{}
	for _, id := range s.Frameworks {
		i := slices.IndexFunc(c.Frameworks, func(f Framework) bool { return f.ID == id || f.Report == id })
		if i < 0 {
			return nil, UnknownError{Kind: "framework", Name: id}
		}
		for _, r := range c.Frameworks[i].Requirements {
			for _, e := range r.Evidence {
				in[e.Control] = true
			}
		}
	}
	if s.Severity != "" && !s.Severity.Valid() {
		return nil, UnknownError{Kind: "severity", Name: string(s.Severity)}
	}
	var out []Control
	for _, ctl := range c.Controls {
		switch {
		case len(s.Controls) > 0 && !slices.Contains(s.Controls, ctl.ID):
		case len(s.Frameworks) > 0 && !in[ctl.ID]:
		case s.Severity != "" && ctl.Severity.Rank() > s.Severity.Rank():
		default:
			out = append(out, ctl)
		}
	}
	return out, nil
}

// UnknownError says that a name given by a person is not known.
type UnknownError struct{ Kind, Name string }

func (e UnknownError) Error() string {
	switch e.Kind {
	case "control":
		return "no control " + strings.TrimSpace(e.Name) + ": `crosscheck controls list` shows them"
	case "severity":
		return "no severity " + e.Name + ": critical, high, medium or low"
	}
	return "no " + e.Kind + " " + e.Name
}
