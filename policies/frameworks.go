package policies

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/crosscheck-dev/crosscheck/audit"
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,40}$`)

// readFrameworks reads and checks frameworks/*.yaml, sorted by id.
func readFrameworks(files map[string][]byte, controls []audit.Control) ([]audit.Framework, error) {
	var out []audit.Framework
	var problems []error
	taken := map[string]string{}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasPrefix(path, "frameworks/") {
			continue
		}
		r := &reader{path: path, controls: controls}
		f := r.framework(files[path])
		for _, name := range []string{"id " + f.ID, "report " + f.Report} {
			if other, ok := taken[name]; ok && len(r.problems) == 0 {
				r.problem(nil, "%s is taken by %s", name, other)
			}
			taken[name] = path
		}
		problems = append(problems, r.problems...)
		out = append(out, f)
	}
	slices.SortFunc(out, func(x, y audit.Framework) int { return strings.Compare(x.ID, y.ID) })
	return out, errors.Join(problems...)
}

// reader reads one framework from its YAML nodes, so that every problem has a line.
type reader struct {
	path     string
	controls []audit.Control
	problems []error
}

func (r *reader) framework(text []byte) audit.Framework {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		r.problems = append(r.problems, fmt.Errorf("%s: %w", r.path, err))
		return audit.Framework{}
	}
	if len(doc.Content) != 1 {
		r.problem(nil, "empty; want id, title, version, report and requirements")
		return audit.Framework{}
	}
	fields := r.fields(doc.Content[0], "id", "title", "version", "report", "requirements")
	if fields == nil {
		return audit.Framework{}
	}
	f := audit.Framework{ID: r.text(fields["id"]), Title: r.text(fields["title"]), Version: r.text(fields["version"]), Report: r.text(fields["report"])}
	for _, key := range []string{"id", "report"} {
		if s := fields[key].Value; s != "" && !namePattern.MatchString(s) {
			r.problem(fields[key], "%s %q: want lower-case letters, digits and dashes", key, s)
		}
	}
	seen := map[string]bool{}
	for _, n := range r.items(fields["requirements"]) {
		q := r.requirement(n)
		if seen[q.ID] && q.ID != "" {
			r.problem(n, "requirement %s is there twice", q.ID)
		}
		seen[q.ID] = true
		f.Requirements = append(f.Requirements, q)
	}
	if len(f.Requirements) == 0 {
		r.problem(fields["requirements"], "no requirements")
	}
	return f
}

// requirement: evidence is always written, even where there is none, and what
// is not evidenced is always said.
func (r *reader) requirement(n *yaml.Node) audit.Requirement {
	fields := r.fields(n, "id", "title", "evidence", "not_evidenced")
	if fields == nil {
		return audit.Requirement{}
	}
	q := audit.Requirement{ID: r.text(fields["id"]), Title: r.text(fields["title"]), NotEvidenced: r.text(fields["not_evidenced"])}
	seen := map[string]bool{}
	for _, item := range r.items(fields["evidence"]) {
		parts := r.fields(item, "control", "strength", "rationale")
		if parts == nil {
			continue
		}
		e := audit.Evidence{Control: r.text(parts["control"]), Strength: audit.Strength(r.text(parts["strength"])), Rationale: r.text(parts["rationale"])}
		if !slices.ContainsFunc(r.controls, func(c audit.Control) bool { return c.ID == e.Control }) {
			r.problem(parts["control"], "requirement %s: no control %q in this library", q.ID, e.Control)
		}
		if !slices.Contains([]audit.Strength{audit.Direct, audit.Partial, audit.Supporting}, e.Strength) {
			r.problem(parts["strength"], "requirement %s: strength %q; want direct, partial or supporting", q.ID, e.Strength)
		}
		if seen[e.Control] {
			r.problem(item, "requirement %s: control %s is there twice", q.ID, e.Control)
		}
		seen[e.Control] = true
		q.Evidence = append(q.Evidence, e)
	}
	return q
}

// fields reads a map that has exactly the keys wanted; nil if it has not.
func (r *reader) fields(n *yaml.Node, want ...string) map[string]*yaml.Node {
	if n.Kind != yaml.MappingNode {
		r.problem(n, "want a map with %s", strings.Join(want, ", "))
		return nil
	}
	before, out := len(r.problems), map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		switch {
		case !slices.Contains(want, key):
			r.problem(n.Content[i], "unknown key %q; want %s", key, strings.Join(want, ", "))
		case out[key] != nil:
			r.problem(n.Content[i], "key %q is there twice", key)
		}
		out[key] = n.Content[i+1]
	}
	for _, key := range want {
		if out[key] == nil {
			r.problem(n, "key %q is missing", key)
		}
	}
	if len(r.problems) > before {
		return nil
	}
	return out
}

func (r *reader) items(n *yaml.Node) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		r.problem(n, "want a list; write [] where there is nothing")
		return nil
	}
	return n.Content
}

// text reads a text that is not empty. Numbers are taken as they are written.
func (r *reader) text(n *yaml.Node) string {
	if s := strings.TrimSpace(n.Value); n.Kind == yaml.ScalarNode && n.Tag != "!!null" && s != "" {
		return s
	}
	r.problem(n, "want a text that is not empty")
	return ""
}

func (r *reader) problem(n *yaml.Node, format string, args ...any) {
	line := 1
	if n != nil && n.Line > 0 {
		line = n.Line
	}
	r.problems = append(r.problems, fmt.Errorf("%s:%d: %s", r.path, line, fmt.Sprintf(format, args...)))
}
