package terraform

import (
	"slices"
	"strconv"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// module is a module's configuration, as a plan holds it: only what refers to what.
type module struct {
	blocks  map[string]block // by address within the module, without instance key
	calls   map[string]call
	outputs map[string][]string
}

// block is one resource block.
type block struct {
	references    map[string][]string // place in the values → what is referred to there
	forEach       []string            // what for_each refers to
	schemaVersion any
}

// call is one use of a module.
type call struct {
	inputs  map[string][]string
	forEach []string
	module  *module
}

// readConfiguration takes a plan's configuration. What is not as expected is
// left out: it only means fewer references.
func readConfiguration(v any) *module {
	m, _ := v.(map[string]any)
	root, _ := m["root_module"].(map[string]any)
	return readModule(root)
}

func readModule(m map[string]any) *module {
	out := &module{blocks: map[string]block{}, calls: map[string]call{}, outputs: map[string][]string{}}
	for _, r := range list(m["resources"]) {
		r, _ := r.(map[string]any)
		b := block{references: map[string][]string{}, forEach: repeats(r), schemaVersion: r["schema_version"]}
		collectReferences(r["expressions"], "", b.references)
		out.blocks[str(r, "address")] = b
	}
	calls, _ := m["module_calls"].(map[string]any)
	for name, c := range calls {
		c, _ := c.(map[string]any)
		inner, _ := c["module"].(map[string]any)
		inputs := map[string][]string{}
		vars, _ := c["expressions"].(map[string]any)
		for key, v := range vars {
			all := map[string][]string{}
			collectReferences(v, "", all)
			for _, refs := range all {
				inputs[key] = append(inputs[key], refs...)
			}
			slices.Sort(inputs[key])
		}
		out.calls[name] = call{inputs: inputs, forEach: repeats(c), module: readModule(inner)}
	}
	outputs, _ := m["outputs"].(map[string]any)
	for name, o := range outputs {
		o, _ := o.(map[string]any)
		refs, _ := expression(o["expression"])
		out.outputs[name] = refs
	}
	return out
}

func repeats(m map[string]any) []string {
	refs, _ := expression(m["for_each_expression"])
	return refs
}

// collectReferences walks the expressions of a block: objects and arrays of
// nested blocks, down to the expressions themselves. Places are JSON pointers
// into the values without their first slash.
func collectReferences(v any, at string, out map[string][]string) {
	if refs, ok := expression(v); ok {
		if len(refs) > 0 {
			out[strings.TrimPrefix(at, "/")] = refs
		}
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			collectReferences(e, at+"/"+audit.EscapePointer(key), out)
		}
	case []any:
		for i, e := range v {
			collectReferences(e, at+"/"+strconv.Itoa(i), out)
		}
	}
}

// expression gives what an expression refers to, and whether v is one at all.
// Terraform names a reference in full and by each of its beginnings; only the
// full ones are kept.
func expression(v any) (refs []string, ok bool) {
	m, isObject := v.(map[string]any)
	if !isObject {
		return nil, false
	}
	if _, constant := m["constant_value"]; constant {
		return nil, true
	}
	all, isArray := m["references"].([]any)
	if !isArray {
		return nil, len(m) == 0
	}
	for _, r := range all {
		s, isString := r.(string)
		if !isString {
			return nil, false
		}
		refs = append(refs, s)
	}
	return longest(refs), true
}

func longest(refs []string) []string {
	refs = slices.Clone(refs)
	slices.Sort(refs)
	refs = slices.Compact(refs)
	var out []string
	for i, r := range refs {
		covered := false
		for _, other := range refs[i+1:] {
			if !strings.HasPrefix(other, r) {
				break
			}
			covered = covered || other[len(r)] == '.' || other[len(r)] == '['
		}
		if !covered {
			out = append(out, r)
		}
	}
	return out
}
