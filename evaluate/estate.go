package evaluate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/lookup"
	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// estate is what resources declare for others to look up, and what could be
// missing from it. It is built once in a run, before anything is judged: until
// it is sealed, any number of goroutines may add; after that, read. Who makes it
// closes it.
type estate struct {
	sources map[string]bool // sources that the run has snapshots of
	index   *lookup.Index
	digests map[string]string

	mu   sync.Mutex          // guards gaps until it is sealed
	gaps map[string][]string // source.kind → what may hide an entry, sorted
}

func newEstate(cfg lookup.Config, snapshots []audit.Snapshot) *estate {
	e := &estate{sources: map[string]bool{}, index: lookup.New(cfg), gaps: map[string][]string{}, digests: map[string]string{}}
	for _, s := range snapshots {
		e.sources[audit.SourceOf(s.Origin)] = true
	}
	return e
}

func (e *estate) find(k lookupKey) ([]lookup.Hit, error) {
	return e.index.Find(k.source, k.kind, k.key)
}

func (e *estate) close() error { return e.index.Close() }

func (e *estate) gapDigest(source, kind string) string { return e.digests[source+"."+kind] }

// seal sorts what was added, so that the order of reading leaves no trace.
func (e *estate) seal(kinds []string) error {
	if err := e.index.Seal(); err != nil {
		return err
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

// addGap notes what may hide entries of a source.kind.
func (e *estate) addGap(kind, what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gaps[kind] = append(e.gaps[kind], what)
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
					e.addGap(source+"."+k, g.Origin+" "+g.Type+": "+g.Code.Reason(g.Operation))
				}
			}
		}
	}
	return nil
}

// declaration is what the documents of a block declare for others to look up,
// and the gaps that may hide more of it.
type declaration struct {
	entries []lookup.Entry
	gaps    []concealed
}

// concealed is what may hide entries of a source.kind.
type concealed struct{ kind, what string }

// add makes a declaration a part of the estate.
func (e *estate) add(d declaration) error {
	for _, g := range d.gaps {
		e.addGap(g.kind, g.what)
	}
	return e.index.Add(d.entries...)
}

// declare gives what the lines of a block declare.
func (w *worker) declare(ctx context.Context, block []byte) (d declaration, err error) {
	w.concealed, w.last = nil, nil
	err = audit.EachLine(block, func(line []byte) error {
		if p := w.last; p != nil && len(p.declares) == 0 && ofType(line, p.Type) { // as the one before, of the same origin
			return nil
		}
		doc, err := w.read(line)
		if err != nil {
			return err
		}
		p, err := w.program(ctx, doc.kind)
		if err != nil || len(p.declares) == 0 {
			return err
		}
		w.hidden(p, doc)
		d.entries, err = w.entries(ctx, p, doc, d.entries)
		return err
	})
	d.gaps = w.concealed
	return d, err
}

