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
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/lookup"
)

// estate is what resources declare for others to look up, and what could be
// missing from it. It is built once in a run, before anything is judged: until
// it is sealed, any number of goroutines may declare; after that, read. Who
// makes it closes it.
type estate struct {
	sources map[string]bool // sources that the run has snapshots of
	index   *lookup.Index
	digests map[string]string

	mu   sync.Mutex          // guards gaps until it is sealed
	gaps map[string][]string // source.kind → what may hide an entry, sorted
}

// publicHit is a hit as it is recorded.
func publicHit(h lookup.Hit) audit.Hit {
	v, _ := audit.DecodeJSON(h.Value) // rendered by us, and read by hitTerm before
	return audit.Hit{ID: h.ID, Origin: h.Origin, Value: v}
}

// hitTerm is a hit as controls read it.
func hitTerm(h lookup.Hit) (*ast.Term, error) {
	v, err := ast.ValueFromReader(bytes.NewReader(h.Value))
	if err != nil {
		return nil, err
	}
	return ast.ObjectTerm(
		ast.Item(ast.StringTerm("id"), ast.StringTerm(h.ID)),
		ast.Item(ast.StringTerm("origin"), ast.StringTerm(h.Origin)),
		ast.Item(ast.StringTerm("value"), ast.NewTerm(v)),
	), nil
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

func (e *estate) addGap(source, kind, what string) {
	k := source + "." + kind
	e.mu.Lock()
	defer e.mu.Unlock()
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

// declare adds the entries of one document, and the gaps it has under them.
func (e *estate) declare(ctx context.Context, p *program, s *store, doc document) error {
	if len(p.kinds) == 0 {
		return nil
	}
	holes := doc.holes()
	for _, kind := range sortedKeys(p.kinds) {
		for _, at := range p.kinds[kind].Touched(slices.Sorted(maps.Keys(holes))) {
			e.addGap(p.source, kind, doc.head.ID+" "+at+": "+holes[at])
		}
	}
	values, err := p.estate.eval(ctx, doc.value, s.view(nil))
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for kind := range p.kinds {
			e.addGap(p.source, kind, doc.head.ID+": "+firstLine(err))
		}
		return nil
	}
	entries := make([]lookup.Entry, len(values))
	for i, v := range values {
		if entries[i], err = newEntry(p.source, doc, v); err != nil {
			return err
		}
	}
	return e.index.Add(entries...)
}

// newEntry takes one object {kind, key, value} that an adapter declared.
func newEntry(source string, doc document, v ast.Value) (lookup.Entry, error) {
	raw, err := canonicalValue(v)
	if err != nil {
		return lookup.Entry{}, err
	}
	var entry struct {
		Kind  string          `json:"kind"`
		Key   *string         `json:"key"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(raw, &entry); err != nil || entry.Kind == "" || entry.Key == nil || entry.Value == nil {
		return lookup.Entry{}, fmt.Errorf("resource %s: an estate entry must be {kind, key, value} with strings as kind and key, not %.200s", doc.head.ID, raw)
	}
	return lookup.Entry{Source: source, Kind: entry.Kind, Key: *entry.Key, ID: doc.head.ID, Origin: doc.head.Origin, Value: entry.Value}, nil
}

func canonicalValue(v ast.Value) ([]byte, error) {
	x, err := ast.JSONWithOpt(v, ast.JSONOpt{SortSets: true})
	if err != nil {
		return nil, err
	}
	return audit.Canonical(x)
}

func sortedLookups(m map[lookupKey][]lookup.Hit) []lookupKey {
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
