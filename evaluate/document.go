package evaluate

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// document is one resource as the engine sees it. It is valid while its line is
// and until its machine parses the next.
type document struct {
	line   []byte
	root   *vm.Value
	digest string // of the line
	id     string
	name   string
	origin string
	kind   plan.Kind
	gaps   map[string]string    // pointer → reason
	tokens []string             // pointers of redacted values
	opa    ast.Value            // nil until somebody wants it
	holed  map[string]ast.Value // by pointers: see punched

	refused string            // why the machine cannot hold it: root is nil then, and nothing is decided
	tags    map[string]string // where it was refused
}

// read parses a line on the worker's machine. What it keeps of the line is copied.
func (w *worker) read(line []byte) (*document, error) {
	root, err := w.machine.Parse(line)
	if err != nil {
		return w.refuse(line, err)
	}
	w.document = document{line: line, root: root}
	d := &w.document
	text := func(key string) string {
		s, ok := w.machine.Field(root, key).Text()
		if !ok && err == nil {
			err = fmt.Errorf("resource document: %q is not a string", key)
		}
		return s
	}
	d.id = strings.Clone(text("id"))
	if name := text("name"); strings.HasSuffix(d.id, name) { // mostly
		d.name = d.id[len(d.id)-len(name):]
	} else {
		d.name = strings.Clone(name)
	}
	d.origin = w.intern(text("origin"))
	d.kind = plan.Kind{Source: w.intern(text("source")), Type: w.intern(text("type"))}
	if err == nil {
		d.gaps, err = w.texts(root, "gaps")
	}
	if err == nil {
		d.tokens, err = w.tokens(root)
	}
	return d, err
}

// refuse makes a document of a line that the machine cannot hold: one that is
// nested too deep, has too many values, or numbers that nobody can reckon with.
// Its resource is there, and its decisions are not evaluated.
func (w *worker) refuse(line []byte, why error) (*document, error) {
	h, err := audit.ParseHead(line)
	if err != nil {
		return nil, fmt.Errorf("resource document: %w", why)
	}
	w.document = document{
		line: line, id: h.ID, name: h.Name, origin: h.Origin, kind: plan.Kind{Source: h.Source, Type: h.Type}, gaps: h.Gaps, tokens: h.Redacted, tags: h.Tags,
		refused: "the document cannot be read: " + why.Error(),
	}
	return &w.document, nil
}

// owner reads who answers for a resource from its tags. Of these only those that
// can say so are copied.
func (w *worker) owner(d *document) (string, error) {
	if d.refused != "" {
		return audit.Owner(d.tags), nil
	}
	clear(w.owners)
	err := w.eachText(d.root, "tags", func(k, v string) {
		if strings.EqualFold(k, "owner") || strings.EqualFold(k, "team") {
			w.owners[k] = v
		}
	})
	return w.intern(audit.Owner(w.owners)), err
}

// mostInterned and longestInterned bound what a worker keeps of texts: tags can
// have any number, and any length.
const mostInterned, longestInterned = 1 << 12, 1 << 10

// intern keeps one copy of the few texts that come again and again.
func (w *worker) intern(s string) string {
	if kept, ok := w.interned[s]; ok {
		return kept
	}
	s = strings.Clone(s)
	if len(s) > longestInterned {
		return s
	}
	if len(w.interned) >= mostInterned {
		clear(w.interned)
	}
	w.interned[s] = s
	return s
}

// texts reads an object of strings; nil where it is empty.
func (w *worker) texts(root *vm.Value, key string) (out map[string]string, err error) {
	err = w.eachText(root, key, func(k, v string) {
		if out == nil {
			out = map[string]string{}
		}
		out[strings.Clone(k)] = strings.Clone(v)
	})
	return out, err
}

// eachText visits the members of an object of strings, which may alias the line.
func (w *worker) eachText(root *vm.Value, key string, visit func(k, v string)) error {
	field := w.machine.Field(root, key)
	if w.machine.Len(field) == 0 {
		return nil
	}
	keys, vals, ok := w.machine.Members(field)
	for i := range keys {
		k, _ := keys[i].Text()
		v, isText := vals[i].Text()
		ok = ok && isText
		visit(k, v)
	}
	if !ok {
		return fmt.Errorf("resource document: %q is not an object of strings", key)
	}
	return nil
}

// tokens are the pointers of redacted values, the same few in document after document.
func (w *worker) tokens(root *vm.Value) ([]string, error) {
	field := w.machine.Field(root, "redacted")
	if w.machine.Len(field) == 0 {
		return nil, nil
	}
	list, ok := w.machine.Elements(field)
	out := make([]string, len(list))
	for i, e := range list {
		s, isText := e.Text()
		ok = ok && isText
		out[i] = w.intern(s)
	}
	if !ok {
		return nil, fmt.Errorf("resource document: \"redacted\" is not an array of strings")
	}
	return out, nil
}

// value is the document as OPA wants it, by OPA's own reading of the line: what
// holds against our reading must not rest on it. It takes as long as deciding by
// a hundred controls, so that it is made once.
func (d *document) value() (v ast.Value, err error) {
	if d.opa == nil {
		if d.opa, err = ast.ValueFromReader(bytes.NewReader(d.line)); err != nil {
			return nil, fmt.Errorf("resource %s: %w", d.id, err)
		}
	}
	return d.opa, nil
}

func (d *document) gapped() []string { return slices.Sorted(maps.Keys(d.gaps)) }
