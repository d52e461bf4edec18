package evaluate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// estate is what resources declare for others to look up, and what could be
// missing from it. It is built once in a run, before anything is judged.
type estate struct {
	sources map[string]bool // sources that the run has snapshots of
	entries map[lookupKey][]hit
	gaps    map[string][]string // source.kind → what may hide an entry, sorted
	digests map[string]string
}

// hit is one entry under a key; its value is canonical JSON.
type hit struct {
	id, origin string
	value      []byte
}

func (h hit) public() audit.Hit {
	return audit.Hit{ID: h.id, Origin: h.origin, Value: json.RawMessage(h.value)}
}

func (h hit) term() (*ast.Term, error) {
	v, err := ast.ValueFromReader(bytes.NewReader(h.value))
	if err != nil {
		return nil, err
	}
	return ast.ObjectTerm(
		ast.Item(ast.StringTerm("id"), ast.StringTerm(h.id)),
		ast.Item(ast.StringTerm("origin"), ast.StringTerm(h.origin)),
		ast.Item(ast.StringTerm("value"), ast.NewTerm(v)),
	), nil
}

func newEstate(snapshots []audit.Snapshot) *estate {
	e := &estate{sources: map[string]bool{}, entries: map[lookupKey][]hit{}, gaps: map[string][]string{}, digests: map[string]string{}}
	for _, s := range snapshots {
		e.sources[audit.SourceOf(s.Origin)] = true
	}
	return e
}

func (e *estate) find(k lookupKey) []hit { return e.entries[k] }

func (e *estate) gapDigest(source, kind string) string { return e.digests[source+"."+kind] }

// close sorts what was added, so that the order of reading leaves no trace.
func (e *estate) close(kinds []string) error {
	for _, hits := range e.entries {
		slices.SortFunc(hits, func(a, b hit) int {
			return cmp.Or(cmp.Compare(a.id, b.id), bytes.Compare(a.value, b.value))
		})
	}
	for k, g := range e.gaps {
		slices.Sort(g)
		e.gaps[k] = slices.Compact(g)
	}
	for _, k := range kinds {
		g := e.gaps[k]
		if g == nil {
			g = []string{}
		}
		d, err := audit.DigestOf(g)
		if err != nil {
			return err
		}
		e.digests[k] = d
	}
	return nil
}

func (e *estate) addGap(source, kind, what string) {
	k := source + "." + kind
	e.gaps[k] = append(e.gaps[k], what)
}

// addPopulationGaps notes what population gaps may hide: every kind that
// resources of the missing type could declare.
func (e *estate) addPopulationGaps(lib *library, snapshots []audit.Snapshot) error {
	for _, s := range snapshots {
		source := audit.SourceOf(s.Origin)
		for _, g := range s.Gaps {
			types := []string{g.Type}
			if g.Type == audit.AllTypes && len(s.Answers) > 0 {
				types = s.Answers
			}
			for _, typ := range types {
				kinds, err := lib.declares(source, typ)
				if err != nil {
					return err
				}
				for _, k := range kinds {
					e.addGap(source, k, g.Origin+" "+g.Type+": "+g.Code.Reason(g.Operation))
				}
			}
		}
	}
	return nil
}

// declaration is what one document declares for others to look up, and what may
// be missing from that.
type declaration struct {
	entries []entry
	gaps    [][2]string // source.kind, and what may hide an entry
}

type entry struct {
	key lookupKey
	hit hit
}

// take adds what some documents declare.
func (e *estate) take(list []declaration) error {
	for _, d := range list {
		for _, x := range d.entries {
			e.entries[x.key] = append(e.entries[x.key], x.hit)
		}
		for _, g := range d.gaps {
			e.gaps[g[0]] = append(e.gaps[g[0]], g[1])
		}
	}
	return nil
}

// declare reads what a line declares; ok is false if such a resource declares nothing.
func (w *worker) declare(ctx context.Context, line []byte) (d declaration, ok bool, err error) {
	doc, err := w.read(line)
	if err != nil {
		return d, false, err
	}
	p, err := w.lib.program(ctx, doc.kind)
	if err != nil || len(p.declares) == 0 {
		return d, false, err
	}
	if holes := doc.holes(); len(holes) > 0 {
		for _, kind := range sortedKeys(p.declares) {
			for _, at := range p.kindReads(kind).Touched(sortedKeys(holes)) {
				d.gaps = append(d.gaps, [2]string{p.source + "." + kind, doc.id + " " + at + ": " + holes[at]})
			}
		}
	}
	values, err := w.declared(ctx, p, doc)
	if err != nil {
		if ctx.Err() != nil {
			return d, false, ctx.Err()
		}
		for _, kind := range sortedKeys(p.declares) {
			d.gaps = append(d.gaps, [2]string{p.source + "." + kind, doc.id + ": " + firstLine(err)})
		}
		return d, true, nil
	}
	for _, raw := range values {
		x, err := newEntry(p.source, doc, raw)
		if err != nil {
			return d, false, err
		}
		d.entries = append(d.entries, x)
	}
	return d, true, nil
}

// declared asks the machine what a document declares, and where that fails OPA.
func (w *worker) declared(ctx context.Context, p *program, doc document) ([][]byte, error) {
	if !w.opa && p.policy != nil {
		out, err := w.declaredByMachine(ctx, p, doc)
		if err == nil || ctx.Err() != nil || errors.Is(err, vm.ErrSteps) || errors.Is(err, vm.ErrBytes) {
			return out, err
		}
	}
	return p.opa.declared(ctx, w.store, doc)
}

func (w *worker) declaredByMachine(ctx context.Context, p *program, doc document) ([][]byte, error) {
	w.machine.Use(p.policy)
	var out [][]byte
	for _, r := range p.estate {
		set, err := w.machine.Call(ctx, r, doc.root, w.limits)
		if err != nil {
			return nil, err
		}
		values, err := w.render(set)
		if err != nil {
			return nil, err
		}
		out = append(out, values...)
	}
	return out, nil
}

// newEntry takes one object {kind, key, value} that an adapter declared.
func newEntry(source string, doc document, raw []byte) (entry, error) {
	var e struct {
		Kind  string          `json:"kind"`
		Key   *string         `json:"key"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(raw, &e); err != nil || e.Kind == "" || e.Key == nil || e.Value == nil {
		return entry{}, fmt.Errorf("resource %s: an estate entry must be {kind, key, value} with strings as kind and key, not %.200s", doc.id, raw)
	}
	return entry{lookupKey{source, e.Kind, *e.Key}, hit{doc.id, doc.origin, e.Value}}, nil
}

func canonicalValue(v ast.Value) ([]byte, error) {
	x, err := ast.JSONWithOpt(v, ast.JSONOpt{SortSets: true})
	if err != nil {
		return nil, err
	}
	return audit.Canonical(x)
}

func sortedLookups(m map[lookupKey][]hit) []lookupKey {
	return slices.SortedFunc(maps.Keys(m), func(a, b lookupKey) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.kind, b.kind), cmp.Compare(a.key, b.key))
	})
}

// firstLine is an OPA error without its location's path and the lines after the first.
func firstLine(err error) string {
	text := err.Error()
	var list ast.Errors
	if errors.As(err, &list) && len(list) > 0 {
		text = list[0].Message
	}
	if line, _, ok := bytes.Cut([]byte(text), []byte("\n")); ok {
		text = string(line)
	}
	return text
}
