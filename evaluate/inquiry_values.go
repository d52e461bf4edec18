package evaluate

import (
	"strconv"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/storage"

	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// operand is the value of an operand in OPA's form.
func (r *run) operand(o ir.Operand) ast.Value { return solid(r.given(o)) }

// given is the value of an operand as it is: what is passed on may stay unread.
func (r *run) given(o ir.Operand) ast.Value {
	switch v := o.Value.(type) {
	case ir.Local:
		return r.env[v]
	case *ir.Local:
		return r.env[*v]
	case ir.StringIndex:
		return ast.String(r.plan.Strings[v])
	case *ir.StringIndex:
		return ast.String(r.plan.Strings[*v])
	case ir.Bool:
		return ast.Boolean(v)
	case *ir.Bool:
		return ast.Boolean(*v)
	}
	return nil
}

// readable tells whether values can be told from others: none is a part of the
// data document that was not read.
func readable(values ...ast.Value) bool {
	for _, v := range values {
		if _, ref := v.(ast.Ref); ref || v == nil {
			return false
		}
	}
	return true
}

// dot takes a step down; nil is undefined.
func (r *run) dot(v, key ast.Value) (ast.Value, error) {
	if key == nil || !key.IsGround() || !readable(key) || v == nil {
		return nil, errUnclear
	}
	switch x := v.(type) {
	case *unread:
		if s, ok := key.(ast.String); ok {
			return r.present(x.member(string(s)))
		}
	case ast.Ref:
		return r.dotData(x, key)
	case ast.Var:
		name, _ := holeName(x)
		return r.present(maybe(name + "/" + key.String()))
	case ast.Set:
		switch {
		case x.Contains(ast.NewTerm(key)):
			return key, nil
		case !x.IsGround():
			return nil, errUnclear
		}
	case ast.Object:
		if m := x.Get(ast.NewTerm(key)); m != nil {
			return r.present(m.Value)
		}
	case *ast.Array:
		if e := x.Get(ast.NewTerm(key)); e != nil {
			return e.Value, nil
		}
	}
	return nil, nil
}

// present is a member of an object, which may not be there.
func (r *run) present(v ast.Value) (ast.Value, error) {
	x, ok := v.(ast.Var)
	if !ok || x[0] != '?' {
		return v, nil
	}
	name, _ := holeName(x)
	if !r.ask("there " + name) {
		return nil, nil
	}
	return unknown(name), nil
}

// dotData takes a step in the data document: the estate by whole look-ups, the
// rest as it stands.
func (r *run) dotData(at ast.Ref, key ast.Value) (ast.Value, error) {
	k, ok := key.(ast.String)
	if !ok {
		return nil, errUnclear
	}
	next := at.Append(ast.NewTerm(k))
	switch next[1].Value.(ast.String) {
	case "estate":
		if len(next) < 5 {
			return next, nil
		}
		path := storage.Path{"estate"}
		for _, t := range next[2:] {
			path = append(path, string(t.Value.(ast.String)))
		}
		return found(r.view.lookup(path))
	case "parameters", "run":
		return found(walk(r.view.store.base, storage.Path{string(k)}, storage.Path{string(k)}))
	}
	return nil, errUnclear
}

// found makes what was not found undefined.
func found(v any, err error) (ast.Value, error) {
	switch x, ok := v.(ast.Value); {
	case storage.IsNotFound(err):
		return nil, nil
	case err != nil || !ok:
		return nil, errUnclear
	default:
		return x, nil
	}
}

// equal compares values; where either is not known, either answer may be right.
func (r *run) equal(a, b ast.Value) (bool, error) {
	if !readable(a, b) {
		return false, errUnclear
	}
	r.spend((nodes(a) + nodes(b)) / 16)
	switch {
	case ast.Compare(a, b) == 0:
		return true, nil
	case a.IsGround() && b.IsGround():
		return false, nil
	case kindOf(a) != "" && kindOf(b) != "" && kindOf(a) != kindOf(b):
		return false, nil
	}
	return r.ask("equal " + a.String() + " " + b.String()), nil
}

// kindOf is the kind of a value, "" if it is not known.
func kindOf(v ast.Value) string {
	if _, hole := v.(ast.Var); hole {
		return ""
	}
	return ast.ValueName(v)
}

// isA tells whether a value is of a kind. A value of one kind is of no other.
func (r *run) isA(kind string, v ast.Value) (bool, error) {
	if !readable(v) {
		return false, errUnclear
	}
	if k := kindOf(v); k != "" {
		return k == kind, nil
	}
	name, _ := holeName(v)
	for _, k := range []string{"null", "boolean", "number", "string", "array", "object", "set"} {
		if r.answers["is "+k+" "+name] {
			return k == kind, nil
		}
	}
	return r.ask("is " + kind + " " + name), nil
}

// count is the number of elements of a collection.
func (r *run) count(v ast.Value) (ast.Value, error) {
	var n int
	switch x := v.(type) {
	case *ast.Array:
		n = x.Len()
	case ast.Set:
		if n = x.Len(); n > 1 && !x.IsGround() { // two elements may be one
			return nil, errUnclear
		}
	case ast.Object:
		list, err := r.members(x)
		if err != nil {
			return nil, err
		}
		n = len(list)
	case ast.String:
		r.spend(len(x) / 64)
		n = utf8.RuneCountInString(string(x))
	default:
		return nil, errUnclear
	}
	return ast.Number(strconv.Itoa(n)), nil
}

// members are the key and the value of all that is in a collection.
func (r *run) members(v ast.Value) ([][2]ast.Value, error) {
	var out [][2]ast.Value
	switch x := v.(type) {
	case *ast.Array:
		for i := range x.Len() {
			out = append(out, [2]ast.Value{ast.Number(strconv.Itoa(i)), x.Elem(i).Value})
		}
	case ast.Set:
		if !x.IsGround() {
			return nil, errUnclear
		}
		for _, t := range x.Slice() {
			out = append(out, [2]ast.Value{t.Value, t.Value})
		}
	case ast.Object:
		for _, k := range x.Keys() {
			m, err := r.present(x.Get(k).Value)
			if err != nil {
				return nil, err
			}
			if m != nil {
				out = append(out, [2]ast.Value{k.Value, m})
			}
		}
	default:
		if !readable(v) || kindOf(v) == "" {
			return nil, errUnclear
		}
	}
	r.spend(len(out) / 4)
	return out, nil
}

// hashing is what the hash of a value takes, in statements: OPA's collections keep
// theirs, but texts do not.
func hashing(v ast.Value) int {
	s, _ := v.(ast.String)
	return len(s) / (16 << 10)
}

// nodes are the values in a value, where 64 bytes of a text count as one, and large
// numbers as what they cost.
func nodes(v ast.Value) int {
	n := 1
	add := func(t *ast.Term) { n += nodes(t.Value) }
	switch x := v.(type) {
	case ast.String:
		n += len(x) / 64
	case ast.Number:
		n += vm.NumberCost(string(x))
	case *ast.Array:
		x.Foreach(add)
	case ast.Set:
		x.Foreach(add)
	case ast.Object:
		x.Foreach(func(k, m *ast.Term) { add(k); add(m) })
	}
	return n
}

// scan runs a block for each member of a collection, and goes on.
func (r *run) scan(s *ir.ScanStmt) (left, error) {
	list, err := r.members(solid(r.env[s.Source]))
	if err != nil {
		return 0, err
	}
	for _, m := range list {
		r.env[s.Key], r.env[s.Value] = m[0], m[1]
		end, err := r.block(s.Block)
		if err != nil || end == returned {
			return end, err
		}
		if end > 0 { // no plan leaves a loop early
			return 0, errUnclear
		}
	}
	return atEnd, nil
}

// collect runs the statements that add to a collection.
func (r *run) collect(s ir.Stmt) error {
	switch s := s.(type) {
	case *ir.ArrayAppendStmt:
		array, v := r.env[s.Array], r.operand(s.Value)
		if x, ok := array.(*ast.Array); ok && readable(v) {
			r.spend(x.Len()/1024 + hashing(v)) // it is copied
			r.env[s.Array] = x.Append(ast.NewTerm(v))
			return nil
		}
	case *ir.SetAddStmt:
		set, v := r.env[s.Set], r.operand(s.Value)
		if x, ok := set.(ast.Set); ok && readable(v) {
			r.spend(hashing(v))
			x.Add(ast.NewTerm(v))
			return nil
		}
	case *ir.ObjectInsertStmt:
		return r.insert(s.Object, s.Key, s.Value, false)
	case *ir.ObjectInsertOnceStmt:
		return r.insert(s.Object, s.Key, s.Value, true)
	}
	return errUnclear
}

func (r *run) insert(object ir.Local, key, value ir.Operand, once bool) error {
	k, v := r.operand(key), r.operand(value)
	o, ok := r.env[object].(ast.Object)
	if !ok || !readable(k, v) || !k.IsGround() {
		return errUnclear
	}
	r.spend(hashing(v))
	if old := o.Get(ast.NewTerm(k)); old != nil && once && ast.Compare(old.Value, v) != 0 {
		return errUnclear // a conflict, or one may be
	}
	o.Insert(ast.NewTerm(k), ast.NewTerm(v))
	return nil
}
