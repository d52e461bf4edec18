package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
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
	for sc.Scan() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := yield(sc.Bytes()); err != nil {
			return err
		}
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
	for _, s := range r.Run.Snapshots {
		err := Documents(ctx, r.Vault, s.Digest, func(line []byte) error {
			v, judged, err := r.verdict(seg, controls, line)
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

// verdict joins a document with what the segment says of it.
func (r Record) verdict(seg *segment, controls []Control, line []byte) (Verdict, bool, error) {
	h, err := ParseHead(line)
	if err != nil || !r.Run.Scope.Judges(h.Origin, h.ID) {
		return Verdict{}, false, err
	}
	v := Verdict{Resource: h.ID, Name: h.Name, Type: h.Type, Origin: h.Origin, Owner: Owner(h.Tags), InputDigest: Digest(line), Tags: h.Tags}
	stored := map[string]Decision{}
	if next, ok := seg.peek(); ok && next.Resource == h.ID && next.Origin == h.Origin {
		for _, d := range next.Decisions {
			stored[d.Control] = d
		}
		seg.next()
	}
	for _, c := range controls {
		if !c.AppliesToType(h.Source, h.Type) {
			continue
		}
		d, ok := stored[c.ID]
		if !ok {
			d = Decision{Control: c.ID, Outcome: Pass}
		}
		d.ControlDigest = c.Digest
		d.ID = DecisionID(c, v.Resource, v.InputDigest, d.SliceDigest, r.Run.AsOf)
		v.Decisions = append(v.Decisions, d)
	}
	return v, len(v.Decisions) > 0, seg.err
}

// Stored reads only what the segment holds: verdicts with a decision that is
// not a plain pass. It needs no snapshot; IDs are complete.
func (r Record) Stored(ctx context.Context, yield func(Verdict) error) error {
	if r.Run.Verdicts == "" {
		return nil
	}
	rc, err := r.Vault.Open(ctx, r.Run.Verdicts)
	if err != nil {
		return err
	}
	err = Lines(ctx, rc, func(line []byte) error {
		v, err := parseVerdict(line)
		if err != nil {
			return fmt.Errorf("verdict segment: %w", err)
		}
		return yield(v)
	})
	return errors.Join(err, rc.Close())
}

// compact drops the decisions that Verdicts can derive. ok is false if nothing is left.
func compact(v Verdict) (Verdict, bool) {
	kept := v
	kept.Decisions = nil
	for _, d := range v.Decisions {
		if d.Outcome != Pass || d.SliceDigest != "" {
			kept.Decisions = append(kept.Decisions, d)
		}
	}
	return kept, len(kept.Decisions) > 0
}

// segment reads a verdict segment one verdict ahead.
type segment struct {
	rc   io.ReadCloser
	sc   *bufio.Scanner
	head Verdict
	ok   bool
	err  error
}

func openSegment(ctx context.Context, v Vault, digest string) (*segment, error) {
	s := &segment{rc: io.NopCloser(bytes.NewReader(nil))}
	if digest != "" {
		rc, err := v.Open(ctx, digest)
		if err != nil {
			return nil, err
		}
		s.rc = rc
	}
	s.sc = bufio.NewScanner(s.rc)
	s.sc.Buffer(make([]byte, 64<<10), MaxLine)
	s.next()
	return s, s.err
}

func (s *segment) peek() (Verdict, bool) { return s.head, s.ok && s.err == nil }

func (s *segment) next() {
	s.head = Verdict{}
	if s.ok = s.sc.Scan(); s.ok {
		s.head, s.err = parseVerdict(s.sc.Bytes())
		return
	}
	s.err = s.sc.Err()
}

func (s *segment) close() { _ = s.rc.Close() }

// parseVerdict keeps numbers as their literal: a violation is shown as it was found.
func parseVerdict(line []byte) (Verdict, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	var v Verdict
	err := dec.Decode(&v)
	return v, err
}
