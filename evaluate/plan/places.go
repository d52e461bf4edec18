package plan

import (
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// keysOf is what the keys of a value may be.
func (a *analysis) keysOf(v value) value {
	if len(v.places) > 0 || v.other || v.keys == nil {
		return anything
	}
	return *v.keys
}

// dotValue takes a step down by a key, known or not.
func (a *analysis) dotValue(v, key value) value {
	if keys, ok := key.literals(); ok {
		return a.dotKeys(v, keys)
	}
	a.escape(key)
	return a.dot(v)
}

// dot takes a step down to any of the elements: it notes that something is looked for there.
func (a *analysis) dot(v value) value { return a.step(v, []string{"*"}) }

// dotKeys takes a step down by one of some keys.
func (a *analysis) dotKeys(v value, keys []string) value {
	steps := make([]string, len(keys))
	for i, k := range keys {
		steps[i] = audit.EscapePointer(k)
	}
	return a.step(v, steps)
}

func (a *analysis) step(v value, steps []string) value {
	var out value
	for _, p := range v.places {
		for _, s := range steps {
			if next := p + "/" + s; a.note(next, false) {
				out.places = union(out.places, []string{next})
			} else {
				out.other = true
			}
		}
	}
	if v.elems != nil {
		out = out.join(*v.elems)
	}
	out.other = out.other || v.other
	return out
}

// escape notes that all of a value is read.
func (a *analysis) escape(v value) {
	for _, p := range v.places {
		a.note(p, true)
	}
	if v.elems != nil {
		a.escape(*v.elems)
	}
}

// note records a place, and tells whether to follow values from there.
func (a *analysis) note(place string, whole bool) (follow bool) {
	root, pointer, _ := strings.Cut(place, "/")
	if root == "input" {
		if pointer != "" {
			pointer = "/" + pointer
		}
		a.set.input[pointer] = a.set.input[pointer] || whole
		return true
	}
	path := Steps("/" + pointer)
	switch {
	case len(path) == 0 || path[0] == "":
		if whole {
			a.set.estate["*"] = true
			a.set.time = true
		}
		return true
	case path[0] == "run":
		a.set.time = true
		return false
	case path[0] == "*":
		a.set.estate["*"] = true
		return false
	case path[0] != "estate":
		return len(path) < 3 && !whole
	}
	return a.noteEstate(path[1:], whole)
}

func (a *analysis) noteEstate(path []string, whole bool) (follow bool) {
	switch {
	case slices.Contains(path[:min(2, len(path))], "*") || whole && len(path) < 3:
		a.set.estate["*"] = true
		return false
	case len(path) < 3:
		return true
	}
	a.set.estate[path[0]+"."+path[1]] = true
	return false
}
