package plan

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// estatePrefix begins the names of the rules that declare one estate kind each.
const estatePrefix = "estate__"

// SplitEstate adds, beside every rule `estate contains {"kind": k, …}`, the same
// rule under a name of its own, so that what each kind reads can be told apart.
// written are the modules as written: once compiled, a rule does not spell out its kind.
func SplitEstate(modules, written map[string]*ast.Module) (map[string]*ast.Module, error) {
	out := make(map[string]*ast.Module, len(modules))
	for name, m := range modules {
		more := *m
		more.Rules = slices.Clone(m.Rules)
		for i, r := range m.Rules {
			if r.Head.Name != "estate" {
				continue
			}
			k, err := estateKind(written[name].Rules[i])
			if err != nil {
				return nil, err
			}
			c := r.Copy()
			c.Head.Name = ast.Var(estatePrefix + k)
			c.Head.Reference = ast.Ref{ast.VarTerm(estatePrefix + k)}
			c.Module = &more
			more.Rules = append(more.Rules, c)
		}
		out[name] = &more
	}
	return out, nil
}

// EstateKinds are the kinds that modules declare, and the paths of each one's rules.
func EstateKinds(modules map[string]*ast.Module) map[string][]string {
	kinds := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		pkg := strings.TrimPrefix(modules[name].Package.Path.String(), "data.")
		for _, r := range modules[name].Rules {
			k, ok := strings.CutPrefix(ruleName(r), estatePrefix)
			if path := pkg + "." + estatePrefix + k; ok && !slices.Contains(kinds[k], path) {
				kinds[k] = append(kinds[k], path)
			}
		}
	}
	return kinds
}

// plainName is what a kind is called: it becomes part of a rule's name.
var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

func estateKind(r *ast.Rule) (string, error) {
	if r.Head.Key != nil {
		if obj, ok := r.Head.Key.Value.(ast.Object); ok {
			if v := obj.Get(ast.StringTerm("kind")); v != nil {
				if s, ok := v.Value.(ast.String); ok && plainName.MatchString(string(s)) {
					return string(s), nil
				}
			}
		}
	}
	return "", fmt.Errorf("%s: an estate rule must read `estate contains {\"kind\": \"<lower case name>\", \"key\": …, \"value\": …} if …`", r.Location)
}
