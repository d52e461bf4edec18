package policies

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
)

var (
	documentKeys = []string{"data", "gaps", "id", "name", "origin", "redacted", "source", "tags", "type"}
	sources      = []string{audit.AWS, audit.Kubernetes, audit.Terraform, audit.NetBox}
)

// inspector holds compiled rules to what makes a decision tellable: what is read,
// and that nothing is read which the engine does not know of.
type inspector struct {
	*modules
	path     string         // of the module under check
	control  *audit.Control // nil in lib
	rule     *ast.Rule
	problems []error
}

// inspect holds every rule of controls and lib to what they may read.
func (m *modules) inspect(controls []audit.Control) error {
	c := &inspector{modules: m}
	for _, path := range m.paths {
		c.path, c.control = path, nil
		if i := slices.IndexFunc(controls, func(x audit.Control) bool { return x.File == path }); i >= 0 {
			c.control = &controls[i]
		}
		for _, rule := range m.compiled[path].Rules {
			for r := rule; r != nil; r = r.Else {
				c.rule = r
				c.inspectRule()
			}
		}
	}
	c.inspectEstateRules()
	return errors.Join(c.problems...)
}

func (c *inspector) inspectRule() {
	c.inspectHead()
	ast.WalkExprs(c.rule.Body, func(e *ast.Expr) bool {
		if len(e.With) > 0 {
			c.problem(e.Location, "`with` belongs in tests only: what it replaces cannot be told from what was read")
		}
		return false
	})
	ast.WalkTerms(c.rule, func(t *ast.Term) bool {
		ref, ok := t.Value.(ast.Ref)
		switch {
		case ok && ref[0].Value.Compare(ast.InputRootDocument.Value) == 0:
			c.inspectInput(t.Location, ref)
		case ok && ref[0].Value.Compare(ast.DefaultRootDocument.Value) == 0:
			c.inspectData(t.Location, ref)
		}
		return false
	})
	safe := ast.ReservedVars.Copy()
	for _, arg := range c.rule.Head.Args {
		ast.WalkVars(arg, func(v ast.Var) bool { safe.Add(v); return false })
	}
	c.inspectKeys(c.rule.Body, safe)
}

// inspectHead: of p[443] contains x, OPA's evaluator makes an empty set at 443 when
// the body is not true, and its planner nothing.
func (c *inspector) inspectHead() {
	head := c.rule.Head
	ref := head.Ref()
	written := ref.GroundPrefix()
	if len(written) == len(ref) && head.RuleKind() == ast.SingleValue {
		return
	}
	for _, key := range written[1:] {
		if _, ok := key.Value.(ast.String); !ok {
			c.problem(head.Location, "%s: the key %s is written out and no text; write it as one, %q, or let the body bind it", written, key, key)
		}
	}
}

// inspectInput: what of the document is read must be told by name.
func (c *inspector) inspectInput(at *ast.Location, ref ast.Ref) {
	if len(c.rule.Head.Args) > 0 {
		c.problem(at, "a function reads %s; pass it the value instead", ref)
		return
	}
	if len(ref) < 2 {
		c.problem(at, "input is read whole; name the key: %s", strings.Join(documentKeys, ", "))
		return
	}
	if key, ok := ref[1].Value.(ast.String); !ok || !slices.Contains(documentKeys, string(key)) {
		c.problem(at, "%s: a document has no such key; it has %s", ref, strings.Join(documentKeys, ", "))
	}
}

func (c *inspector) inspectData(at *ast.Location, ref ast.Ref) {
	switch root(ref) {
	case "lib":
		c.inspectLib(at, ref)
	case "controls":
		if own := ast.MustParseRef("data." + c.owner()); !ref.HasPrefix(own) {
			c.problem(at, "%s: controls and adapters do not read controls; move what they share to lib", ref)
		}
	case "parameters":
		c.inspectParameter(at, ref)
	case "estate":
		c.inspectEstate(at, ref)
	case "run":
		if len(ref) < 3 || ref[2].Value.Compare(ast.String("as_of")) != 0 {
			c.problem(at, "%s: of the run, only data.run.as_of can be read", ref)
		}
	default:
		c.problem(at, "%s: read data.lib, data.parameters, data.estate or data.run.as_of; there is nothing else", ref)
	}
}

