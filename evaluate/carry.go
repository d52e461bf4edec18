package evaluate

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
)

// carrying takes over what an earlier run decided of blocks that have not
// changed. It goes by blocks, not by resources: deciding a resource costs less
// than finding out that nothing it rests on has changed, and what is saved is
// reading it at all.
type carrying struct {
	lib       *library
	earlier   *audit.Earlier
	took      func(audit.Carried)
	blocks    map[string]map[string]bool // origin → digests of the blocks it had
	unchanged map[string]bool            // sources of which everything is as it was
	asOf      string
	carriable map[plan.Kind]bool
	checked   bool // something is evaluated all the same
}

// evaluatedAnyway is the share of what could be taken over that is evaluated all
// the same, and must agree. Which it is changes from run to run.
const evaluatedAnyway = 200

// carrying is nil where nothing is to be taken over, or can be: what an earlier run
// stored and cannot be read is evaluated.
func (j *judging) carrying(ctx context.Context) (*carrying, error) {
	c := j.request.Carry
	if c == nil || j.opa {
		return nil, nil
	}
	out, err := j.carryingFrom(ctx, c)
	if err == nil || ctx.Err() != nil {
		return out, ctx.Err()
	}
	c.Lost(err)
	return nil, nil
}

func (j *judging) carryingFrom(ctx context.Context, c *audit.Carry) (*carrying, error) {
	out := &carrying{
		lib: j.lib, took: c.Took, blocks: map[string]map[string]bool{}, unchanged: map[string]bool{},
		asOf: audit.Stamp(j.request.AsOf), carriable: map[plan.Kind]bool{},
	}
	var err error
	if out.earlier, err = audit.NewEarlier(ctx, j.request.Vault, c.From); err != nil {
		return nil, fmt.Errorf("run %s: %w", c.From.ID, err)
	}
	for _, source := range []string{audit.AWS, audit.Kubernetes, audit.Terraform, audit.NetBox} {
		out.unchanged[source] = sameSource(source, c.From.Snapshots, j.request.Snapshots)
	}
	for _, s := range c.From.Snapshots {
		blocks, err := audit.Blocks(ctx, j.request.Vault, s.Digest)
		if err != nil {
			return nil, fmt.Errorf("run %s: snapshot of %s: %w", c.From.ID, s.Origin, err)
		}
		had := make(map[string]bool, len(blocks))
		for _, b := range blocks {
			had[b.Digest] = true
		}
		out.blocks[s.Origin] = had
	}
	return out, nil
}

// sameSource tells whether all that look-ups in a source rest on is the same in two runs.
func sameSource(source string, a, b []audit.Snapshot) bool {
	of := func(list []audit.Snapshot) (out []audit.Snapshot) {
		for _, s := range list {
			if audit.SourceOf(s.Origin) == source {
				out = append(out, s)
			}
		}
		return out
	}
	return slices.EqualFunc(of(a), of(b), func(x, y audit.Snapshot) bool {
		return x.Origin == y.Origin && x.Digest == y.Digest && slices.Equal(x.Gaps, y.Gaps) && slices.Equal(x.Answers, y.Answers)
	})
}

// plan tells of each block whether its outcomes can be taken over, and of those
// which is evaluated all the same. In a run at least one is.
func (c *carrying) plan(ctx context.Context, origin string, blocks []audit.Block) (carry, anyway []bool, err error) {
	carry, anyway = make([]bool, len(blocks)), make([]bool, len(blocks))
	least, at := uint64(math.MaxUint64), -1
	for i, b := range blocks {
		if carry[i], err = c.can(ctx, origin, b); err != nil {
			return nil, nil, err
		}
		if !carry[i] {
			continue
		}
		lot := bits64(audit.Digest([]byte(b.Digest + c.asOf)))
		if anyway[i] = lot < math.MaxUint64/evaluatedAnyway; anyway[i] {
			c.checked = true
		}
		if lot < least && c.judged(origin, b) {
			least, at = lot, i
		}
	}
	if at >= 0 && !c.checked {
		anyway[at], c.checked = true, true
	}
	return carry, anyway, nil
}

// judged tells whether a control applies to a document of a block that can be taken over.
func (c *carrying) judged(origin string, b audit.Block) bool {
	return slices.ContainsFunc(b.Types, func(t audit.TypeCount) bool {
		return slices.ContainsFunc(c.lib.controls, func(ctl audit.Control) bool { return ctl.AppliesToType(audit.SourceOf(origin), t.Type) })
	})
}

