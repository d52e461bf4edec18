package evaluate

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// DisagreementError says that the engine and OPA's own evaluator do not agree.
// One is enough: nothing that the run decided counts as evidence.
type DisagreementError struct {
	Control, Resource string
	Engine, OPA       string // what each said
}

func (e *DisagreementError) Error() string {
	return fmt.Sprintf("control %s on %s: the engine and OPA's own evaluator differ, so nothing of this run is evidence; please report it, and use --engine opa meanwhile\n  engine: %s\n  opa:    %s",
		e.Control, e.Resource, e.Engine, e.OPA)
}

// compare has OPA answer a sample too, and wants the same to the byte.
func (w *worker) compare(ctx context.Context, p *program, doc *document, answers []answer) (made int64, err error) {
	chosen := bits64(doc.digest)
	for i := range p.parts {
		pt, ours := &p.parts[i], &answers[i]
		if ours.limit || !w.sample.takes(chosen, pt.chosen) {
			continue
		}
		theirs, err := w.lib.stock.control(ctx, w.store, w.estate, doc, pt)
		if err != nil {
			return made, fmt.Errorf("asking OPA too: %w", err)
		}
		if theirs.limit { // its steps are others
			continue
		}
		made++
		if a, b := ours.text(pt), theirs.text(pt); a != b {
			return made, &DisagreementError{Control: pt.ID, Resource: doc.id, Engine: a, OPA: b}
		}
		if k, ok := missing(ours.view, theirs.view); ok {
			return made, &DisagreementError{Control: pt.ID, Resource: doc.id, Engine: "does not look up " + k, OPA: "looks it up"}
		}
	}
	return made, nil
}

// missing names a look-up of theirs that is not among ours.
func missing(ours, theirs *view) (string, bool) {
	if theirs == nil {
		return "", false
	}
	for _, k := range theirs.lookups.sorted() {
		if _, ok := ours.lookups.get(k.lookupKey); !ok {
			return k.source + "." + k.kind + "[" + k.key + "]", true
		}
	}
	return "", false
}

// text is the whole answer, the same for equal ones. Of an error it says only
// that there is one: of several, which comes first is nobody's promise.
func (a *answer) text(pt *part) string {
	if a.err != nil {
		return "error"
	}
	list := make([]string, len(a.violations))
	for i, v := range a.violations {
		list[i] = string(v.raw)
	}
	slices.Sort(list)
	return fmt.Sprintf("violations [%s], applies %t, undefined %v", strings.Join(list, ","), a.applies || !pt.applies, a.undefined)
}

// sampling chooses the decisions that the referee makes too.
type sampling struct{ below uint64 }

// The share of decisions that the referee makes too, and how many at least.
const (
	sampleOneIn   = 1000
	sampleAtLeast = 100
)

// newSampling takes one in a thousand of the decisions to be made. Twice the
// least number is aimed at, since the choice is by digest: where few are made,
// all are made twice.
func newSampling(controls []audit.Control, snapshots []audit.Snapshot) sampling {
	total := uint64(0)
	for _, s := range snapshots {
		source := audit.SourceOf(s.Origin)
		for _, t := range s.Documents {
			for _, c := range controls {
				if c.AppliesToType(source, t.Type) {
					total += uint64(max(t.Listed, 0))
				}
			}
		}
	}
	in := min(total/(2*sampleAtLeast), sampleOneIn)
	if in <= 1 {
		return everything
	}
	return sampling{math.MaxUint64 / in}
}

var everything = sampling{math.MaxUint64}

// ofOneDocument decisions are chosen together, rather than as many documents:
// most of what the referee costs is to read a document once more.
const ofOneDocument = 4

// takes tells whether a decision is in the sample, by the first bits of the
// digests of document and control.
func (s sampling) takes(input, control uint64) bool {
	const mix = 0x9e3779b97f4a7c15
	if s.below > math.MaxUint64/ofOneDocument { // most are
		return s == everything || (input^control)*mix < s.below
	}
	return input*mix < s.below*ofOneDocument && (input^control)*mix < math.MaxUint64/ofOneDocument
}

// bits64 are the first 64 bits of a hex digest.
func bits64(digest string) (n uint64) {
	for i := range min(len(digest), 16) {
		c := digest[i] - '0'
		if c > 9 {
			c -= 'a' - '0' - 10
		}
		n = n<<4 | uint64(c)
	}
	return n
}
