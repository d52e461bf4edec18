package policies

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
)

var (
	idPattern   = regexp.MustCompile(`^[A-Z]{2,6}-[0-9]{3}$`)
	typePattern = regexp.MustCompile(`^(aws|kubernetes|terraform|netbox)/[!-~]+$`)
	customKeys  = []string{"id", "severity", "applies_to", "why", "fix", "runbook", "excludes", "parameters", "compares_tokens", "needs_all"}
)

// readControls reads the METADATA of every control, sorted by id. A module under
// controls is a control; there are no others.
func readControls(m *modules) ([]audit.Control, error) {
	var controls []audit.Control
	var problems []error
	byID, byPackage := map[string]string{}, map[string]string{}
	for _, path := range m.paths {
		if !strings.HasPrefix(path, "controls/") {
			continue
		}
		meta, err := newMetadata(path, m.files[path], m.parsed[path])
		if err != nil {
			problems = append(problems, err)
			continue
		}
		c := meta.control()
		for name, seen := range map[string]map[string]string{c.ID: byID, c.Package: byPackage} {
			if other, ok := seen[name]; ok && name != "" {
				meta.problem("id", "%s is taken by %s; every control has its own id and package", name, other)
			}
			seen[name] = path
		}
		meta.inspectRules(c)
		problems = append(problems, meta.problems...)
		controls = append(controls, c)
	}
	if len(controls) == 0 && len(problems) == 0 {
		problems = append(problems, errors.New("controls: no control there"))
	}
	slices.SortFunc(controls, func(x, y audit.Control) int { return strings.Compare(x.ID, y.ID) })
	return controls, errors.Join(problems...)
}

// metadata is one control's METADATA block while it is read.
type metadata struct {
	path     string
	text     []byte
	module   *ast.Module
	block    *ast.Annotations
	custom   map[string]any
	problems []error
}

func newMetadata(path string, text []byte, module *ast.Module) (*metadata, error) {
	i := slices.IndexFunc(module.Annotations, func(a *ast.Annotations) bool { return a.Scope == "package" })
	if i < 0 {
		return nil, fmt.Errorf("%s:1: no METADATA block above the package; a control says its id, title, description, severity, applies_to, why and fix there", path)
	}
	block := module.Annotations[i]
	v, err := plainJSON(block.Custom)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: METADATA custom: %w", path, block.Location.Row, err)
	}
	custom, _ := v.(map[string]any)
	return &metadata{path: path, text: text, module: module, block: block, custom: custom}, nil
}

// control reads the block; what is wrong is kept as problems.
func (m *metadata) control() audit.Control {
	for _, key := range sortedKeys(m.custom) {
		if !slices.Contains(customKeys, key) {
			m.problem(key, "unknown key; known are %s", strings.Join(customKeys, ", "))
		}
	}
	c := audit.Control{
		ID: m.text1("id", true), Title: m.block.Title, Description: strings.TrimSpace(m.block.Description),
		Severity: audit.Severity(m.text1("severity", true)), AppliesTo: m.list("applies_to"),
		Why: m.text1("why", true), Fix: m.fix(), Runbook: m.text1("runbook", false), Excludes: m.text1("excludes", false),
		Parameters: m.parameters(), ComparesTokens: m.list("compares_tokens"), NeedsAll: m.flag("needs_all"),
		Package: strings.TrimPrefix(m.module.Package.Path.String(), "data."), File: m.path, Rego: string(m.text),
	}
	if c.Title == "" {
		m.problem("title", "is missing; say in one line what holds when the control passes")
	}
	if c.Description == "" {
		m.problem("description", "is missing; say what is judged and how")
	}
	if c.ID != "" && !idPattern.MatchString(c.ID) {
		m.problem("id", "%q; want <DOMAIN>-<nnn>, as in STO-001", c.ID)
	}
	if c.Severity != "" && !c.Severity.Valid() {
		m.problem("severity", "%q; want critical, high, medium or low", c.Severity)
	}
	if len(c.AppliesTo) == 0 {
		m.problem("applies_to", "is missing or empty; list source/type or source/*")
	}
	for i, typ := range c.AppliesTo {
		switch {
		case !typePattern.MatchString(typ):
			m.problem("applies_to", "%q; want source/type with a source of aws, kubernetes, terraform, netbox", typ)
		case slices.Contains(c.AppliesTo[:i], typ):
			m.problem("applies_to", "%q is there twice", typ)
		}
	}
	return c
}

