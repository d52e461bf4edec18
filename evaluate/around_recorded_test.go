package evaluate_test

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// tally counts the decisions that holes touch, those made all the same, and the
// values tried in place of a hole.
type tally struct{ touched, made, tried atomic.Int64 }

func (n *tally) report(t *testing.T, least int64) {
	t.Helper()
	t.Logf("made %d of %d decisions that a hole touches; %d values tried in place of the holes", n.made.Load(), n.touched.Load(), n.tried.Load())
	if n.made.Load() < least {
		t.Errorf("only %d decisions were made around a hole", n.made.Load())
	}
}

// add counts the decisions on a line and returns those made around a hole.
func (n *tally) add(t *testing.T, line []byte, list []audit.Decision) []audit.Decision {
	t.Helper()
	all, applies, err := embeddedEngine(t).Touched(t.Context(), line)
	if err != nil {
		t.Fatal(err)
	}
	var made []audit.Decision
	for _, d := range list {
		if !all[d.Control] || d.Outcome == audit.Excluded && (!applies[d.Control] || d.Reasons[0].Code == "needs_estate") {
			continue
		}
		if n.touched.Add(1); d.Outcome != audit.NotEvaluated {
			made = append(made, d)
		}
	}
	n.made.Add(int64(len(made)))
	return made
}

// punched is a document with a hole, what stood there, and a decision made around it.
type punched struct {
	audit.Resource
	pointer string
	was     any
	made    audit.Decision
}

// hold tries what may have stood at each hole: the decision made around it must stay.
func (n *tally) hold(t *testing.T, j audit.Judgement, list []punched, others []any, times int) {
	t.Helper()
	var lines [][]byte
	var of []punched
	for i, p := range list {
		for _, v := range seeded(uint64(i)).fills(p.was, others, times) {
			c := clone(t, p.Resource)
			delete(c.Gaps, p.pointer)
			c.Redacted = slices.DeleteFunc(c.Redacted, func(r string) bool { return r == p.pointer })
			put(&c, p.pointer, v)
			lines, of = append(lines, line(t, c)), append(of, p)
		}
	}
	n.tried.Add(int64(len(lines)))
	if len(lines) == 0 {
		return
	}
	err := embeddedEngine(t).DecideAmong(t.Context(), j, lines, func(i int, v audit.Verdict) {
		was := of[i].made
		k, _ := slices.BinarySearchFunc(v.Decisions, was.Control, func(d audit.Decision, id string) int { return cmp.Compare(d.Control, id) })
		if now := v.Decisions[k]; said(now) != said(was) {
			t.Errorf("%s is %s around %s, and %s with %.400s", was.Control, said(was), of[i].pointer, said(now), lines[i])
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// aroundDenied holds the decisions made around an answer that is missing.
func (n *tally) aroundDenied(t *testing.T, call answered, docs, changed []audit.Resource, after map[string]audit.Decision) {
	t.Helper()
	var list []punched
	var others []any
	for i, r := range changed {
		if r.Source != call.source || r.Type != call.typ {
			continue
		}
		was := standing(docs[i], call.pointer)
		others = append(others, was)
		var on []audit.Decision
		for _, c := range embeddedEngine(t).Catalog().Controls {
			if d, ok := after[c.ID+" "+r.ID]; ok {
				on = append(on, d)
			}
		}
		for _, d := range n.add(t, line(t, r), on) {
			list = append(list, punched{r, call.pointer, was, d})
		}
	}
	if len(list) == 0 {
		return
	}
	n.hold(t, judgement(t, changed...), list, others, 2)
}

// TestAroundHoles: the same for gaps and tokens at any place of a document, of
// which a few of each type stand for all.
func TestAroundHoles(t *testing.T) {
	t.Parallel()
	all, seen := recordedEstate(t), map[string]int{}
	byKind := map[string][]audit.Resource{}
	for _, d := range all {
		kind := d.Source + "/" + d.Type
		if seen[kind]++; seen[kind] <= 2 && judged(embeddedEngine(t).Catalog(), d) {
			byKind[kind] = append(byKind[kind], d)
		}
	}
	var n tally
	t.Run("holes", func(t *testing.T) {
		t.Parallel()
		for kind, docs := range byKind {
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				n.aroundAny(t, judgement(t, all...), docs)
			})
		}
	})
	t.Cleanup(func() { n.report(t, 100) })
}

// aroundAny puts gaps and tokens into documents, one at a time.
func (n *tally) aroundAny(t *testing.T, j audit.Judgement, docs []audit.Resource) {
	t.Helper()
	var list []punched
	var lines [][]byte
	for _, d := range docs {
		for i, p := range thin(places(d.Data, "/data", nil), 40) {
			was, c := standing(d, p), clone(t, d)
			switch i % 3 {
			case 0:
				c.Redacted = []string{p}
				put(&c, p, "redacted:00112233445566778899aabbccddeeff")
			case 1:
				put(&c, p, absent{})
				c.Gap(p, audit.AccessDenied, "x:Get")
			default:
				c.Gap(p, audit.AccessDenied, "x:Get")
			}
			list, lines = append(list, punched{c, p, was, audit.Decision{}}), append(lines, line(t, c))
		}
	}
	var made []punched
	err := embeddedEngine(t).DecideAmong(t.Context(), j, lines, func(i int, v audit.Verdict) {
		for _, d := range n.add(t, lines[i], v.Decisions) {
			made = append(made, punched{list[i].Resource, list[i].pointer, list[i].was, d})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	n.hold(t, j, made, nil, 6)
}

// places are the pointers of all that stands in a document below its root.
func places(v any, at string, out []string) []string {
	switch x := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(x)) {
			p := at + "/" + audit.EscapePointer(k)
			out = places(x[k], p, append(out, p))
		}
	case []any:
		for i := range x {
			p := at + "/" + strconv.Itoa(i)
			out = places(x[i], p, append(out, p))
		}
	}
	return out
}

func line(t testing.TB, r audit.Resource) []byte {
	t.Helper()
	b, err := r.Line()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
