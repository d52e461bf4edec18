package terraform

import "slices"

// remains tells whether what a planned change is about will be there, under
// Terraform, once the plan is applied. What a plan deletes or forgets is not
// judged as existing.
func remains(m map[string]any) bool {
	change, _ := m["change"].(map[string]any)
	actions := list(change["actions"])
	return str(m, "deposed") == "" && (len(actions) == 0 ||
		slices.ContainsFunc(actions, func(a any) bool { return a != "delete" && a != "forget" }))
}

// plannedInstance takes a resource instance as it will be when the plan is applied.
func plannedInstance(m map[string]any, v *survey) (instance, error) {
	change, _ := m["change"].(map[string]any)
	in := instance{
		address: str(m, "address"), mode: str(m, "mode"), typ: str(m, "type"), name: str(m, "name"), index: m["index"],
		provider: str(m, "provider_name"), deposed: str(m, "deposed"), gone: !remains(m),
		marks: change["after_sensitive"], unknown: change["after_unknown"],
	}
	in.module, _ = splitModule(in.address)
	what := map[string]any{"actions": list(change["actions"])}
	if reason := str(m, "action_reason"); reason != "" {
		what["action_reason"] = reason
	}
	if old := str(m, "previous_address"); old != "" {
		what["previous_address"] = old
	}
	block, refs := v.references(in)
	in.schemaVersion = block
	in.extra = map[string]any{"change": what, "references": refs}
	if change["after"] == nil && !in.gone {
		in.unknown = true
	}
	return in, in.attributes(change["after"])
}

// readPlan reads a plan: the planned changes, and from the prior state the data
// sources, which a plan holds nowhere else once they have been read.
func readPlan(s *stream, v *survey, each func(instance) error) error {
	return s.object(func(key string) error {
		switch key {
		case "resource_changes":
			return s.array(func() error {
				m, err := s.record()
				if err != nil {
					return err
				}
				in, err := plannedInstance(m, v)
				if err != nil {
					return err
				}
				return each(in)
			})
		case "prior_state":
			return priorState(s, func(m map[string]any) error {
				in, err := shownInstance(m)
				if err != nil || in.mode != modeData || v.changed[in.address] {
					return err
				}
				in.extra["change"] = map[string]any{"actions": []any{"no-op"}}
				in.extra["references"] = map[string]any{}
				return each(in)
			})
		}
		return s.skip()
	})
}
