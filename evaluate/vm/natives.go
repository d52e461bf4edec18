package vm

import "regexp"

// native is our version of a builtin. ok is false for arguments that it does not
// cover, which OPA's own then gets; v is nil where the builtin is undefined.
type native func(m *Machine, args []*Value) (v *Value, ok bool)

// regexps are the expressions that a machine has compiled.
type regexps map[string]*regexp.Regexp

// natives are the builtins that controls use for every resource.
var natives = map[string]native{
	"equal": func(m *Machine, a []*Value) (*Value, bool) { return boolean(m.equal(a[0], a[1])), true },
	"neq":   func(m *Machine, a []*Value) (*Value, bool) { return boolean(!m.equal(a[0], a[1])), true },
	"gt":    func(m *Machine, a []*Value) (*Value, bool) { return boolean(m.compare(a[0], a[1]) > 0), true },
	"gte":   func(m *Machine, a []*Value) (*Value, bool) { return boolean(m.compare(a[0], a[1]) >= 0), true },
	"lt":    func(m *Machine, a []*Value) (*Value, bool) { return boolean(m.compare(a[0], a[1]) < 0), true },
	"lte":   func(m *Machine, a []*Value) (*Value, bool) { return boolean(m.compare(a[0], a[1]) <= 0), true },
}

// bounds refuse arguments with which a builtin of OPA's would make far more than
// it is given: it could not be stopped half way.
var bounds = map[string]func(args []*Value) error{}
