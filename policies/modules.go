package policies

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// modules are a library's modules, as written and as compiled.
type modules struct {
	files    map[string][]byte
	paths    []string               // of all but tests, sorted
	parsed   map[string]*ast.Module // by path, tests left out
	compiled map[string]*ast.Module // the same with references resolved
	compiler *ast.Compiler
	rules    map[string][]*ast.Rule // compiled, by full path: data.lib.keys.host
	owners   map[string][]string    // package → paths of its modules
	imports  map[string][]string    // path → packages whose rules its own read
}

func parse(files map[string][]byte) (*modules, error) {
	m := &modules{files: files, parsed: map[string]*ast.Module{}, compiled: map[string]*ast.Module{}, rules: map[string][]*ast.Rule{}, owners: map[string][]string{}, imports: map[string][]string{}}
	all, capabilities := map[string]*ast.Module{}, Capabilities()
	var problems []error
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(path, ".rego") {
			continue
		}
		mod, err := ast.ParseModuleWithOpts(path, string(files[path]), ast.ParserOptions{
			ProcessAnnotation: true, RegoVersion: ast.RegoV1, Capabilities: capabilities,
		})
		if err == nil {
			err = inspectPackage(path, mod)
		}
		if err != nil {
			problems = append(problems, readable(err)...)
			continue
		}
		all[path] = mod
		if !isTest(path) {
			m.parsed[path] = mod
			m.paths = append(m.paths, path)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	m.compiler = ast.NewCompiler().WithCapabilities(capabilities).WithStrict(true)
	if m.compiler.Compile(all); m.compiler.Failed() {
		return nil, errors.Join(readable(m.compiler.Errors)...)
	}
	for _, path := range m.paths {
		m.compiled[path] = m.compiler.Modules[path]
		pkg := m.compiled[path].Package.Path.String()
		m.owners[pkg] = append(m.owners[pkg], path)
		for _, rule := range m.compiled[path].Rules {
			name := rule.Ref().GroundPrefix().String()
			m.rules[name] = append(m.rules[name], rule)
		}
	}
	for _, path := range m.paths {
		m.imports[path] = m.importsOf(path)
	}
	return m, nil
}

// importsOf are the packages whose rules a module reads, whether it imports them or not.
func (m *modules) importsOf(path string) []string {
	found := map[string]bool{}
	for _, rule := range m.compiled[path].Rules {
		ast.WalkRefs(rule, func(ref ast.Ref) bool {
			if _, rules := m.named(ref); len(rules) > 0 {
				found[rules[0].Module.Package.Path.String()] = true
			}
			return false
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// inspectPackage sees that a module's package is below the folder that it lies in.
func inspectPackage(path string, mod *ast.Module) error {
	folder, _, _ := strings.Cut(path, "/")
	ref := mod.Package.Path
	if len(ref) < 3 || ref[1].Value.Compare(ast.String(folder)) != 0 {
		return fmt.Errorf("%s:%d: %s; a module in %s/ belongs to a package below %s", path, mod.Package.Location.Row, mod.Package, folder, folder)
	}
	tests := false
	for _, part := range ref[1:] {
		name, ok := part.Value.(ast.String)
		if !ok || !plainName.MatchString(string(name)) {
			return fmt.Errorf("%s:%d: %s: the parts of a package are lower case letters, digits and underscores", path, mod.Package.Location.Row, mod.Package)
		}
		if ast.IsInKeywords(string(name), ast.KeywordsForRegoVersion(ast.RegoV1)) { // what names its rules would be written otherwise
			return fmt.Errorf("%s:%d: %s: %s is a keyword of Rego and can be no part of a package", path, mod.Package.Location.Row, mod.Package, part)
		}
		tests = tests || strings.HasSuffix(string(name), "_test")
	}
	if tests != isTest(path) { // else a test could add to what decides
		return fmt.Errorf("%s:%d: %s: tests, and they alone, are in files named _test.rego and in packages named _test", path, mod.Package.Location.Row, mod.Package)
	}
	return nil
}

// readable gives OPA's errors their place in front and, where a builtin is
// missing because libraries may not use it, says so.
func readable(err error) []error {
	var list ast.Errors
	var one *ast.Error
	switch {
	case errors.As(err, &list):
	case errors.As(err, &one):
		list = ast.Errors{one}
	default:
		return []error{err}
	}
	out := make([]error, 0, len(list))
	for _, e := range list {
		at := "library"
		if e.Location != nil {
			at = fmt.Sprintf("%s:%d", e.Location.File, max(e.Location.Row, 1))
		}
		message := e.Message
		if name, ok := strings.CutPrefix(message, "undefined function "); ok && forbidden(name) {
			message = name + " is not available: its answer depends on the time, on chance or on the network, and a decision must be repeatable; " +
				"read the time from data.run.as_of and everything else from input"
		}
		out = append(out, fmt.Errorf("%s: %s", at, message))
	}
	return out
}

// forbidden tells whether OPA has a builtin that a library may not use.
func forbidden(name string) bool {
	return slices.ContainsFunc(ast.Builtins, func(b *ast.Builtin) bool { return b.Name == name && forbids(b) })
}

// forbids tells whether a library may not use a builtin: its answer depends on
// more than its arguments. Two that judge by the clock OPA takes for deterministic.
func forbids(b *ast.Builtin) bool {
	return b.Nondeterministic || b.Name == ast.CryptoX509ParseAndVerifyCertificates.Name ||
		b.Name == ast.CryptoX509ParseAndVerifyCertificatesWithOptions.Name || b.Name == ast.JWTDecodeVerify.Name
}

// named finds the rules that a reference below data reads, and their full path.
func (m *modules) named(ref ast.Ref) (string, []*ast.Rule) {
	name := ref[0].String()
	for _, t := range ref[1:] {
		s, ok := t.Value.(ast.String)
		if !ok {
			break
		}
		name += "." + string(s)
		if rules := m.rules[name]; rules != nil {
			return name, rules
		}
	}
	return "", nil
}

// attributes are the rules of lib, functions left out, that a module reads itself.
func (m *modules) attributes(path string) []string {
	found := map[string]bool{}
	for _, rule := range m.compiled[path].Rules {
		ast.WalkRefs(rule, func(ref ast.Ref) bool {
			if root(ref) == "lib" {
				if name, rules := m.named(ref); len(rules) > 0 && len(rules[0].Head.Args) == 0 {
					found[strings.TrimPrefix(name, "data.")] = true
				}
			}
			return false
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// estatePackages are the packages of lib that have a rule named estate.
func (m *modules) estatePackages() []string {
	var out []string
	for pkg := range m.owners {
		if strings.HasPrefix(pkg, "data.lib.") && m.rules[pkg+".estate"] != nil {
			out = append(out, strings.TrimPrefix(pkg, "data."))
		}
	}
	slices.Sort(out)
	return out
}

// digest is that of a control: its modules with all they import, however
// indirectly, and the values of its parameters.
func (m *modules) digest(c audit.Control, parameters any) (string, error) {
	paths, queue := map[string]bool{}, slices.Clone(m.owners["data."+c.Package])
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if paths[path] {
			continue
		}
		paths[path] = true
		for _, pkg := range m.imports[path] {
			queue = append(queue, m.owners[pkg]...)
		}
	}
	if parameters == nil {
		parameters = map[string]any{}
	}
	return audit.DigestOf(map[string]any{
		"modules": listing(m.files, slices.Sorted(maps.Keys(paths))), "parameters": parameters,
	})
}

// root is the second term of a reference into data: lib, estate …; empty for other references.
func root(ref ast.Ref) string {
	if len(ref) > 1 && ref[0].Value.Compare(ast.DefaultRootDocument.Value) == 0 {
		if s, ok := ref[1].Value.(ast.String); ok {
			return string(s)
		}
	}
	return ""
}
