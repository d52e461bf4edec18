package remediate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// reference tells whether a value stands for a parameter: {param: NAME}.
func reference(v any) (name string, ok bool) {
	m, is := v.(map[string]any)
	if !is || len(m) != 1 {
		return "", false
	}
	name, ok = m["param"].(string)
	return name, ok
}

// references refuses what refers to no parameter.
func (r Runbook) references(v any) error {
	if name, ok := reference(v); ok {
		if r.Parameters[name] == nil {
			return fmt.Errorf("act: no parameter %q", name)
		}
		return nil
	}
	var errs []error
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			errs = append(errs, r.references(v[key]))
		}
	case []any:
		for _, e := range v {
			errs = append(errs, r.references(e))
		}
	}
	return errors.Join(errs...)
}

// Fill puts the values of a target in the place of {param: NAME} in what the
// runner is told, each as one JSON value. What refers to an optional parameter
// without a value is left out.
func (r Runbook) Fill(t Values) map[string]any {
	out, _ := r.fill(r.Act, t).(map[string]any)
	return out
}

// absent marks what is left out.
type absent struct{}

func (r Runbook) fill(v any, t Values) any {
	if name, ok := reference(v); ok {
		value, ok := t[name]
		p := r.Parameters[name]
		switch {
		case !ok || p == nil:
			return absent{}
		case p.Type == "number":
			return json.Number(value)
		case p.Type == "boolean":
			return value == "true"
		}
		return value
	}
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, e := range v {
			if e = r.fill(e, t); e != (absent{}) {
				out[key] = e
			}
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			if e = r.fill(e, t); e != (absent{}) {
				out = append(out, e)
			}
		}
		return out
	}
	return v
}

// Decode reads what a runner is told into its own type, strictly.
func Decode(act map[string]any, into any) error {
	b, err := json.Marshal(act)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("act: %w", err)
	}
	return nil
}
