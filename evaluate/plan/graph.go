package plan

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Graph is modules and what each of them reads.
type Graph struct {
	modules map[string]*ast.Module
	pkg     map[string]string   // module → its package, as lib.storage.bucket
	reads   map[string][]string // module → dotted paths below data, each once
}

// NewGraph finds out what modules read.
func NewGraph(modules map[string]*ast.Module) *Graph {
	g := &Graph{modules: modules, pkg: make(map[string]string, len(modules)), reads: make(map[string][]string, len(modules))}
	for name, m := range modules {
		g.pkg[name] = strings.TrimPrefix(m.Package.Path.String(), "data.")
		seen := map[string]bool{}
		ast.WalkRefs(m, func(r ast.Ref) bool {
			if r.HasPrefix(ast.DefaultRootRef) {
				path := strings.TrimPrefix(strings.TrimPrefix(r.ConstantPrefix().String(), "data"), ".")
				if !seen[path] {
					seen[path] = true
					g.reads[name] = append(g.reads[name], path)
				}
			}
			return false
		})
	}
	return g
}

// Reachable are the modules of the packages that rules are in, and of those that
// these read, however indirectly.
func (g *Graph) Reachable(rules []string) map[string]*ast.Module {
	out, seen := map[string]*ast.Module{}, map[string]bool{}
	var visit func(path string)
	visit = func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		for name, pkg := range g.pkg {
			if out[name] != nil || !below(path, pkg) && !below(pkg, path) {
				continue
			}
			out[name] = g.modules[name]
			for _, read := range g.reads[name] {
				visit(read)
			}
		}
	}
	for _, r := range rules {
		visit(r)
	}
	return out
}

// below tells whether a dotted path is, or is below, another.
func below(path, at string) bool {
	return at == "" || strings.HasPrefix(path, at) && (len(path) == len(at) || path[len(at)] == '.')
}

// Needed are the modules that controls can read, and those that declare: of a
// large library the fewest, and each that is folded is copied first.
func (g *Graph) Needed(controls []audit.Control) map[string]*ast.Module {
	var rules []string
	for _, c := range controls {
		rules = append(rules, c.Package)
	}
	for name := range g.Declaring() {
		rules = append(rules, g.pkg[name])
	}
	return g.Reachable(rules)
}

// Declaring are the modules that declare what others may look up.
func (g *Graph) Declaring() map[string]*ast.Module {
	out := map[string]*ast.Module{}
	for name, m := range g.modules {
		if slices.ContainsFunc(m.Rules, func(r *ast.Rule) bool { return r.Head.Name == "estate" }) {
			out[name] = m
		}
	}
	return out
}