// text1 reads a string.
func (m *metadata) text1(key string, required bool) string {
	v, ok := m.custom[key]
	s, isText := v.(string)
	switch {
	case !ok && required:
		m.problem(key, "is missing; every control says it")
	case ok && (!isText || strings.TrimSpace(s) == ""):
		m.problem(key, "want a text that is not empty")
	}
	return strings.TrimSpace(s)
}

func (m *metadata) list(key string) []string {
	v, ok := m.custom[key]
	if !ok {
		return nil
	}
	items, ok := v.([]any)
	var out []string
	for _, item := range items {
		s, isText := item.(string)
		ok = ok && isText
		out = append(out, s)
	}
	if !ok {
		m.problem(key, "want a list of texts")
		return nil
	}
	return out
}

func (m *metadata) flag(key string) bool {
	v, ok := m.custom[key]
	b, isBool := v.(bool)
	if ok && !isBool {
		m.problem(key, "want true or false")
	}
	return b
}

func (m *metadata) fix() map[string]string {
	given, _ := m.custom["fix"].(map[string]any)
	out := map[string]string{}
	for _, tool := range sortedKeys(given) {
		s, ok := given[tool].(string)
		if !ok || strings.TrimSpace(s) == "" {
			m.problem("fix", "%s: want the commands or code as a text", tool)
		}
		out[tool] = s
	}
	if len(out) == 0 {
		m.problem("fix", "is missing or empty; give at least one tool and what to do with it")
	}
	return out
}

// inspectRules sees that the module has what a control has: one set named
// violation, and applies with its sentence or neither.
func (m *metadata) inspectRules(c audit.Control) {
	applies, fallback, violation := false, false, false
	for _, rule := range m.module.Rules {
		name := rule.Head.Ref()[0].String()
		switch {
		case name == "violation":
			violation = true
			m.inspectViolation(rule)
		case name == "applies" && rule.Default:
			fallback = rule.Head.Value != nil && rule.Head.Value.Value.Compare(ast.Boolean(false)) == 0
		case name == "applies":
			applies = true
		case !strings.HasPrefix(name, "_"):
			m.at(rule.Location.Row, "rule %s: a control has violation and applies; others of its own begin with an underscore", name)
		}
	}
	if !violation {
		m.at(m.module.Package.Location.Row, "no rule violation; write `violation contains {\"message\": …, \"observed\": …, \"expected\": …, \"path\": …} if …`")
	}
	switch {
	case applies && !fallback:
		m.at(m.module.Package.Location.Row, "applies has no default; write `default applies := false`")
	case fallback && !applies:
		m.at(m.module.Package.Location.Row, "applies is never true; write `applies if …` or remove it")
	}
	if applies && c.Excludes == "" {
		m.problem("excludes", "is missing; say in a sentence why a resource is excluded where applies is false")
	}
	if !applies && c.Excludes != "" {
		m.problem("excludes", "is there, but no rule applies; write it or remove excludes")
	}
}

func (m *metadata) inspectViolation(rule *ast.Rule) {
	want := []string{"expected", "message", "observed", "path"}
	var got []string
	if rule.Head.RuleKind() == ast.MultiValue && rule.Head.Key != nil && len(rule.Head.Ref()) == 1 {
		if object, ok := rule.Head.Key.Value.(ast.Object); ok {
			object.Foreach(func(key, _ *ast.Term) {
				if s, ok := key.Value.(ast.String); ok {
					got = append(got, string(s))
				} else {
					got = append(got, key.String())
				}
			})
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		m.at(rule.Location.Row, "violation: write `violation contains` an object with exactly message, observed, expected and path")
	}
}

// problem reports what is wrong with a key of the block, at the key's line.
func (m *metadata) problem(key, format string, args ...any) {
	row := m.block.Location.Row
	for i, line := range strings.Split(string(m.text), "\n") {
		if i+1 >= m.module.Package.Location.Row {
			break
		}
		if i+1 >= row && strings.HasPrefix(strings.TrimLeft(line, "# \t"), key+":") {
			row = i + 1
			break
		}
	}
	m.at(row, "METADATA %s: "+format, append([]any{key}, args...)...)
}

func (m *metadata) at(row int, format string, args ...any) {
	m.problems = append(m.problems, fmt.Errorf("%s:%d: %s", m.path, row, fmt.Sprintf(format, args...)))
}
