package audit

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sort"
	"strings"
)

// Carry lets a Decider take over what an earlier run decided, where nothing that
// it rests on has changed: outcomes, never IDs, which are always this run's.
type Carry struct {
	From Run // complete, by the same library, parameters, engine and version of OPA
	// Took is called before the verdicts of a block are emitted that holds
	// documents whose outcomes were taken over, from the goroutine that emits.
	Took func(Carried)
	// Lost is told why nothing can be taken over after all: everything is evaluated then.
	Lost func(error)
}

// Carried is a block of a snapshot of which not every document was evaluated in
// this run. The verdicts on those that were not are emitted with Verdict.Carried
// set, and only where they hold more than plain passes.
type Carried struct {
	Origin string
	Block  Block
	Types  []TypeCount // how many documents of each type were not evaluated; sorted
}

// Evaluated says in which run what was taken over was evaluated.
type Evaluated struct {
	Run       string `json:"run"`
	Resources int64  `json:"resources"`
}

// CarriedBlock says of a block of a snapshot in which run its documents were
// evaluated, those aside on which a decision could not be made.
type CarriedBlock struct {
	Origin    string `json:"origin"`
	Block     string `json:"block"` // SHA-256 of its lines
	First     string `json:"first"` // id of the first document
	Last      string `json:"last"`
	Resources int64  `json:"resources"`
	Run       string `json:"run"`
}

// Earlier is what an earlier run stored of resources. It may be shared by goroutines.
type Earlier struct {
	origins map[string]int // in the order of the run's snapshots
	blocks  []Block        // of the verdict segment
	first   []position     // where each block begins
}

// position in a segment: by origin, in the order of the snapshots, and id.
type position struct {
	origin int
	id     string
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.origin, q.origin), cmp.Compare(p.id, q.id))
}

// NewEarlier opens what a run stored, and reads all of it once: the blocks of an
// object are only as good as the object.
func NewEarlier(ctx context.Context, v Vault, run Run) (*Earlier, error) {
	e := &Earlier{origins: map[string]int{}}
	for i, s := range run.Snapshots {
		e.origins[s.Origin] = i
	}
	if run.Verdicts == "" {
		return e, nil
	}
	r, err := v.Open(ctx, run.Verdicts)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if e.blocks, err = Blocks(ctx, v, run.Verdicts); err != nil {
		return nil, err
	}
	for _, b := range e.blocks {
		e.first = append(e.first, e.position(b.FirstID))
	}
	return e, nil
}

// position finds the origin that an id belongs to: the longest that it begins with.
func (e *Earlier) position(id string) position {
	p := position{-1, id}
	for i := range len(id) {
		if id[i] == '/' {
			if origin, ok := e.origins[id[:i]]; ok {
				p.origin = origin
			}
		}
	}
	return p
}

// EarlierReader reads what an earlier run stored, for one goroutine. What is asked
// for is best asked for in order: many blocks of a snapshot have their verdicts in
// one block of the segment, which is read once.
type EarlierReader struct {
	*Earlier
	at    int // the block that was read last, -1 for none
	buf   []byte
	lines []idLine // its lines; they share buf
}

// Reader makes one.
func (e *Earlier) Reader() *EarlierReader { return &EarlierReader{Earlier: e, at: -1} }

// Verdicts are those stored on resources of an origin with ids from first to
// last, sorted by id: they hold what is not a plain pass.
func (r *EarlierReader) Verdicts(ctx context.Context, origin, first, last string) ([]Verdict, error) {
	at, ok := r.origins[origin]
	if !ok {
		return nil, nil
	}
	from, to, prefix := position{at, first}, position{at, last}, origin+"/"
	i := max(sort.Search(len(r.first), func(i int) bool { return r.first[i].compare(from) > 0 })-1, 0)
	var out []Verdict
	for ; i < len(r.blocks) && r.first[i].compare(to) <= 0; i++ {
		if err := r.read(ctx, i); err != nil {
			return nil, err
		}
		for _, l := range r.lines {
			if l.id < first || l.id > last || !strings.HasPrefix(l.id, prefix) {
				continue
			}
			v, err := parseVerdict(l.line)
			if err != nil {
				return nil, err
			}
			if v.Origin == origin {
				out = append(out, v)
			}
		}
	}
	return out, nil
}

// read reads a block of the segment.
func (r *EarlierReader) read(ctx context.Context, i int) (err error) {
	if r.at == i {
		return nil
	}
	r.at, r.lines = -1, r.lines[:0]
	if r.buf, err = r.blocks[i].Read(ctx, r.buf[:0]); err != nil {
		return err
	}
	err = EachLine(r.buf, func(line []byte) error {
		id, _ := names(line)
		r.lines = append(r.lines, idLine{id: id, line: line})
		return nil
	})
	r.at = i
	return err
}

// carry decides whether outcomes of the last complete run may be taken over, and
// prepares to note which were.
func (a *Auditor) carry(ctx context.Context, run *Run, last Run, o Order, t *tally) *Carry {
	same := last.ID != "" && last.Status == Complete && last.Engine == run.Engine && run.Engine != "" &&
		last.Revision == run.Revision && last.ConfigDigest == run.ConfigDigest
	if o.Full || o.Overlay || !same || !o.Scope.Whole() || run.Simulated {
		return nil
	}
	lost := func(err error) {
		a.Log.WarnContext(ctx, "nothing is taken over from the last run, and everything evaluated", "run", last.ID, "error", err.Error())
	}
	t.before = map[string]string{}
	err := last.CarriedBlocks(ctx, a.Vault, func(b CarriedBlock) error {
		t.before[b.Origin+" "+b.Block] = b.Run
		return nil
	})
	if err != nil {
		lost(err)
		return nil
	}
	return &Carry{From: last, Took: func(c Carried) { t.took(last.ID, c) }, Lost: lost}
}

// took counts documents that were not evaluated: what is not emitted of them passed.
func (t *tally) took(last string, c Carried) {
	from := cmp.Or(t.before[c.Origin+" "+c.Block.Digest], last)
	b := CarriedBlock{Origin: c.Origin, Block: c.Block.Digest, First: c.Block.FirstID, Last: c.Block.LastID, Run: from}
	for _, n := range c.Types {
		b.Resources += n.Listed
		for _, ctl := range t.catalog.Controls {
			if ctl.AppliesToType(SourceOf(c.Origin), n.Type) {
				count := countOf(t.counts, countKey{ctl.ID, n.Type, c.Origin})
				count.Listed += n.Listed
				count.Pass += n.Listed
			}
		}
	}
	t.carried = append(t.carried, b)
	t.progress(b.Resources)
}

// evaluated sums up in which runs what was taken over was evaluated.
func evaluated(list []CarriedBlock) []Evaluated {
	var out []Evaluated
	for _, b := range list {
		i := slices.IndexFunc(out, func(e Evaluated) bool { return e.Run == b.Run })
		if i < 0 {
			i = len(out)
			out = append(out, Evaluated{Run: b.Run})
		}
		out[i].Resources += b.Resources
	}
	slices.SortFunc(out, func(x, y Evaluated) int { return cmp.Compare(x.Run, y.Run) })
	return out
}

// CarriedBlocks reads which blocks of the run's snapshots were not evaluated in it.
func (r Run) CarriedBlocks(ctx context.Context, v Vault, yield func(CarriedBlock) error) error {
	if r.Carried == "" {
		return nil
	}
	return Documents(ctx, v, r.Carried, func(line []byte) error {
		var b CarriedBlock
		if err := decodeStrict(line, &b); err != nil {
			return err
		}
		return yield(b)
	})
}
