package policies

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// parameters reads what METADATA says of a control's parameters.
func (m *metadata) parameters() map[string]audit.Parameter {
	v, ok := m.custom["parameters"]
	if !ok {
		return nil
	}
	given, ok := v.(map[string]any)
	if !ok || len(given) == 0 {
		m.problem("parameters", "want a map from name to type, description and default")
		return nil
	}
	out := map[string]audit.Parameter{}
	for _, name := range sortedKeys(given) {
		fields, _ := given[name].(map[string]any)
		typ, _ := fields["type"].(string)
		text, _ := fields["description"].(string)
		def, hasDefault := fields["default"]
		p := audit.Parameter{Type: typ, Description: strings.TrimSpace(text), Default: def, Value: clone(def)}
		switch {
		case len(fields) != 3 || typ == "" || text == "" || !hasDefault:
			m.problem("parameters", "%s: want exactly type, description and default", name)
		case !slices.Contains([]string{"string", "number", "boolean", "array", "object"}, typ):
			m.problem("parameters", "%s: type %q; want string, number, boolean, array or object", name, typ)
		default:
			if err := fits(p, def); err != nil {
				m.problem("parameters", "%s: default: %v", name, err)
			}
		}
		out[name] = p
	}
	return out
}

// setParameters puts the configured values into the controls and returns the
// document data.parameters.
func setParameters(controls []audit.Control, configured map[string]map[string]any) (map[string]any, error) {
	var problems []error
	byID := map[string]*audit.Control{}
	for i := range controls {
		byID[controls[i].ID] = &controls[i]
	}
	for _, id := range slices.Sorted(maps.Keys(configured)) {
		c := byID[id]
		if c == nil {
			problems = append(problems, fmt.Errorf("parameters: no control %s; `crosscheck controls list` shows them", id))
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(configured[id])) {
			p, ok := c.Parameters[name]
			if !ok {
				problems = append(problems, fmt.Errorf("parameters: %s has no parameter %q; it has %s", id, name, orNone(sortedKeys(c.Parameters))))
				continue
			}
			value, err := plainJSON(configured[id][name])
			if err == nil {
				err = fits(p, value)
			}
			if err != nil {
				problems = append(problems, fmt.Errorf("parameters: %s.%s: %w", id, name, err))
				continue
			}
			p.Value = value
			c.Parameters[name] = p
		}
	}
	document := map[string]any{}
	for _, c := range controls {
		if len(c.Parameters) > 0 {
			values := map[string]any{}
			for name, p := range c.Parameters {
				values[name] = p.Value
			}
			document[c.ID] = values
		}
	}
	return document, errors.Join(problems...)
}

// fits tells whether a value is of a parameter's type. The items of an array are
// of the type of the default's items: "22" instead of 22 would match nothing, and
// what matches nothing looks like a pass.
func fits(p audit.Parameter, value any) error {
	if got := jsonType(value); got != p.Type {
		return fmt.Errorf("want %s, got %s", p.Type, got)
	}
	items, _ := value.([]any)
	defaults, _ := p.Default.([]any)
	if len(defaults) == 0 {
		return nil
	}
	for i, item := range items {
		if want, got := jsonType(defaults[0]), jsonType(item); got != want {
			return fmt.Errorf("item %d: want %s, got %s", i, want, got)
		}
	}
	return nil
}

func jsonType(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case json.Number:
		return "number"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "null"
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
