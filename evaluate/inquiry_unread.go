package evaluate

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// unread is an object of a document with holes that has not been converted to
// OPA's form, which takes longer than most inquiries: they read little of a
// document, and end where they come upon a hole. A step into it converts no more
// than an array or a leaf. It is our reading of the document: an inquiry is ours
// as well, and OPA's would parse the line again.
//
// To all who do not know of it it is the object that it stands for.
type unread struct {
	machine *vm.Machine
	object  *vm.Value
	holes   []hidden // in the order in which they are made
	below   map[string][]hidden
	members map[string]ast.Value
	whole   ast.Value
}

// hidden is a hole in a value.
type hidden struct {
	path []string
	name string
}

// solid is v in OPA's form.
func solid(v ast.Value) ast.Value {
	if u, ok := v.(*unread); ok {
		return u.solid()
	}
	return v
}

func (u *unread) solid() ast.Value {
	if u.whole == nil {
		u.whole = punch(u.machine.ToOPA(u.object).Value, u.holes)
	}
	return u.whole
}

// member is what stands under a key, nil if nothing does.
func (u *unread) member(key string) ast.Value {
	if v, known := u.members[key]; known {
		return v
	}
	if u.members == nil {
		u.members = map[string]ast.Value{}
	}
	u.members[key] = u.read(key)
	return u.members[key]
}

func (u *unread) read(key string) ast.Value {
	if u.below == nil {
		u.below = byStep(u.holes)
	}
	at, holes := u.machine.Field(u.object, key), u.below[key]
	_, all := whole(holes)
	switch {
	case at == nil:
		return punch(nil, holes)
	case at.IsObject() && !all:
		return &unread{machine: u.machine, object: at, holes: holes}
	}
	return punch(u.machine.ToOPA(at).Value, holes)
}

// Compare implements ast.Value.
func (u *unread) Compare(other ast.Value) int { return ast.Compare(u.solid(), solid(other)) }

// Find implements ast.Value.
func (u *unread) Find(path ast.Ref) (ast.Value, error) { return u.solid().Find(path) }

// Hash implements ast.Value.
func (u *unread) Hash() int { return u.solid().Hash() }

// IsGround implements ast.Value.
func (u *unread) IsGround() bool { return u.solid().IsGround() }

// String implements ast.Value.
func (u *unread) String() string { return u.solid().String() }

// StringLength implements ast.Value.
func (u *unread) StringLength() int { return u.solid().StringLength() }
