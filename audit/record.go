package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// MaxLine bounds one resource document, in bytes: hostile input must not fill memory.
const MaxLine = 64 << 20

// Record is a recorded run with all that it rests on, as sinks and readers see it.
type Record struct {
	Run     Run
	Catalog Catalog // of the library of the run
	Vault   Vault
	History History   // nil where there is none
	Repairs RepairsOf // nil where there are none
	Owed    []string  // sinks that the run is owed to, for Ledger.Complete
}

// Documents reads the lines of a snapshot, in order of id. A line is valid until the next call.
func Documents(ctx context.Context, v Vault, digest string, yield func(line []byte) error) error {
	r, err := v.Open(ctx, digest)
	if err != nil {
		return err
	}
	return errors.Join(Lines(ctx, r, yield), r.Close())
}

// Lines calls yield for each line of NDJSON up to MaxLine bytes.
func Lines(ctx context.Context, r io.Reader, yield func(line []byte) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), MaxLine)
	lines := 0
	for ; sc.Scan(); lines++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := yield(sc.Bytes()); err != nil {
			return err
		}
	}
	if errors.Is(sc.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d is longer than %d MiB, the most that a line may have", lines+1, MaxLine>>20)
	}
	return sc.Err()
}

// Verdicts reads everything the run decided, passes included, in order of
// origin and id. Passes are not stored: they are what the segment does not name.
func (r Record) Verdicts(ctx context.Context, yield func(Verdict) error) error {
	controls, err := r.Catalog.Select(r.Run.Scope)
	if err != nil {
		return err
	}
	seg, err := openSegment(ctx, r.Vault, r.Run.Verdicts)
	if err != nil {
		return err
	}
	defer seg.close()
	j := joining{run: r.Run, seg: seg, fill: r.completing(), controls: controls, applying: map[string][]Control{}}
	for _, s := range r.Run.Snapshots {
		err := Documents(ctx, r.Vault, s.Digest, func(line []byte) error {
			v, judged, err := j.verdict(line)
			if err != nil || !judged {
				return err
			}
			return yield(v)
		})
		if err != nil {
			return fmt.Errorf("snapshot of %s: %w", s.Origin, err)
		}
	}
	if v, ok := seg.peek(); ok {
		return fmt.Errorf("verdict segment names %q, which no snapshot holds in that order", v.Resource)
	}
	return nil
}

// joining joins documents with what the segment says of them.
type joining struct {
	run      Run
	seg      *segment
	fill     *completing
	controls []Control
	applying map[string][]Control // by source/type
}

func (j *joining) verdict(line []byte) (Verdict, bool, error) {
	h, err := ParseHead(line)
	if err != nil || !j.run.Scope.Judges(h.Origin, h.ID) {
		return Verdict{}, false, err
	}
	v := Verdict{Resource: h.ID, Name: h.Name, Type: h.Type, Origin: h.Origin, Owner: Owner(h.Tags), InputDigest: Digest(line), Tags: h.Tags}
	var stored []Decision
	if next, ok := j.seg.peek(); ok && next.Resource == h.ID && next.Origin == h.Origin {
		stored = next.Decisions
		j.seg.next()
	}
	controls := j.apply(h.Source, h.Type)
	if len(controls) > 0 {
		v.Decisions = make([]Decision, len(controls))
	}
	for i, c := range controls {
		d := &v.Decisions[i]
		*d = Decision{Control: c.ID, Outcome: Pass}
		for _, s := range stored {
			if s.Control == c.ID {
				*d = s
				d.ID = "" // it is this run's, whatever was stored
			}
		}
		if err := j.fill.complete(&v, d); err != nil {
			return Verdict{}, false, err
		}
	}
	return v, len(v.Decisions) > 0, j.seg.err
}

// apply gives the controls that judge a type of a source.
func (j *joining) apply(source, typ string) []Control {
	key := source + "/" + typ
	list, ok := j.applying[key]
	if !ok {
		for _, c := range j.controls {
			if c.AppliesToType(source, typ) {
				list = append(list, c)
			}
		}
		j.applying[key] = list
	}
	return list
}

// Stored reads only what the segment holds: verdicts with a decision that is
// not a plain pass. It needs no snapshot; IDs are complete.
func (r Record) Stored(ctx context.Context, yield func(Verdict) error) error {
	fill := r.completing()
	return r.stored(ctx, func(v Verdict) error {
		for i := range v.Decisions {
			if err := fill.complete(&v, &v.Decisions[i]); err != nil {
				return err
			}
		}
		return yield(v)
	})
}

// StoredSince is Stored, but for the IDs of decisions, which take half of its
// time, and for what an earlier segment says to the byte: of each block that
// that one has too, same is told, in its place among what is read. Where same
// is not satisfied, or there is no such segment, or a vault without blocks, all is read.
func (r Record) StoredSince(ctx context.Context, earlier string, same func(Block) (ok bool, err error), yield func(Verdict) error) error {
	fill := r.completing()
	each := func(v Verdict) error {
		for i := range v.Decisions {
			if d := &v.Decisions[i]; d.ID == "" {
				if _, err := fill.control(&v, d); err != nil {
					return err
				}
			}
		}
		return yield(v)
	}
	blocks, known := r.blocksSince(ctx, earlier)
	if len(known) == 0 {
		return r.stored(ctx, each)
	}
	var buf []byte
	for _, b := range blocks {
		if known[b.Digest] {
			if ok, err := same(b); ok || err != nil {
				if err != nil {
					return err
				}
				continue
			}
		}
		var err error
		if buf, err = b.Read(ctx, buf[:0]); err != nil {
			return err
		}
		if err := EachLine(buf, func(line []byte) error { return storedLine(line, each) }); err != nil {
			return err
		}
	}
	return nil
}

// blocksSince gives the blocks of the segment, and the digests of those of an earlier one.
func (r Record) blocksSince(ctx context.Context, earlier string) (blocks []Block, known map[string]bool) {
	v, ok := r.Vault.(BlockVault)
	if !ok || earlier == "" || r.Run.Verdicts == "" {
		return nil, nil
	}
	old, err := v.Blocks(ctx, earlier)
	if err != nil {
		return nil, nil // what cannot be compared is read
	}
	if blocks, err = v.Blocks(ctx, r.Run.Verdicts); err != nil {
		return nil, nil // to be told by reading it
	}
	known = make(map[string]bool, len(old))
	for _, b := range old {
		known[b.Digest] = true
	}
	return blocks, known
}

func (r Record) stored(ctx context.Context, yield func(Verdict) error) error {
	if r.Run.Verdicts == "" {
		return nil
	}
	rc, err := r.Vault.Open(ctx, r.Run.Verdicts)
	if err != nil {
		return err
	}
	err = Lines(ctx, rc, func(line []byte) error { return storedLine(line, yield) })
	return errors.Join(err, rc.Close())
}

func storedLine(line []byte, yield func(Verdict) error) error {
	v, err := parseVerdict(line)
	if err != nil {
		return fmt.Errorf("verdict segment: %w", err)
	}
	return yield(v)
}
