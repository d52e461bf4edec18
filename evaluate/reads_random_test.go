package evaluate_test

import (
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// randomLibrary has one control, with an adapter of its own making; nil if that
// is no library.
func randomLibrary(t testing.TB, d dice) *policies.Library {
	t.Helper()
	rego := `import data.lib.thing

violation contains {"message": "x", "observed": thing.x, "expected": 0, "path": "/data"} if thing.x != 0
`
	var extra []string
	attributes := []string{"x"}
	if d.IntN(3) == 0 {
		rego += "\ndefault applies := false\n\napplies if thing.y\n"
		extra, attributes = []string{"#   excludes: Others."}, []string{"x", "y"}
	}
	g := &grammar{dice: d}
	files := map[string]string{
		"lib/thing.rego":    g.adapter("lib.thing", attributes...),
		"controls/a/b.rego": control("RND-001", "controls.a.b", `"aws/T"`, rego, extra...),
	}
	if loads(files) != nil {
		return nil
	}
	return library(t, files)
}

func loads(files map[string]string) error {
	fsys := fstest.MapFS{"frameworks/none.yaml": {Data: []byte("id: none\ntitle: None\nversion: \"1\"\nreport: none\nrequirements:\n  - {id: R1, title: Nothing, evidence: [], not_evidenced: Nothing is evidenced here.}\n")}}
	for path, text := range files {
		fsys[path] = &fstest.MapFile{Data: []byte(text)}
	}
	_, err := policies.Load(fsys, nil)
	return err
}

// full is a value in which most of what random controls look for is there.
func (d dice) full(depth int) any {
	switch n := d.IntN(8); {
	case depth <= 0 || n == 0:
		return d.value(1)
	case n < 3:
		return []any{d.full(depth - 1), d.full(depth - 1)}
	}
	out := map[string]any{}
	for _, k := range words {
		if k == "a" || k == "b" || d.IntN(4) == 0 {
			out[k] = d.full(depth - 1)
		}
	}
	return out
}

// randomDocument is a document of that type.
func randomDocument(d dice) audit.Resource {
	data := map[string]any{}
	for _, k := range words {
		data[k] = d.full(3)
	}
	r := audit.Resource{Source: audit.AWS, Origin: "aws/1/eu", Type: "T", ID: audit.ResourceID("aws/1/eu", "T", "x"), Name: pick(d, words), Data: data}
	if d.IntN(2) == 0 {
		r.Tags = map[string]string{pick(d, words): pick(d, words)}
	}
	return r
}

// change is a document that differs from another at one pointer only.
type change struct {
	pointer string
	line    []byte
}

// changes are some changes of a document: something replaced, removed or added.
func (d dice) changes(t testing.TB, r audit.Resource, n int) []change {
	t.Helper()
	at := append(places(r.Data, "/data", nil), "/data")
	var out []change
	for range n {
		c, p := clone(t, r), pick(d, at)
		v := d.value(2)
		switch d.IntN(3) {
		case 0:
			p += "/" + audit.EscapePointer(pick(d, words))
		case 1:
			v = absent{}
		}
		if standing(c, p) == nil || p == "/data" || !put(&c, p, v) {
			continue
		}
		out = append(out, change{p, line(t, c)})
	}
	return out
}

// unread tells what changed though it lies outside of what a control reads; it
// returns how many decisions it compared.
func unread(t testing.TB, e *evaluate.Engine, j audit.Judgement, r audit.Resource, list []change) (compared int) {
	t.Helper()
	lines := [][]byte{line(t, r)}
	for _, c := range list {
		lines = append(lines, c.line)
	}
	var base []audit.Decision
	err := e.DecideAmong(t.Context(), j, lines, func(i int, v audit.Verdict) {
		if i == 0 {
			base = v.Decisions
			return
		}
		for k, d := range v.Decisions {
			reads, err := e.Reads(t.Context(), d.Control, r.Source, r.Type)
			if err != nil {
				t.Fatal(err)
			}
			if touches(reads, list[i-1].pointer) {
				continue
			}
			if compared++; said(d) != said(base[k]) {
				c, _ := e.Catalog().Control(d.Control)
				t.Errorf("%s reads %v, not %s, and changed from %s to %s with\n%s\n%s\n%s", d.Control, reads.Input, list[i-1].pointer, said(base[k]), said(d), lines[0], lines[i], c.Package)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return compared
}

// tryReads holds the reads of a random control against changes of random documents.
func tryReads(t *testing.T, controls, documents uint64) (compared int) {
	t.Helper()
	lib := randomLibrary(t, seeded(controls))
	if lib == nil {
		return 0
	}
	e, d := engine(t, lib), seeded(documents)
	if e.Check(t.Context()) != nil { // OPA cannot specialise it: such a library does not load
		return 0
	}
	for range 8 {
		r := randomDocument(d)
		compared += unread(t, e, judgement(t, r), r, d.changes(t, r, 20))
	}
	if t.Failed() {
		for name, m := range lib.Modules() {
			t.Logf("%s:\n%s", name, m)
		}
	}
	return compared
}

// TestReadsOfRandomControls: whatever a control does, it says the same however
// all that lies outside of its reads is changed.
func TestReadsOfRandomControls(t *testing.T) {
	t.Parallel()
	seeds(t, 80, 800, func(t *testing.T, seed uint64) int { return tryReads(t, seed, seed) })
}

// TestEnginesAgreeOnRandomControls: --engine opa says what the machine says, of
// which all is compared with OPA too in runs so small.
func TestEnginesAgreeOnRandomControls(t *testing.T) {
	t.Parallel()
	seeds(t, 60, 200, tryEngines)
}

// seeds tries n seeds, and wants so many decisions compared at least.
func seeds(t *testing.T, n uint64, least int64, try func(t *testing.T, seed uint64) int) {
	t.Helper()
	var compared atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		for seed := range n {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				compared.Add(int64(try(t, seed)))
			})
		}
	})
	if got := compared.Load(); got < least {
		t.Errorf("only %d decisions were compared", got)
	} else {
		t.Logf("%d decisions were compared", got)
	}
}

// tryEngines has both engines decide mutants of random documents by a random control.
func tryEngines(t *testing.T, seed uint64) (compared int) {
	t.Helper()
	d := seeded(seed + 1000)
	lib := randomLibrary(t, d)
	if lib == nil {
		return 0
	}
	machine := engine(t, lib)
	if machine.Check(t.Context()) != nil {
		return 0
	}
	opa, err := evaluate.New(evaluate.Config{Library: lib, OPA: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 12 {
		r := randomDocument(d)
		r.Data = d.mutate(r.Data)
		j := judgement(t, r)
		lines := [][]byte{line(t, r)}
		var got, want []string
		for e, out := range map[*evaluate.Engine]*[]string{machine: &got, opa: &want} {
			err := e.DecideAmong(t.Context(), j, lines, func(_ int, v audit.Verdict) {
				for _, d := range v.Decisions {
					*out = append(*out, said(d))
				}
			})
			if err != nil {
				t.Errorf("%v\n%s\n%s", err, lines[0], lib.Modules()["lib/thing.rego"])
			}
		}
		if compared += len(got); !slices.Equal(got, want) {
			t.Errorf("the machine says %v, OPA %v\n%s\n%s", got, want, lines[0], lib.Modules()["lib/thing.rego"])
		}
	}
	return compared
}

// FuzzReads tries the same with any controls and documents.
func FuzzReads(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, controls, documents uint64) { tryReads(t, controls, documents) })
}

// TestReadsOfMutants: the same of the library's own controls, with documents of
// the recorded estate in which things were dropped, replaced, repeated and added.
func TestReadsOfMutants(t *testing.T) {
	t.Parallel()
	all, seen := recordedEstate(t), map[string]int{}
	j := judgement(t, all...)
	for _, r := range all {
		kind := r.Source + "/" + r.Type
		if seen[kind]++; seen[kind] > 2 || !judged(embeddedEngine(t).Catalog(), r) {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			d := seeded(uint64(len(r.ID)))
			for n := range 4 {
				m := clone(t, r)
				for range n {
					m.Data = d.mutate(m.Data)
				}
				unread(t, embeddedEngine(t), j, m, d.changes(t, m, 30))
			}
		})
	}
}
