package terraform

import (
	"fmt"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// shownModules reads a module of `terraform show -json` and those below it,
// and calls each with every resource.
func shownModules(s *stream, each func(m map[string]any) error) error {
	return s.object(func(key string) error {
		switch key {
		case "resources":
			return s.array(func() error {
				m, err := s.record()
				if err != nil {
					return err
				}
				return each(m)
			})
		case "child_modules":
			return s.array(func() error { return shownModules(s, each) })
		}
		return s.skip()
	})
}

// shownValues reads the "values" of a shown state.
func shownValues(s *stream, each func(m map[string]any) error) error {
	return s.object(func(key string) error {
		if key == "root_module" {
			return shownModules(s, each)
		}
		return s.skip()
	})
}

// priorState reads a plan's prior state.
func priorState(s *stream, each func(m map[string]any) error) error {
	return s.object(func(key string) error {
		if key == "values" {
			return shownValues(s, each)
		}
		return s.skip()
	})
}

// shownInstance takes a resource instance as `terraform show -json` renders it.
func shownInstance(m map[string]any) (instance, error) {
	in := instance{
		address: str(m, "address"), mode: str(m, "mode"), typ: str(m, "type"), name: str(m, "name"), index: m["index"],
		provider: str(m, "provider_name"), schemaVersion: m["schema_version"], deposed: str(m, "deposed_key"),
		marks: m["sensitive_values"], extra: map[string]any{"dependencies": list(m["depends_on"])},
	}
	in.module, _ = splitModule(in.address)
	if m["tainted"] == true {
		in.extra["tainted"] = true
	}
	if m["values"] == nil {
		in.missing, in.why = audit.Failed, "values"
	}
	return in, in.attributes(m["values"])
}

// attributes sets the values, which are an object or null.
func (in *instance) attributes(v any) error {
	switch v := v.(type) {
	case nil:
		in.values = map[string]any{}
	case map[string]any:
		in.values = v
	default:
		return fmt.Errorf("the values of a resource are %T, not an object", v)
	}
	return nil
}

// list gives an array as it is and anything else as an empty one.
func list(v any) []any {
	if a, ok := v.([]any); ok {
		return a
	}
	return []any{}
}

// readShown reads the output of `terraform show -json` of a state.
func readShown(s *stream, each func(instance) error) error {
	return s.object(func(key string) error {
		if key != "values" {
			return s.skip()
		}
		return shownValues(s, func(m map[string]any) error {
			in, err := shownInstance(m)
			if err != nil {
				return err
			}
			return each(in)
		})
	})
}
