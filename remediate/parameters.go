package remediate

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Where parameters come from.
const (
	fromDocument  = "document"  // the resource document, by JSON pointer
	fromViolation = "violation" // message, observed, expected or path of the violation, by JSON pointer
	fromPlace     = "place"     // the document, by a pointer relative to the violation's path: 2/FromPort
	fromResource  = "resource"  // id, name, native, origin, type, account, region, api_version or kind, by JSON pointer
	fromSettings  = "settings"  // what remediation.use.<runbook>.with says, by JSON pointer
)

// maxValue bounds every parameter, whatever its runbook says.
const maxValue = 4096

// Parameter is one value that a runbook takes from what was found. It goes to
// runners as one whole value and is never made part of a text.
type Parameter struct {
	From     string `yaml:"from" json:"from"`
	Pointer  string `yaml:"pointer" json:"pointer"`
	Pattern  string `yaml:"pattern" json:"pattern"`                   // that the whole value must match
	Max      int    `yaml:"max" json:"max"`                           // bytes
	Type     string `yaml:"type" json:"type,omitempty"`               // string, the default, number or boolean
	Optional bool   `yaml:"optional" json:"optional,omitempty"`       // left out where there is none
	Why      string `yaml:"description" json:"description,omitempty"` // for a reader
	re       *regexp.Regexp
}

// Parameters are a runbook's, by name.
type Parameters map[string]*Parameter

// Values are a runbook's parameters for one target.
type Values map[string]string

var (
	parameterForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)
	relativeForm  = regexp.MustCompile(`^(0|[1-9][0-9]?)(/.*)?$`)
)

func (ps Parameters) check() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(ps)) {
		if err := ps[name].check(); err != nil {
			errs = append(errs, fmt.Errorf("parameters.%s: %w", name, err))
		}
		if !parameterForm.MatchString(name) {
			errs = append(errs, fmt.Errorf("parameters.%s: expected a name of lower-case letters, digits and _", name))
		}
	}
	return errors.Join(errs...)
}

func (p *Parameter) check() error {
	switch {
	case p == nil:
		return errors.New("expected from, pointer, pattern and max")
	case !slices.Contains([]string{fromDocument, fromViolation, fromPlace, fromResource, fromSettings}, p.From):
		return fmt.Errorf("from %q: expected document, violation, place, resource or settings", p.From)
	case p.From == fromPlace && !relativeForm.MatchString(p.Pointer):
		return fmt.Errorf("pointer %q: expected a relative one, such as 1/Name", p.Pointer)
	case p.From != fromPlace && !strings.HasPrefix(p.Pointer, "/"):
		return fmt.Errorf("pointer %q: expected one that begins with /", p.Pointer)
	case !strings.HasPrefix(p.Pattern, "^") || !strings.HasSuffix(p.Pattern, "$"):
		return fmt.Errorf("pattern %q: expected one of the whole value, ^…$", p.Pattern)
	case p.Max < 1 || p.Max > maxValue:
		return fmt.Errorf("max %d: expected 1 to %d", p.Max, maxValue)
	case !slices.Contains([]string{"", "string", "number", "boolean"}, p.Type):
		return fmt.Errorf("type %q: expected string, number or boolean", p.Type)
	}
	re, err := regexp.Compile(`\A(?:` + p.Pattern + `)\z`)
	if err != nil {
		return fmt.Errorf("pattern: %w", err)
	}
	p.re = re
	return nil
}

// setting is the name of the setting that the parameter is taken from.
func (p *Parameter) setting() string { return strings.TrimPrefix(p.Pointer, "/") }

// fits tells what keeps a value from being used.
func (p *Parameter) fits(value string) error {
	switch {
	case len(value) > p.Max:
		return fmt.Errorf("%d bytes, more than %d", len(value), p.Max)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 }):
		return errors.New("control characters, or no UTF-8")
	case strings.HasPrefix(value, audit.TokenPrefix):
		return errors.New("a secret, of which only a token is known")
	case !p.re.MatchString(value):
		return fmt.Errorf("%q does not match %s", clip(value, 80), p.Pattern)
	case p.Type == "number" && !json.Valid([]byte(value)):
		return fmt.Errorf("%q is no number", clip(value, 80))
	case p.Type == "boolean" && value != "true" && value != "false":
		return fmt.Errorf("%q is neither true nor false", clip(value, 80))
	}
	return nil
}

// found is all that parameters may come from.
type found struct {
	document  any
	violation any
	path      string
	resource  any
	settings  any
}