// can tells whether a block was there before and nothing else has changed that
// decisions on its documents rest on.
func (c *carrying) can(ctx context.Context, origin string, b audit.Block) (bool, error) {
	if !c.blocks[origin][b.Digest] || b.LastID == "" || len(b.Types) == 0 {
		return false, nil
	}
	for _, t := range b.Types {
		k := plan.Kind{Source: audit.SourceOf(origin), Type: t.Type}
		can, known := c.carriable[k]
		if !known {
			p, err := c.lib.program(ctx, k)
			if err != nil {
				return false, err
			}
			can = !slices.ContainsFunc(p.parts, func(pt part) bool {
				return pt.reads().all.Time || slices.ContainsFunc(pt.estate, func(k string) bool {
					source, _, _ := strings.Cut(k, ".")
					return !c.unchanged[source]
				})
			})
			c.carriable[k] = can
		}
		if !can {
			return false, nil
		}
	}
	return true, nil
}

// judged is what came of one block: in order, verdicts that were made and such
// that were taken over.
type judged struct {
	verdicts []audit.Verdict
	carried  *audit.Carried // nil where everything was evaluated
	rooms    [][]audit.Decision
}

// takeOver gives the verdicts on a block that was there before. Passes, fails and
// exclusions are taken over: a document with a decision that could not be made is
// evaluated.
func (w *worker) takeOver(ctx context.Context, q *queued, read func() ([]byte, error)) (judged, error) {
	stored, err := w.stored(ctx, q.origin, q.Block)
	if err != nil {
		return judged{}, err
	}
	out := judged{carried: &audit.Carried{Origin: q.origin, Block: q.Block, Types: slices.Clone(q.Types)}}
	again := map[string]bool{}
	for i := range stored {
		if v := &stored[i]; slices.ContainsFunc(v.Decisions, func(d audit.Decision) bool { return d.Outcome == audit.NotEvaluated }) {
			again[v.Resource] = true
			less(out.carried.Types, v.Type)
		} else {
			v.Carried = true
		}
	}
	if len(again) == 0 {
		out.verdicts = stored
		return out, nil
	}
	content, err := read()
	if err != nil {
		return judged{}, err
	}
	fresh := map[string]audit.Verdict{}
	w.candidates = w.candidates[:0]
	err = audit.EachLine(content, func(line []byte) error {
		h, err := audit.ParseHead(line)
		if err != nil || !again[h.ID] {
			return err
		}
		v, _, err := w.verdict(ctx, line)
		fresh[h.ID] = v
		return err
	})
	for i, v := range stored {
		if again[v.Resource] {
			stored[i] = fresh[v.Resource]
		}
	}
	if err == nil {
		err = w.referee(ctx, q, stored)
	}
	out.verdicts = stored
	return out, err
}

// stored is what the earlier run stored on the documents of a block, without
// what exceptions said then.
func (w *worker) stored(ctx context.Context, origin string, b audit.Block) (list []audit.Verdict, err error) {
	if w.earlier == nil {
		w.earlier = w.carry.earlier.Reader()
	}
	list, err = w.earlier.Verdicts(ctx, origin, b.FirstID, b.LastID)
	for _, v := range list {
		for i := range v.Decisions {
			d := &v.Decisions[i]
			d.ID, d.ControlDigest, d.Exception = "", "", ""
			for k := range d.Violations {
				d.Violations[k].Exception = ""
			}
		}
	}
	return list, err
}

// less counts one document of a type less.
func less(types []audit.TypeCount, typ string) {
	for i := range types {
		if types[i].Type == typ {
			types[i].Listed--
		}
	}
}

// CarryError says that what could have been taken over from an earlier run is not
// what is decided now, though nothing that it rests on has changed.
type CarryError struct {
	Control, Resource string
	Then, Now         string
}

func (e *CarryError) Error() string {
	return fmt.Sprintf("control %s on %s: the last run decided otherwise, though nothing that the decision rests on has changed, so nothing of this run is evidence; please report it, and use --full meanwhile\n  then: %s\n  now:  %s",
		e.Control, e.Resource, e.Then, e.Now)
}

// agrees holds verdicts that were made against what could have been taken over.
func (w *worker) agrees(ctx context.Context, origin string, b audit.Block, made []audit.Verdict) error {
	stored, err := w.stored(ctx, origin, b)
	if err != nil {
		return err
	}
	then := map[string]audit.Decision{}
	for _, v := range stored {
		for _, d := range v.Decisions {
			then[d.Control+" "+v.Resource] = d
		}
	}
	for _, v := range made {
		for _, d := range v.Decisions {
			key := d.Control + " " + v.Resource
			old, ok := then[key]
			if delete(then, key); !ok {
				old = audit.Decision{Outcome: audit.Pass}
			}
			if x, y := outcome(old), outcome(d); x != y {
				return &CarryError{Control: d.Control, Resource: v.Resource, Then: x, Now: y}
			}
		}
	}
	for key := range then {
		control, resource, _ := strings.Cut(key, " ")
		return &CarryError{Control: control, Resource: resource, Then: outcome(then[key]), Now: "no decision"}
	}
	return nil
}

// outcome is all that is taken over of a decision, as one text.
func outcome(d audit.Decision) string {
	b, err := json.Marshal([]any{d.Outcome, d.Violations, d.Reasons, d.SliceDigest})
	if err != nil {
		return err.Error()
	}
	return string(b)
}
