package evaluate

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// CanDeclare lists what resources of a type can declare for others to look up, as
// Reads.Estate names it: source.kind, sorted.
func (e *Engine) CanDeclare(source, typ string) ([]string, error) {
	kinds, err := e.library(e.lib.Catalog.Controls).declares(source, typ)
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = source + "." + k
	}
	return out, err
}

// DeclaringTypes lists the types of a source, of those that the adapters name,
// whose resources can declare something. Whether others can too, CanDeclare tells.
func (e *Engine) DeclaringTypes(source string) ([]string, error) {
	lib := e.library(e.lib.Catalog.Controls)
	all, err := lib.compiled()
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, m := range all.Declaring() {
		ast.WalkTerms(m, func(t *ast.Term) bool {
			if s, ok := t.Value.(ast.String); ok && s != "" {
				named[string(s)] = true
			}
			return false
		})
	}
	var out []string
	for _, typ := range slices.Sorted(maps.Keys(named)) {
		kinds, err := lib.declares(source, typ)
		if err != nil {
			return nil, err
		}
		if len(kinds) > 0 {
			out = append(out, typ)
		}
	}
	return out, nil
}