// ofType tells whether a line is certainly a document of a type, without reading
// it: if it is JSON, what stands at its end is a member of the outermost object.
func ofType(line []byte, typ string) bool {
	const before, after = `,"type":"`, `"}`
	rest, ok := bytes.CutSuffix(line, []byte(after))
	if !ok {
		return false
	}
	rest, ok = bytes.CutSuffix(rest, []byte(typ))
	return ok && bytes.HasSuffix(rest, []byte(before)) && !strings.ContainsAny(typ, `"\`)
}

// conceal notes what may hide entries of a kind that a document of a program declares.
func (w *worker) conceal(p *program, doc *document, kind, what string) {
	w.concealed = append(w.concealed, concealed{p.Source + "." + kind, doc.id + what})
}

// entries appends what a document declares. What cannot be told is a gap of
// every kind that such a resource can declare.
func (w *worker) entries(ctx context.Context, p *program, doc *document, out []lookup.Entry) ([]lookup.Entry, error) {
	from := len(out)
	declared, err := w.declared(ctx, p, doc, out)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for i := from; i < len(declared) && err == nil; i++ {
		err = malformedEntry(declared[i])
	}
	if err != nil {
		for _, kind := range sortedKeys(p.declares) {
			w.conceal(p, doc, kind, ": "+firstLine(err))
		}
		return out, nil
	}
	return declared, nil
}

// malformedEntry says what is wrong with an entry, if anything is.
func malformedEntry(e lookup.Entry) error {
	switch {
	case nested(e.Value):
		return fmt.Errorf("what it declares for others to look up is nested more than %d levels deep", mostNested)
	case e.Kind == "":
		return fmt.Errorf("what it declares for others to look up must be {kind, key, value} with strings as kind and key, not %.200s", e.Value)
	}
	return nil
}

// declared appends what a document declares, by the machine and where that fails
// by OPA. Of an entry that is malformed the kind is empty, and the value all of it.
func (w *worker) declared(ctx context.Context, p *program, doc *document, out []lookup.Entry) ([]lookup.Entry, error) {
	if doc.refused != "" {
		return nil, errors.New(doc.refused)
	}
	if p.policy != nil {
		more, err := w.declaredByMachine(ctx, p, doc, out)
		if err != nil && !final(ctx, err) {
			err = cmp.Or(w.afford(ctx, doc, p.estate), err)
		}
		if err == nil && !w.opa || final(ctx, err) {
			return more, err
		}
	}
	values, err := w.lib.stock.declared(ctx, w.store, doc, p.declaring())
	for _, raw := range values {
		e := newEntry(p.Source, doc, raw)
		if bad := w.machine.Holds(e.Value); bad != nil {
			return out, fmt.Errorf("what it declares for others to look up cannot be read: %w", bad)
		}
		out = append(out, e)
	}
	return out, err
}

func (w *worker) declaredByMachine(ctx context.Context, p *program, doc *document, out []lookup.Entry) ([]lookup.Entry, error) {
	w.machine.Use(p.policy)
	for _, r := range p.estate {
		set, err := w.machine.Call(ctx, r, doc.root, w.limits)
		if err != nil {
			return nil, err
		}
		list, _ := w.machine.Elements(set)
		for _, v := range list {
			e, err := w.entry(p.Source, doc, v)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
	}
	return out, nil
}

// entry takes one object {kind, key, value} off the machine.
func (w *worker) entry(source string, doc *document, v *vm.Value) (lookup.Entry, error) {
	kind, isKind := w.machine.Field(v, "kind").Text()
	key, isKey := w.machine.Field(v, "key").Text()
	value := w.machine.Field(v, "value")
	if !isKind || !isKey || value == nil || w.machine.Len(v) != 3 {
		raw, err := w.machine.AppendJSON(nil, v)
		return newEntry(source, doc, raw), err
	}
	var err error
	if w.scratch, err = w.machine.AppendJSON(w.scratch[:0], value); err != nil {
		return lookup.Entry{}, err
	}
	return lookup.Entry{Source: source, Kind: w.intern(kind), Key: strings.Clone(key), ID: doc.id, Origin: doc.origin, Value: bytes.Clone(w.scratch)}, nil
}

// newEntry takes one object {kind, key, value} that an adapter declared.
func newEntry(source string, doc *document, raw []byte) lookup.Entry {
	var e struct {
		Kind  string          `json:"kind"`
		Key   *string         `json:"key"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(raw, &e); err != nil || e.Kind == "" || e.Key == nil || e.Value == nil {
		return lookup.Entry{Value: raw}
	}
	return lookup.Entry{Source: source, Kind: e.Kind, Key: *e.Key, ID: doc.id, Origin: doc.origin, Value: e.Value}
}

func canonicalValue(v ast.Value) ([]byte, error) {
	x, err := ast.JSONWithOpt(v, ast.JSONOpt{SortSets: true})
	if err != nil {
		return nil, err
	}
	return audit.Canonical(x)
}

// longestDetail is how much of an error is recorded, in bytes: it may quote a document.
const longestDetail = 500

// firstLine is an OPA error without the lines after the first, in which it lists
// values, and without what is too long to be recorded.
func firstLine(err error) string {
	text := err.Error()
	var list ast.Errors
	if errors.As(err, &list) && len(list) > 0 {
		text = list[0].Message
	}
	text, _, more := strings.Cut(text, "\n")
	if more {
		text = strings.TrimSuffix(text, ":")
	}
	if len(text) > longestDetail {
		text = strings.ToValidUTF8(text[:longestDetail], "") + "…"
	}
	return text
}
