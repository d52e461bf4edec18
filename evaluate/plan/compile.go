package plan

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// checks are the stages of compiling that change nothing. The library was held
// to them when it was loaded.
var checks = []ast.StageID{
	ast.StageCheckUnusedImports, ast.StageCheckKeywordOverrides, ast.StageCheckDuplicateImports, ast.StageCheckVoidCalls, ast.StageCheckRuleConflicts,
	ast.StageCheckUndefinedFuncs, ast.StageCheckRecursion, ast.StageCheckTypes, ast.StageCheckUnsafeBuiltins, ast.StageCheckDeprecatedBuiltins,
	ast.StageParseMetadataBlocks, ast.StageBuildRequiredCapabilities,
}

// trees are the stages that only find out where rules are, and which names are taken.
var trees = []ast.StageID{ast.StageInitLocalVarGen, ast.StageSetModuleTree, ast.StageSetRuleTree}

// Compiled compiles copies of modules, so that one set serves several compilers:
// partial evaluation writes into the compiler it is given.
func Compiled(modules map[string]*ast.Module) (*ast.Compiler, error) {
	return compiledBy(ast.NewCompiler().WithSkipStages(checks...), modules)
}

// planning is a compiler of what is compiled already.
func planning(modules map[string]*ast.Module) (*ast.Compiler, error) {
	done := slices.DeleteFunc(ast.AllStages(), func(s ast.StageID) bool { return slices.Contains(trees, s) })
	return compiledBy(ast.NewCompiler().WithSkipStages(done...), modules)
}

func compiledBy(c *ast.Compiler, modules map[string]*ast.Module) (*ast.Compiler, error) {
	if c.Compile(modules); c.Failed() {
		return nil, c.Errors
	}
	return c, nil
}
