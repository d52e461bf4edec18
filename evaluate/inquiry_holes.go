package evaluate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
)

// A hole is a variable in a document that is otherwise ground, so that OPA's own
// values tell what depends on one: whatever is not ground. As a member of an
// object, "?" and a name is a value that may not be there; everywhere else, "!"
// and the name is a value that is there, but not known.

func maybe(name string) ast.Var   { return ast.Var("?" + name) }
func unknown(name string) ast.Var { return ast.Var("!" + name) }

// holeName is the name of a hole, or of a value not known.
func holeName(v ast.Value) (name string, ok bool) {
	x, ok := v.(ast.Var)
	if !ok {
		return "", false
	}
	return string(x)[1:], true
}

// unescaped is a step of a JSON pointer as the key that it stands for.
var unescaped = strings.NewReplacer("~1", "/", "~0", "~")

// punched is the document with holes at pointers, whether something stands there
// or not. What the document says of its own gaps is not known either. Most
// controls that a document's holes touch are touched by the same, so that it is kept.
func (w *worker) punched(d *document, pointers []string) ast.Value {
	key := strings.Join(pointers, "\x00")
	if v := d.holed[key]; v != nil {
		return v
	}
	if d.holed == nil {
		d.holed = map[string]ast.Value{}
	}
	u := &unread{machine: w.machine, object: d.root}
	for _, p := range append([]string{"/gaps", "/redacted"}, pointers...) {
		u.holes = append(u.holes, hidden{plan.Steps(p), p})
	}
	d.holed[key] = u
	if slices.Contains(pointers, "") { // all of it
		d.holed[key] = u.solid()
	}
	return d.holed[key]
}

// punch makes holes in v, which is nil where nothing stands. Each hides the least
// that what stands at its pointer can change: where the way to it ends early, or is
// an element of an array, all that it ends at.
func punch(v ast.Value, holes []hidden) ast.Value {
	if len(holes) == 0 {
		return v
	}
	if h, ok := whole(holes); ok {
		return maybe(h.name)
	}
	switch x := v.(type) {
	case ast.Object:
		return punchObject(x, holes)
	case *ast.Array:
		return punchArray(x, holes)
	}
	return maybe(holes[0].name)
}

// whole is the last hole that hides all of a value.
func whole(holes []hidden) (h hidden, ok bool) {
	for _, h := range slices.Backward(holes) {
		if len(h.path) == 0 {
			return h, true
		}
	}
	return h, false
}

// byStep are the holes below each key.
func byStep(holes []hidden) map[string][]hidden {
	out := map[string][]hidden{}
	for _, h := range holes {
		key := unescaped.Replace(h.path[0])
		out[key] = append(out[key], hidden{h.path[1:], h.name})
	}
	return out
}

func punchObject(o ast.Object, holes []hidden) ast.Value {
	below, out := byStep(holes), ast.NewObject()
	o.Foreach(func(k, m *ast.Term) {
		key, _ := k.Value.(ast.String)
		if h := below[string(key)]; h != nil {
			m = ast.NewTerm(punch(m.Value, h))
			delete(below, string(key))
		}
		out.Insert(k, m)
	})
	for key, h := range below {
		out.Insert(ast.StringTerm(key), ast.NewTerm(punch(nil, h)))
	}
	return out
}

func punchArray(a *ast.Array, holes []hidden) ast.Value {
	if i := slices.IndexFunc(holes, func(h hidden) bool { return hides(a, h.path) }); i >= 0 {
		return maybe(holes[i].name)
	}
	elements := make([]*ast.Term, a.Len())
	for i := range elements {
		elements[i] = a.Elem(i)
	}
	for step, below := range byStep(holes) {
		i, _ := strconv.Atoi(step) // hides
		elements[i] = ast.NewTerm(punch(elements[i].Value, below))
	}
	return ast.NewArray(elements...)
}

// hides tells whether a hole hides all of a value: an array is hidden with its element.
func hides(v ast.Value, path []string) bool {
	if len(path) == 0 {
		return true
	}
	switch x := v.(type) {
	case ast.Object:
		return false
	case *ast.Array:
		i, err := strconv.Atoi(path[0])
		return err != nil || i < 0 || i >= x.Len() || hides(x.Elem(i).Value, path[1:])
	}
	return true
}
