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

// punchAt hides the least of v that what stands at a pointer can change: where
// the way to it ends early, or is an element of an array, all that it ends at.
func punchAt(v ast.Value, path []string, name string) ast.Value {
	if len(path) == 0 {
		return maybe(name)
	}
	key := unescaped.Replace(path[0])
	switch x := v.(type) {
	case ast.Object:
		member := x.Get(ast.StringTerm(key))
		if member == nil {
			return with(x, key, maybe(name))
		}
		return with(x, key, punchAt(member.Value, path[1:], name))
	case *ast.Array:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= x.Len() || len(path) == 1 {
			return maybe(name)
		}
		element := punchAt(x.Elem(i).Value, path[1:], name)
		if _, whole := element.(ast.Var); whole {
			return maybe(name)
		}
		out := ast.NewArray()
		for j := range x.Len() {
			if e := x.Elem(j); j == i {
				out = out.Append(ast.NewTerm(element))
			} else {
				out = out.Append(e)
			}
		}
		return out
	case ast.Var:
		return x
	}
	return maybe(name)
}

// with is a copy of an object with another member.
func with(o ast.Object, key string, v ast.Value) ast.Object {
	out := ast.NewObject()
	o.Foreach(func(k, m *ast.Term) { out.Insert(k, m) })
	out.Insert(ast.StringTerm(key), ast.NewTerm(v))
	return out
}
