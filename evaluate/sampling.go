package evaluate

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
)

// The share of decisions that the referee makes too, and how many at least.
const (
	sampleOneIn   = 1000
	sampleAtLeast = 100
)

// ofOneDocument decisions, or a quarter of all on it if that is more, are chosen
// together, rather than as many documents: most of what the referee costs is to read
// a document once more.
const ofOneDocument = 4

func together(decisions int64) int64 { return max(ofOneDocument, decisions/4) }

// mix spreads the bits of a digest: a lot is drawn by them.
const mix = 0x9e3779b97f4a7c15

// sampled tells each block how many of its decisions the referee makes too: one in
// a thousand of what is decided, but of all of it a hundred at least. Twice as many
// are aimed at, for those that exceed a limit cannot be compared. Of how much is
// decided only what is sure counts: not what an earlier run decided, of which the
// odd document is evaluated again, nor what resources are asked for by name.
// The blocks, and in them the documents and controls, are chosen by their digests.
func (j *judging) sampled(ctx context.Context, list []queued) error {
	sizes, sure, documents := make([]int64, len(list)), int64(0), int64(0)
	for i := range list {
		err := ctx.Err()
		if err != nil {
			return err
		}
		if sizes[i], err = j.comparable(ctx, &list[i]); err != nil {
			return err
		}
		if !list[i].takenOver() && len(j.request.Scope.Resources) == 0 {
			sure += sizes[i]
			documents += int64(list[i].Lines)
		}
	}
	shares(list, sizes, sure, together(sure/max(documents, 1)))
	return nil
}

// comparable counts the decisions of a block that the machine is to make: of a block
// whose types are not known its share of those of the snapshot.
func (j *judging) comparable(ctx context.Context, q *queued) (n int64, err error) {
	for _, t := range q.types {
		if t.Listed <= 0 {
			continue
		}
		p, err := j.lib.program(ctx, plan.Kind{Source: audit.SourceOf(q.origin), Type: t.Type})
		if err != nil {
			return 0, err
		}
		if p.policy != nil {
			n += t.Listed * int64(len(p.parts))
		}
	}
	return n * int64(q.Lines) / int64(max(q.of, 1)), nil
}

// shares deals the sample out to blocks of so many decisions, some at a time. What is
// decided for sure, and what may be, are dealt with apart.
func shares(list []queued, sizes []int64, sure, some int64) {
	in := min(sure/(2*sampleAtLeast), sampleOneIn)
	dealt := func(decisions int64) int64 {
		return (decisions + in*some - 1) / (in * some) * some
	}
	var whole, given [2]int64
	for _, i := range byLot(list) {
		if in <= 1 {
			list[i].sample = math.MaxInt64
			continue
		}
		k := 0
		if list[i].takenOver() {
			k = 1
		}
		whole[k] += sizes[i]
		list[i].sample = min(dealt(whole[k])-given[k], sizes[i])
		given[k] += list[i].sample
	}
}

// byLot are the places of blocks in the order of their digests.
func byLot(list []queued) []int {
	lots, order := make([]uint64, len(list)), make([]int, len(list))
	for i := range list {
		lots[i], order[i] = bits64(list[i].Digest), i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(lots[a], lots[b]), cmp.Compare(a, b)) })
	return order
}

// choose takes the decisions of a sample from the documents with the least lots, a
// few of each, and then again from all of them until it is whole.
func choose(list []candidate, sample int64) {
	if sample <= 0 {
		return
	}
	slices.SortFunc(list, func(a, b candidate) int { return cmp.Compare(a.lot, b.lot) })
	for some := true; some && sample > 0; {
		some = false
		for i := range list {
			c := &list[i]
			n := min(int64(c.decisions-c.takes), together(int64(c.decisions)), sample)
			c.takes += int(n)
			sample -= n
			some = some || n > 0
		}
	}
}

// candidate is a document of the block at hand of which the referee can make decisions too.
type candidate struct {
	line      []byte // of the block's bytes
	lot       uint64 // the least are chosen
	decisions int    // that can be compared: the machine made them, within its limits
	takes     int    // how many of them are
}

// taken are the controls whose decisions on a document are compared: those with the
// least lots.
func taken(p *program, answers []answer, c *candidate) []int {
	var out []int
	for i := range answers {
		if answers[i].comparable() {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b int) int { return cmp.Compare((c.lot^p.parts[a].chosen)*mix, (c.lot^p.parts[b].chosen)*mix) })
	return out[:min(c.takes, len(out))]
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
