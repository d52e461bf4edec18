package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing/fstest"
)

// variants is how many controls of one shape the large library has.
const variants = 5

// library is generated Rego: files by path, below lib and controls.
type library map[string]string

// newLibrary makes a library in crosscheck's own form of the first n variants
// of every shape: 40 controls for each, of which 14 apply to a workload.
func newLibrary(n int) library {
	lib := library{}
	adapters := map[string]*strings.Builder{}
	for i, s := range shapes() {
		for v := range n {
			pkg := adapters[s.adapter]
			if pkg == nil {
				pkg = &strings.Builder{}
				adapters[s.adapter] = pkg
				pkg.WriteString(heads[s.adapter])
			}
			attribute := fmt.Sprintf("%s_%d", s.name, v)
			pkg.WriteString(s.attribute(attribute, v))
			lib[fmt.Sprintf("controls/bench/%s.rego", attribute)] = s.control(attribute, 1+i+v*len(shapes()), v)
		}
	}
	for name, text := range adapters {
		lib["lib/bench/"+name+".rego"] = text.String()
	}
	return lib
}

// FS is what policies.Load reads.
func (l library) FS() fs.FS {
	out := fstest.MapFS{}
	for name, text := range l {
		out[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o600}
	}
	return out
}

// aggregated is the plain form's own package: one set of everything that was found.
const aggregated = `package bench

violations contains {"control": name, "violation": violation} if {
	some name
	some violation in data.controls.bench[name].violation
}
`

// Bundle writes the same controls below dir for who knows nothing of
// crosscheck: opa exec asks for data.bench.violations.
func (l library) Bundle(dir string) error {
	files := maps.Clone(l)
	files["bench.rego"] = aggregated
	return files.plain(dir, l.parameters())
}

// Namespaces writes the same controls as conftest wants them: a namespace for
// each control, and msg for message.
func (l library) Namespaces(dir string) error {
	files := maps.Clone(l)
	for name, text := range files {
		files[name] = strings.Replace(text, `"message":`, `"msg":`, 1)
	}
	return files.plain(dir, l.parameters())
}

func (l library) plain(dir string, parameters map[string]any) error {
	data, err := json.Marshal(map[string]any{"parameters": parameters})
	if err != nil {
		return err
	}
	l["data.json"] = string(data)
	return l.write(dir)
}

func (l library) write(dir string) error {
	for _, name := range slices.Sorted(maps.Keys(l)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(l[name]), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// parameters are the defaults that METADATA gives, as data.parameters has them.
func (l library) parameters() map[string]any {
	out := map[string]any{}
	for i, s := range shapes() {
		for v := range variants {
			if _, there := l[fmt.Sprintf("controls/bench/%s_%d.rego", s.name, v)]; there && s.allowed != nil {
				out[controlID(1+i+v*len(shapes()))] = map[string]any{"allowed": s.allowed}
			}
		}
	}
	return out
}

func controlID(n int) string { return fmt.Sprintf("BEN-%03d", n) }

// shape is a kind of control; its variants look at other fields in the same way.
type shape struct {
	name     string
	adapter  string // the package under lib.bench
	types    []string
	severity string
	each     string    // "container" or "": what the condition is asked of
	allowed  []string  // parameter: observed values that are no violation; nil for no parameter
	cases    []variant // one for each variant
}

// variant is a condition under which something is found, what is then observed,
// and where. In a container c and i are the container and its index.
type variant struct{ condition, observed, path string }

// attribute is the adapter's rule: an array of what was found, empty where nothing was.
func (s shape) attribute(name string, v int) string {
	c := s.cases[v]
	condition := strings.ReplaceAll(c.condition, "; ", "\n\t")
	if s.each == "container" {
		found := func(list string) string {
			return fmt.Sprintf(`[{"name": c.name, "observed": %s, "path": path} |
		some i, c in _spec.%s
		%s
		path := sprintf("%%s/%s/%%d/%s", [_path, i])
	]`, c.observed, list, strings.ReplaceAll(condition, "\n", "\n\t"), list, c.path)
		}
		// Each list is read by name and no list as a whole: beside what is judged lie tokens.
		return fmt.Sprintf("\n# %[1]s: containers, and where it says so.\n%[1]s := array.concat(\n\t%[2]s,\n\t%[3]s,\n) if _spec.containers[0].name\n",
			name, found("containers"), found("initContainers"))
	}
	guard, path := " if _spec.containers[0].name", fmt.Sprintf(`sprintf("%%s/%s", [_path])`, c.path)
	if s.adapter != "pod" {
		source, typ, _ := strings.Cut(s.types[0], "/")
		guard, path = fmt.Sprintf(" if {\n\tinput.source == %q\n\tinput.type == %q\n}", source, typ), fmt.Sprintf("%q", "/data/"+c.path)
	}
	return fmt.Sprintf(`
# %[1]s: what was found, and where.
%[1]s := [{"name": "resource", "observed": %[3]s, "path": %[4]s} |
	%[2]s
]%[5]s
`, name, condition, c.observed, path, guard)
}

// control is the module of one control.
func (s shape) control(attribute string, n, v int) string {
	types, _ := json.Marshal(s.types) // strings always render
	parameters, allowed, id := "", "", controlID(n)
	if s.allowed != nil {
		list, _ := json.Marshal(s.allowed)
		parameters = fmt.Sprintf("#   parameters:\n#     allowed: {type: array, default: %s, description: Values that are no violation.}\n", list)
		allowed = fmt.Sprintf("\n\tnot found.observed in data.parameters[%q].allowed", id)
	}
	return fmt.Sprintf(`# METADATA
# title: Nothing is found by %[1]s
# description: Judges %[2]s, by the condition %[3]d of this shape.
# custom:
#   id: %[4]s
#   severity: %[5]s
#   applies_to: %[6]s
#   why: What is found here is what an attacker looks for first, or what keeps a team awake at night.
%[7]s#   fix:
#     kubernetes: |
#       kubectl patch the field that the path names, and set it to what is expected.
package controls.bench.%[1]s

import data.lib.bench.%[8]s

violation contains {
	"message": sprintf("%%s: %[9]s is not as it should be", [found.name]),
	"observed": found.observed,
	"expected": "as the baseline says",
	"path": found.path,
} if {
	some found in %[8]s.%[1]s%[10]s
}
`, attribute, s.name, v, id, s.severity, types, parameters, s.adapter, strings.ReplaceAll(s.name, "_", " "), allowed)
}
