package terraform

import (
	"maps"
	"slices"
	"strings"
)

// manyInstances bounds how many instances one reference is resolved to. Where
// it means more, the resource is named without instance key.
const manyInstances = 256

// manyReferences bounds how many steps the resolution of one expression takes.
const manyReferences = 10_000

// keys are the instance keys of one block or module call.
type keys map[string]bool

// instances knows which instances of resources and modules a plan leaves, by
// module instance and block or call, without key.
type instances struct{ resources, modules map[string]keys }

func newInstances() *instances {
	return &instances{map[string]keys{}, map[string]keys{}}
}

func (i *instances) add(address string) {
	module, rest := splitModule(address)
	name, key := splitKey(rest)
	note(i.resources, within(module, name), key)
	for module != "" {
		parent, call, key := parentModule(module)
		if !note(i.modules, within(parent, call), key) {
			return
		}
		module = parent
	}
}

// note adds a key and tells whether it is new.
func note(to map[string]keys, at, key string) bool {
	if to[at] == nil {
		to[at] = keys{}
	}
	known := to[at][key]
	to[at][key] = true
	return !known
}

func within(module, address string) string {
	if module == "" {
		return address
	}
	return module + "." + address
}

// scope is one instance of a module in which a reference is read.
type scope struct {
	module *module
	path   string // the module instance's address
	parent *scope // nil for the root
	call   call   // how the parent calls it
	key    string // which instance of the call it is
}

// references resolves what a planned resource refers to, by place in its
// values, to addresses in the plan: through variables into modules, outputs out
// of them, and for_each. Of count and for_each instances the one with the same
// key is meant where the expression says each or count, else all. A plan does
// not say what locals are made of: those stay as they are.
func (v *survey) references(in instance) (schemaVersion any, out map[string]any) {
	out = map[string]any{}
	at := v.scope(in.module)
	if at == nil {
		return nil, out
	}
	_, last := splitModule(in.address)
	name, key := splitKey(last)
	b := at.module.blocks[name]
	for place, refs := range b.references {
		r := resolution{known: v.planned, found: map[string]bool{}, visited: map[string]bool{}}
		r.all(at, refs, key, b.forEach)
		if len(r.found) > 0 {
			addresses := make([]any, 0, len(r.found))
			for _, a := range slices.Sorted(maps.Keys(r.found)) {
				addresses = append(addresses, a)
			}
			out[place] = addresses
		}
	}
	return b.schemaVersion, out
}

// scope finds the module an instance address leads to, or nil.
func (v *survey) scope(path string) *scope {
	if v.code == nil {
		return nil
	}
	if path == "" {
		return &scope{module: v.code}
	}
	parent, name, key := parentModule(path)
	if name == path && !strings.HasPrefix(name, "module.") {
		return nil
	}
	at := v.scope(parent)
	if at == nil {
		return nil
	}
	return at.enter(strings.TrimPrefix(name, "module."), key)
}

func (s *scope) enter(name, key string) *scope {
	c, ok := s.module.calls[name]
	if !ok {
		return nil
	}
	return &scope{module: c.module, path: within(s.path, "module."+name+key), parent: s, call: c, key: key}
}

// resolution follows the references of one expression. Each is followed once
// in each module instance, so that it ends whatever the configuration says.
type resolution struct {
	known   *instances
	found   map[string]bool
	visited map[string]bool
}

// all resolves references read in a scope, by something that is the instance key of its block.
func (r *resolution) all(at *scope, refs []string, key string, forEach []string) {
	same := ""
	for _, ref := range refs {
		if ref == "count.index" || ref == "each.key" || ref == "each.value" || strings.HasPrefix(ref, "each.value.") || strings.HasPrefix(ref, "each.value[") {
			same = key
		}
	}
	for _, ref := range refs {
		r.one(at, ref, same, forEach)
	}
}

func (r *resolution) one(at *scope, ref, key string, forEach []string) {
	seen := strings.Join(append([]string{at.path, ref, key}, forEach...), " ")
	if r.visited[seen] || len(r.visited) > manyReferences {
		return
	}
	r.visited[seen] = true
	first, rest := cutStep(ref)
	switch first {
	case "count", "path", "terraform", "self":
	case "local":
		if name, _ := cutStep(rest); name != "" {
			r.found[within(at.path, "local."+name)] = true
		}
	case "each":
		if what, _ := cutStep(rest); what == "value" {
			for _, source := range forEach {
				r.one(at, source, key, nil)
			}
		}
	case "var":
		if name, _ := cutStep(rest); at.parent != nil {
			r.all(at.parent, at.call.inputs[name], at.key, at.call.forEach)
		}
	case "module":
		r.output(at, rest, key)
	default:
		r.resource(at, first, rest, key)
	}
}

// output follows NAME[key].OUTPUT into a module; without an output, into all of them.
func (r *resolution) output(at *scope, ref, key string) {
	step, rest := cutStep(ref)
	name, explicit := splitKey(step)
	keys, all := r.choose(r.known.modules[within(at.path, "module."+name)], explicit, key)
	if !all {
		r.found[within(at.path, "module."+ref)] = true
		return
	}
	for _, k := range keys {
		inner := at.enter(name, k)
		if inner == nil {
			return
		}
		wanted, _ := cutStep(rest)
		wanted, _ = splitKey(wanted)
		for _, out := range slices.Sorted(maps.Keys(inner.module.outputs)) {
			if wanted == "" || wanted == out {
				r.all(inner, inner.module.outputs[out], "", nil)
			}
		}
	}
}

func (r *resolution) resource(at *scope, first, rest, key string) {
	prefix := ""
	if first == "data" || first == "ephemeral" {
		prefix = first + "."
		first, rest = cutStep(rest)
	}
	step, _ := cutStep(rest)
	name, explicit := splitKey(step)
	if name == "" {
		return
	}
	address := within(at.path, prefix+first+"."+name)
	keys, all := r.choose(r.known.resources[address], explicit, key)
	if !all {
		keys = []string{""}
	}
	for _, k := range keys {
		r.found[address+k] = true
	}
}

// choose tells which instances are meant: the one named, the one with the same
// key, or all; all is false where these are too many to name.
func (r *resolution) choose(known keys, explicit, same string) (chosen []string, all bool) {
	switch {
	case explicit != "":
		return []string{explicit}, true
	case same != "" && known[same]:
		return []string{same}, true
	case len(known) == 0:
		return []string{""}, true
	case len(known) > manyInstances:
		return nil, false
	}
	return slices.Sorted(maps.Keys(known)), true
}

// cutStep cuts the first step, with its instance key, off a reference.
func cutStep(ref string) (step, rest string) {
	for i := 0; i < len(ref); i++ {
		switch ref[i] {
		case '.':
			return ref[:i], ref[i+1:]
		case '[':
			if n := keyLength(ref[i:]); n > 0 {
				i += n - 1
			}
		}
	}
	return ref, ""
}