// values takes a runbook's parameters from a decision and its document: a
// target for the decision, or one for each violation.
func (r Runbook) values(d audit.Found, doc audit.Resource, with map[string]string) ([]Values, error) {
	line, err := doc.Line()
	if err != nil {
		return nil, err
	}
	document, err := audit.DecodeJSON(line)
	if err != nil {
		return nil, err
	}
	violations := d.Violations
	if r.Each != "violation" {
		violations = violations[:min(1, len(violations))]
	}
	if len(violations) == 0 {
		return nil, errors.New("the decision has no violation")
	}
	settings := map[string]any{}
	for k, v := range with {
		settings[k] = v
	}
	var out []Values
	for _, v := range violations {
		about, err := jsonValue(v)
		if err != nil {
			return nil, err
		}
		vs, err := r.Parameters.take(found{document, about, v.Path, describe(d), settings})
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out, func(o Values) bool { return maps.Equal(o, vs) }) {
			out = append(out, vs)
		}
	}
	return out, nil
}

// describe is what the id of a resource says of it.
func describe(d audit.Found) map[string]any {
	out := map[string]any{
		"id": d.Resource, "name": d.Name, "origin": d.Origin, "type": d.Type,
		"native": strings.TrimPrefix(d.Resource, d.Origin+"/"+d.Type+"/"),
	}
	if parts := strings.Split(d.Origin, "/"); parts[0] == audit.AWS && len(parts) == 3 {
		out["account"], out["region"] = parts[1], parts[2]
	}
	if audit.SourceOf(d.Origin) == audit.Kubernetes {
		if i := strings.LastIndex(d.Type, "/"); i > 0 {
			out["api_version"], out["kind"] = d.Type[:i], d.Type[i+1:]
		}
	}
	return out
}

func (ps Parameters) take(f found) (Values, error) {
	out := Values{}
	for _, name := range slices.Sorted(maps.Keys(ps)) {
		p := ps[name]
		value, ok, err := p.take(f)
		switch {
		case err != nil:
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		case !ok && p.Optional:
			continue
		case !ok:
			return nil, fmt.Errorf("parameter %s: nothing at %s of the %s", name, p.Pointer, p.From)
		}
		if err := p.fits(value); err != nil {
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		}
		out[name] = value
	}
	return out, nil
}

func (p *Parameter) take(f found) (value string, ok bool, err error) {
	root, pointer := f.document, p.Pointer
	switch p.From {
	case fromViolation:
		root = f.violation
	case fromResource:
		root = f.resource
	case fromSettings:
		root = f.settings
	case fromPlace:
		if pointer, err = relative(f.path, p.Pointer); err != nil {
			return "", false, err
		}
	}
	v, ok := at(root, pointer)
	if !ok || v == nil {
		return "", false, nil
	}
	switch v := v.(type) {
	case string:
		return v, true, nil
	case json.Number:
		return v.String(), true, nil
	case bool:
		return strconv.FormatBool(v), true, nil
	}
	return "", false, fmt.Errorf("what is at %s is neither text, number nor boolean", p.Pointer)
}

// relative resolves 2/Name against a pointer: up two, then down to Name.
func relative(base, pointer string) (string, error) {
	up, down, _ := strings.Cut(pointer, "/")
	n, err := strconv.Atoi(up)
	if err != nil {
		return "", err
	}
	if down != "" {
		down = "/" + down
	}
	for range n {
		i := strings.LastIndexByte(base, '/')
		if i < 0 {
			return "", fmt.Errorf("pointer %s leads out of the document", pointer)
		}
		base = base[:i]
	}
	return base + down, nil
}

// at gives what a JSON pointer (RFC 6901) names.
func at(v any, pointer string) (any, bool) {
	if pointer == "" {
		return v, true
	}
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		switch node := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = node[step]; !ok {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(node) || strconv.Itoa(i) != step {
				return nil, false
			}
			v = node[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// flat renders the values of all targets for a repair's row: bucket, bucket#2.
func flat(targets []Values) map[string]string {
	out := map[string]string{}
	for i, t := range targets {
		for name, value := range t {
			if i > 0 {
				name += "#" + strconv.Itoa(i+1)
			}
			out[name] = value
		}
	}
	return out
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// target splits bucket#2 into the parameter and the number of its target.
func target(key string) (name string, n int) {
	name, number, _ := strings.Cut(key, "#")
	if n, err := strconv.Atoi(number); err == nil && n > 1 && n <= 1000 {
		return name, n
	}
	return name, 1
}