func (c *inspector) owner() string {
	return strings.TrimPrefix(c.compiled[c.path].Package.Path.String(), "data.")
}

// inspectLib: a rule that does not exist is undefined, and a violation that
// rests on it is never found.
func (c *inspector) inspectLib(at *ast.Location, ref ast.Ref) {
	name, rules := c.named(ref)
	if len(rules) == 0 {
		c.problem(at, "%s: lib has no such rule; packages cannot be read whole", ref)
		return
	}
	own := "data." + c.owner() + "."
	if last := name[strings.LastIndexByte(name, '.')+1:]; strings.HasPrefix(last, "_") && own+last != name {
		c.problem(at, "%s: a rule that begins with an underscore is its package's own", ref)
	}
}

func (c *inspector) inspectParameter(at *ast.Location, ref ast.Ref) {
	if c.control == nil {
		c.problem(at, "%s: adapters have no parameters; let the control pass the value to a function", ref)
		return
	}
	want := fmt.Sprintf("data.parameters[%q]", c.control.ID)
	if len(ref) < 4 || ref[2].Value.Compare(ast.String(c.control.ID)) != 0 {
		c.problem(at, "%s: read %s and the parameter's name", ref, want)
		return
	}
	name, ok := ref[3].Value.(ast.String)
	if _, declared := c.control.Parameters[string(name)]; !ok || !declared {
		c.problem(at, "%s: METADATA declares no such parameter; it declares %s", ref, orNone(sortedKeys(c.control.Parameters)))
	}
}

// inspectEstate: data.estate.<source>.<kind>[<key>], so that it can be told which
// gaps could hide an entry.
func (c *inspector) inspectEstate(at *ast.Location, ref ast.Ref) {
	const want = "; write data.estate.<source>.<kind>[key] with source and kind by name"
	if len(ref) < 5 {
		c.problem(at, "%s: the estate cannot be read whole"+want, ref)
		return
	}
	source, ok := ref[2].Value.(ast.String)
	if !ok || !slices.Contains(sources, string(source)) {
		c.problem(at, "%s: no such source"+want, ref)
	}
	if kind, ok := ref[3].Value.(ast.String); !ok || !plainName.MatchString(string(kind)) {
		c.problem(at, "%s: the kind is not a name"+want, ref)
	}
}

// plainName is what kinds and parts of a package are called: they become parts
// of rules and paths that are generated.
var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// inspectEstateRules: what a resource declares may rest on that resource alone.
func (c *inspector) inspectEstateRules() {
	for _, pkg := range c.estatePackages() {
		queue, seen := slices.Clone(c.rules["data."+pkg+".estate"]), map[*ast.Rule]bool{}
		for _, rule := range queue {
			if rule.Head.RuleKind() != ast.MultiValue {
				c.path, c.rule = rule.Location.File, rule
				c.problem(rule.Location, "estate: write `estate contains {\"kind\": …, \"key\": …, \"value\": …} if …`")
			}
		}
		for len(queue) > 0 {
			rule := queue[0]
			queue = queue[1:]
			if seen[rule] {
				continue
			}
			seen[rule] = true
			ast.WalkRefs(rule, func(ref ast.Ref) bool {
				switch root(ref) {
				case "lib":
					_, rules := c.named(ref)
					queue = append(queue, rules...)
				case "":
				default:
					c.path = rule.Location.File
					c.problem(rule.Location, "%s is read by the estate rule of %s, which may read input only", ref, pkg)
				}
				return false
			})
		}
	}
}

func (c *inspector) problem(at *ast.Location, format string, args ...any) {
	if at == nil {
		at = c.rule.Location
	}
	err := fmt.Errorf("%s:%d: %s", c.path, at.Row, fmt.Sprintf(format, args...))
	if !slices.ContainsFunc(c.problems, func(e error) bool { return e.Error() == err.Error() }) {
		c.problems = append(c.problems, err)
	}
}
