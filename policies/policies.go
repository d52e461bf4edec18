// Package policies is the library: controls, the adapters they read, and the
// frameworks that refer to them. It loads and checks a library and says what is
// in it; it decides nothing.
package policies

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
)

//go:embed lib controls frameworks
var embedded embed.FS

// Embedded is the library that comes with the program.
func Embedded() fs.FS { return embedded }

// Library is a checked library with the parameters it is run with. It is not
// changed after loading and safe to share.
type Library struct {
	Catalog audit.Catalog // what the library says of itself

	files      map[string][]byte
	modules    map[string]*ast.Module // parsed, tests left out
	compiled   map[string]*ast.Module // the same as the compiler leaves them
	compiler   *ast.Compiler
	parameters map[string]any
	attributes map[string][]string // control id → adapter attributes its module reads
	estate     []string
}

// Load reads a library from the folders lib, controls and frameworks of fsys and
// checks all of it: what does not hold is one joined error that names each file
// and line. parameters are the configured values, by control id and name; those
// not given keep their default, and one that no control has is an error.
func Load(fsys fs.FS, parameters map[string]map[string]any) (*Library, error) {
	files, err := readFiles(fsys)
	if err != nil {
		return nil, fmt.Errorf("reading the library: %w", err)
	}
	return load(files, parameters)
}

func load(files map[string][]byte, parameters map[string]map[string]any) (*Library, error) {
	set, err := parse(files)
	if err != nil {
		return nil, err
	}
	controls, err := readControls(set)
	if err != nil {
		return nil, err
	}
	given, err := setParameters(controls, parameters)
	if err != nil {
		return nil, err
	}
	if err := set.inspect(controls); err != nil {
		return nil, err
	}
	lib := &Library{files: files, modules: set.parsed, compiled: set.compiled, compiler: set.compiler, parameters: given, attributes: map[string][]string{}, estate: set.estatePackages()}
	var problems []error
	for i := range controls {
		c := &controls[i]
		lib.attributes[c.ID] = set.attributes(c.File)
		for _, name := range c.ComparesTokens {
			if !slices.Contains(lib.attributes[c.ID], name) {
				problems = append(problems, fmt.Errorf("%s: compares_tokens: the control does not read the attribute %q; it reads %s",
					c.File, name, strings.Join(lib.attributes[c.ID], ", ")))
			}
		}
		if c.Digest, err = set.digest(*c, given[c.ID]); err != nil {
			problems = append(problems, fmt.Errorf("%s: digest: %w", c.File, err))
		}
	}
	frameworks, err := readFrameworks(files, controls)
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, err
	}
	revision, err := revisionOf(files)
	if err != nil {
		return nil, err
	}
	lib.Catalog = audit.Catalog{Revision: revision, Controls: controls, Frameworks: frameworks}
	return lib, nil
}

// Modules are the modules of controls and lib by path, tests left out, with
// annotations. They are shared: do not change them; a compiler makes copies.
func (l *Library) Modules() map[string]*ast.Module { return maps.Clone(l.modules) }

// Compiled are the same modules as the compiler leaves them: every rule in the
// place that it has in Modules. They are shared as well.
func (l *Library) Compiled() map[string]*ast.Module { return maps.Clone(l.compiled) }

// Compiler is what the library was compiled with, tests included: for queries, by
// any number at once.
func (l *Library) Compiler() *ast.Compiler { return l.compiler }

// Files are the library's files by path, tests and frameworks included. The
// bytes are shared: do not change them.
func (l *Library) Files() map[string][]byte { return maps.Clone(l.files) }

// Parameters is the document data.parameters: control id → name → value, numbers
// as json.Number. A control without parameters has no entry.
func (l *Library) Parameters() map[string]any {
	out := make(map[string]any, len(l.parameters))
	for id, values := range l.parameters {
		out[id] = clone(values)
	}
	return out
}

// Attributes lists the adapter attributes that a control's module itself reads,
// as lib.storage.bucket.versioning, sorted. Functions are not attributes.
func (l *Library) Attributes(control string) []string { return slices.Clone(l.attributes[control]) }

// EstateRules lists the packages under lib that declare what others may look
// up, as lib.estate.aws: each has a set named estate, read from input alone.
func (l *Library) EstateRules() []string { return slices.Clone(l.estate) }

// Capabilities are the builtins a library may use: deterministic ones, and no network.
func Capabilities() *ast.Capabilities {
	caps := ast.CapabilitiesForThisVersion()
	caps.Builtins = slices.DeleteFunc(slices.Clone(caps.Builtins), forbids)
	caps.AllowNet = []string{}
	return caps
}

// Capabilities are those the library was checked with.
func (l *Library) Capabilities() *ast.Capabilities { return Capabilities() }

// revisionOf is the library's content hash: of all its files, tests and
// frameworks included, so that it names what a reader of the bundle has in hand.
func revisionOf(files map[string][]byte) (string, error) {
	return audit.DigestOf(map[string]any{"crosscheck/library/1": listing(files, slices.Sorted(maps.Keys(files)))})
}

// listing is the array of [path, sha256] of the paths given.
func listing(files map[string][]byte, paths []string) []any {
	out := make([]any, len(paths))
	for i, path := range paths {
		out[i] = []any{path, audit.Digest(files[path])}
	}
	return out
}

// clone copies a JSON value.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, e := range v {
			out[key] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}

// plainJSON brings a value decoded from YAML or configuration to JSON values
// with numbers as json.Number.
func plainJSON(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return audit.DecodeJSON(b)
}
