package plan

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ir"
)

// plannedPath is the document path in the name of a planned function, which
// begins with g0, or another number where `with` replaces functions.
var plannedPath = regexp.MustCompile(`^g[0-9]+\.data\.(.*)$`)

func pathOf(function string) string {
	if m := plannedPath.FindStringSubmatch(function); m != nil {
		return m[1]
	}
	return ""
}

// Attributes are the adapter attributes that a package's own rules read: the
// rules below lib, without arguments, that they call.
func (p *Plan) Attributes(pkg string) []string {
	found := map[string]bool{}
	for name, f := range p.Funcs {
		if !strings.HasPrefix(p.paths[name], pkg+".") {
			continue
		}
		eachCall(f.Blocks, func(callee string) {
			g := p.Funcs[callee]
			if path := p.paths[callee]; g != nil && len(g.Params) == 2 && strings.HasPrefix(path, "lib.") {
				found[path] = true
			}
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// eachCall visits the functions that blocks call by name.
func eachCall(blocks []*ir.Block, visit func(callee string)) {
	for _, b := range blocks {
		for _, s := range b.Stmts {
			switch s := s.(type) {
			case *ir.CallStmt:
				visit(s.Func)
			case *ir.BlockStmt:
				eachCall(s.Blocks, visit)
			case *ir.ScanStmt:
				eachCall([]*ir.Block{s.Block}, visit)
			case *ir.NotStmt:
				eachCall([]*ir.Block{s.Block}, visit)
			case *ir.WithStmt:
				eachCall([]*ir.Block{s.Block}, visit)
			}
		}
	}
}
