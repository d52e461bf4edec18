package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// merge joins the patches of several targets into one: a manager that applies
// gives up what it does not name any more. Lists are joined by name, as the
// server joins them.
func merge(a, b any, at string) (any, error) {
	if a == nil {
		return b, nil
	}
	switch b := b.(type) {
	case map[string]any:
		m, ok := a.(map[string]any)
		if !ok {
			break
		}
		out := maps.Clone(m)
		for _, key := range slices.Sorted(maps.Keys(b)) {
			var err error
			if out[key], err = merge(out[key], b[key], at+"/"+key); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		if list, ok := a.([]any); ok && named(list) && named(b) {
			return mergeNamed(list, b, at)
		}
	}
	if !reflect.DeepEqual(a, b) {
		return nil, fmt.Errorf("act.patch: two targets want %s to be different things", at)
	}
	return a, nil
}

func mergeNamed(a, b []any, at string) (any, error) {
	out := slices.Clone(a)
	for _, e := range b {
		i := indexOf(out, nameOf(e))
		if i < 0 {
			out = append(out, e)
			continue
		}
		joined, err := merge(out[i], e, at+"/"+nameOf(e))
		if err != nil {
			return nil, err
		}
		out[i] = joined
	}
	return out, nil
}

// named tells whether every element of a list is an object with a name.
func named(list []any) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(e any) bool { return nameOf(e) == "" })
}

func nameOf(e any) string {
	m, _ := e.(map[string]any)
	name, _ := m["name"].(string)
	return name
}

func indexOf(list []any, name string) int {
	return slices.IndexFunc(list, func(e any) bool { return nameOf(e) == name })
}

// step is one of a path: a key of an object, or the element of a list that has a name.
type step struct {
	Key  string `json:"key,omitempty"`
	Name string `json:"name,omitempty"`
}

// field is one that a patch names, as it was before.
type field struct {
	Path   []step          `json:"path"`
	Absent int             `json:"absent"` // how many steps of the path were there
	Was    json.RawMessage `json:"was,omitempty"`
}

// identity are what names an object and is never changed.
var identity = map[string]bool{"/apiVersion": true, "/kind": true, "/metadata/name": true, "/metadata/namespace": true}

// fieldsOf lists the fields of a patch with what the object has in their place, by path.
func fieldsOf(patch, object map[string]any) []field {
	var out []field
	var walk func(p any, path []step, at string)
	walk = func(p any, path []step, at string) {
		switch v := p.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				walk(v[key], append(slices.Clone(path), step{Key: key}), at+"/"+key)
			}
			if len(v) > 0 {
				return
			}
		case []any:
			if named(v) {
				for _, e := range v {
					walk(e, append(slices.Clone(path), step{Name: nameOf(e)}), at+"/*")
				}
				return
			}
		}
		last := len(path) - 1
		if identity[at] || last > 0 && path[last].Key == "name" && path[last-1].Name != "" {
			return
		}
		out = append(out, fieldAt(object, path))
	}
	walk(patch, nil, "")
	return out
}

func fieldAt(object map[string]any, path []step) field {
	var v any = object
	for i, s := range path {
		next, ok := s.in(v)
		if !ok {
			return field{Path: path, Absent: i}
		}
		v = next
	}
	was, err := audit.Canonical(v)
	if err != nil {
		was = nil // cannot be: it was JSON
	}
	return field{Path: path, Absent: len(path), Was: was}
}

func (s step) in(v any) (any, bool) {
	if s.Name != "" {
		list, _ := v.([]any)
		if i := indexOf(list, s.Name); i >= 0 {
			return list[i], true
		}
		return nil, false
	}
	m, _ := v.(map[string]any)
	e, ok := m[s.Key]
	return e, ok
}

// restore puts the field of an object back: to its value, or away, with what was
// made to hold it and holds nothing else.
func (f field) restore(object map[string]any) error {
	parents := []any{object}
	for _, s := range f.Path[:len(f.Path)-1] {
		next, ok := s.in(parents[len(parents)-1])
		if !ok {
			if f.Was == nil {
				return nil // gone already
			}
			return fmt.Errorf("the place of %v is not there any more", f.Path)
		}
		parents = append(parents, next)
	}
	last := len(f.Path) - 1
	holder, ok := parents[last].(map[string]any)
	if !ok {
		return fmt.Errorf("the place of %v is no object", f.Path)
	}
	if f.Was != nil {
		var was any
		if err := decode(f.Was, &was); err != nil {
			return err
		}
		holder[f.Path[last].Key] = was
		return nil
	}
	delete(holder, f.Path[last].Key)
	for i := last - 1; i >= f.Absent; i-- { // parents[i+1] was made to hold it
		if m, ok := parents[i+1].(map[string]any); !ok || len(m) > 0 || f.Path[i].Name != "" {
			break
		}
		if m, ok := parents[i].(map[string]any); ok {
			delete(m, f.Path[i].Key)
		}
	}
	return nil
}

// decode reads JSON with the kinds of numbers that Kubernetes objects have.
func decode(b []byte, into *any) error { return utiljson.Unmarshal(b, into) }
