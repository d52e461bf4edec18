package evaluate

import (
	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
)

// hole is a place where a document does not say what the source says: a gap, or
// a token in place of a secret.
type hole struct {
	pointer string
	reason  audit.Reason
	touch   *touching
}

// touching is what a hole bears on, for one kind of resource.
type touching struct {
	gap, token []uint8  // for each part: whether it reads there, and whether to tell if it applies
	declares   []string // estate kinds of which more could be declared
}

// What a part reads of a hole.
const (
	readsAll     = 1
	readsToApply = 2
	readsSecret  = 4 // other than by comparing it
	declaresBy   = 8 // it is no part that reads, but an estate kind
)

// holes are the gaps and tokens of a document with what they bear on, sorted. They
// are good until the next document.
func (w *worker) holes(p *program, doc *document) []hole {
	if len(doc.gaps)+len(doc.tokens) == 0 {
		return nil
	}
	out := w.holed[:0]
	for _, pointer := range doc.gapped() {
		out = append(out, hole{pointer, audit.Reason{Code: "gap", Where: pointer, Detail: doc.gaps[pointer]}, w.touching(p, pointer)})
	}
	for _, pointer := range doc.tokens {
		out = append(out, hole{pointer, audit.Reason{Code: "redacted", Where: pointer, Detail: "replaced by a token"}, w.touching(p, pointer)})
	}
	w.holed = out
	return out
}

// mostTouching bounds what a worker remembers of one kind of resource: names of
// hostile resources must not fill memory.
const mostTouching = 1 << 14

// touching tells what a hole at a pointer bears on. The same few pointers come
// in document after document.
func (w *worker) touching(p *program, pointer string) *touching {
	known := w.touched[p]
	if t := known[pointer]; t != nil {
		return t
	}
	if known == nil || len(known) >= mostTouching {
		known = map[string]*touching{}
		w.touched[p] = known
	}
	t := p.touching(pointer)
	known[pointer] = t
	return t
}

func (p *program) touching(pointer string) *touching {
	t := &touching{gap: make([]uint8, len(p.parts)), token: make([]uint8, len(p.parts))}
	secret := make([]bool, len(p.parts))
	kinds := sortedKeys(p.declares)
	declares := make([]bool, len(kinds))
	p.readers().touched(plan.Steps(pointer), func(r reader) {
		switch i := int(r.who); r.what {
		case readsSecret:
			secret[i] = true
		case declaresBy:
			declares[i] = true
		default:
			t.gap[i] |= r.what
		}
	})
	for i := range secret {
		if secret[i] {
			t.token[i] = t.gap[i]
		}
	}
	for i, k := range kinds {
		if declares[i] {
			t.declares = append(t.declares, k)
		}
	}
	return t
}

// holeReasons are the holes that bear on what control i says, or only on whether
// it applies. A token that is only compared is none.
func holeReasons(holes []hole, i int, reads uint8) []audit.Reason {
	var out []audit.Reason
	for _, h := range holes {
		touch := h.touch.gap
		if h.reason.Code == "redacted" {
			touch = h.touch.token
		}
		if touch[i]&reads != 0 {
			out = append(out, h.reason)
		}
	}
	return out
}

// touched tells whether a hole bears on what control i says.
func touched(holes []hole, i int) bool {
	for _, h := range holes {
		if h.touch.gap[i]&readsAll != 0 { // what bears as a token does as a gap
			return true
		}
	}
	return false
}

// hidden notes the holes of a document under which it could declare more.
func (w *worker) hidden(p *program, doc *document) {
	for _, h := range w.holes(p, doc) {
		detail := h.reason.Detail
		if h.reason.Code == "redacted" {
			if _, gap := doc.gaps[h.pointer]; gap {
				continue
			}
			detail = "redacted"
		}
		for _, k := range h.touch.declares {
			w.conceal(p, doc, k, " "+h.pointer+": "+detail)
		}
	}
}
