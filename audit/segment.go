package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// completing fills in what appendStored leaves out.
type completing struct {
	controls map[string]Control
	at       string // Stamp of as_of
	buf      []byte
}

func (r Record) completing() *completing {
	c := &completing{controls: make(map[string]Control, len(r.Catalog.Controls)), at: Stamp(r.Run.AsOf)}
	for _, ctl := range r.Catalog.Controls {
		c.controls[ctl.ID] = ctl
	}
	return c
}

// complete gives a decision its control's digest and its ID. What was stored
// with an ID, by an earlier version, keeps it.
func (c *completing) complete(v *Verdict, d *Decision) error {
	if d.ID != "" {
		return nil
	}
	ctl, err := c.control(v, d)
	if err != nil {
		return err
	}
	c.buf = appendIdentity(c.buf[:0], ctl, v.Resource, v.InputDigest, d.SliceDigest, c.at)
	d.ID = Digest(c.buf)
	return nil
}

// control gives a decision its control's digest.
func (c *completing) control(v *Verdict, d *Decision) (Control, error) {
	ctl, ok := c.controls[d.Control]
	if !ok {
		return Control{}, fmt.Errorf("verdict segment: control %q of %q is not in the library of the run", d.Control, v.Resource)
	}
	d.ControlDigest = ctl.Digest
	return ctl, nil
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

// parseVerdict reads a line of a segment. What a violation observed and
// expected is json.RawMessage: it is shown as it was found.
func parseVerdict(line []byte) (Verdict, error) {
	if v, ok := fastVerdict(line); ok {
		return v, nil
	}
	return slowVerdict(line)
}

func slowVerdict(line []byte) (Verdict, error) {
	type violation struct {
		Violation
		Observed json.RawMessage `json:"observed"`
		Expected json.RawMessage `json:"expected"`
	}
	type decision struct {
		Decision
		Violations []violation `json:"violations"`
	}
	var raw struct {
		Verdict
		Decisions []decision `json:"decisions"`
	}
	if err := json.Unmarshal(line, &raw); err != nil {
		return Verdict{}, err
	}
	v := raw.Verdict
	if raw.Decisions != nil {
		v.Decisions = make([]Decision, len(raw.Decisions))
	}
	for i, d := range raw.Decisions {
		v.Decisions[i] = d.Decision
		for _, x := range d.Violations {
			x.Violation.Observed, x.Violation.Expected = orNull(x.Observed), orNull(x.Expected)
			v.Decisions[i].Violations = append(v.Decisions[i].Violations, x.Violation)
		}
	}
	return v, nil
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}
