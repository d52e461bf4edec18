package plan

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// trees are the stages of compiling that only find out where rules are, and which
// names are taken.
var trees = []ast.StageID{ast.StageInitLocalVarGen, ast.StageSetModuleTree, ast.StageSetRuleTree}

// planning is a compiler of what is compiled already.
func planning(modules map[string]*ast.Module) (*ast.Compiler, error) {
	done := slices.DeleteFunc(ast.AllStages(), func(s ast.StageID) bool { return slices.Contains(trees, s) })
	c := ast.NewCompiler().WithSkipStages(done...)
	if c.Compile(modules); c.Failed() {
		return nil, c.Errors
	}
	return c, nil
}
