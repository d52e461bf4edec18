package evaluate

import (
	"context"
	"errors"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// Touched tells of each control whether gaps or tokens of a document touch what
// it reads, and whether they touch what tells that it applies.
func (e *Engine) Touched(ctx context.Context, line []byte) (all, applies map[string]bool, err error) {
	lib := e.library(e.lib.Catalog.Controls)
	s := newStore(lib.params, "", nil)
	w := (&judging{lib: lib, store: s, data: vm.NewData(s.base, true)}).worker()
	doc, err := w.read(line)
	if err != nil {
		return nil, nil, err
	}
	p, err := lib.program(ctx, doc.kind)
	if err != nil {
		return nil, nil, err
	}
	all, applies = map[string]bool{}, map[string]bool{}
	holes := w.holes(p, doc)
	for i, pt := range p.parts {
		all[pt.ID], applies[pt.ID] = len(holeReasons(holes, i, readsAll)) > 0, len(holeReasons(holes, i, readsToApply)) > 0
	}
	return all, applies, nil
}

// DecideAmong decides documents, none of which declares anything, against the
// estate of a judgement.
func (e *Engine) DecideAmong(ctx context.Context, request audit.Judgement, lines [][]byte, yield func(i int, v audit.Verdict)) (err error) {
	j, end, err := e.begin(ctx, request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if err := j.index(ctx, 1, e.Name()); err != nil {
		return err
	}
	w := j.worker()
	for i, line := range lines {
		v, _, err := w.verdict(ctx, line)
		if err != nil {
			return err
		}
		yield(i, v)
	}
	return nil
}

// Unread reads a document with holes whole and step by step, and says where the
// two differ.
func Unread(line []byte, pointers []string) (string, error) {
	s := newStore(nil, "", nil)
	w := (&judging{store: s, data: vm.NewData(s.base, true)}).worker()
	root, err := w.machine.Parse(line)
	if err != nil {
		return "", err
	}
	whole := w.machine.ToOPA(root).Value
	for _, p := range append([]string{"/gaps", "/redacted"}, pointers...) {
		whole = punchAt(whole, plan.Steps(p), p)
	}
	return differs("", w.punched(&document{root: root}, pointers), whole), nil
}

// punchAt makes one hole, and so does again for each what punch does for all at once.
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

func differs(at string, u, v ast.Value) string {
	x, ok := u.(*unread)
	o, isObject := v.(ast.Object)
	if ok && !isObject {
		return at
	}
	if ok {
		for _, k := range append(o.Keys(), ast.StringTerm("none")) {
			member := x.member(string(k.Value.(ast.String)))
			switch m := o.Get(k); {
			case m == nil && member == nil:
			case m == nil || member == nil:
				return at + "/" + k.String()
			default:
				if d := differs(at+"/"+k.String(), member, m.Value); d != "" {
					return d
				}
			}
		}
	}
	if u.Compare(v) != 0 || v.Compare(solid(u)) != 0 || u.String() != v.String() || u.IsGround() != v.IsGround() {
		return at + " as a whole"
	}
	return ""
}
