package audit

import (
	"context"
	"encoding/json"
)

// SpillAll writes resources through a spill of a few bytes, so that every path of the merge runs.
func SpillAll(ctx context.Context, dir string, limit int, v Vault, origin string, resources []Resource) (digest string, types map[string]int64, duplicates []string, err error) {
	s := newSpill(ctx, dir, origin, v, "")
	defer s.discard()
	s.limit = limit
	for _, r := range resources {
		if err := s.Write(r); err != nil {
			return "", nil, nil, err
		}
	}
	m, err := s.commit(ctx)
	return m.digest, m.types, m.duplicates, err
}

// ParseVerdict reads a line of a segment both ways; fast is nil where only encoding/json can.
func ParseVerdict(line []byte) (fast *Verdict, slow Verdict, err error) {
	if v, ok := fastVerdict(line); ok {
		fast = &v
	}
	slow, err = slowVerdict(line)
	return fast, slow, err
}

// AppendStored renders a line of a segment.
func AppendStored(b []byte, v Verdict) ([]byte, bool, error) { return appendStored(b, v) }

// storedVerdict is a line of a segment, for encoding/json to render.
type storedVerdict struct {
	Verdict
	Decisions []storedDecision `json:"decisions"`
}

type storedDecision struct {
	Decision
	ID            string `json:"id,omitempty"`
	ControlDigest string `json:"control_digest,omitempty"`
}

// StoreVerdict writes a line of a segment by encoding/json; ok is false where none is written.
func StoreVerdict(enc *json.Encoder, v Verdict) (ok bool, err error) {
	kept := storedVerdict{Verdict: v}
	for _, d := range v.Decisions {
		if d.Outcome != Pass || d.SliceDigest != "" {
			kept.Decisions = append(kept.Decisions, storedDecision{Decision: d})
		}
	}
	if len(kept.Decisions) == 0 {
		return false, nil
	}
	return true, enc.Encode(kept)
}

// Feed gives lines as a snapshot's are given to the vault, and then fails with why, if that is not nil.
func Feed(lines []Resource, why error) LineSource {
	f := newFeed()
	go func() {
		for _, r := range lines {
			line, err := r.Line()
			if err == nil {
				err = f.write(idLine{r.ID, r.Type, line})
			}
			if err != nil {
				_ = f.end(err)
				return
			}
		}
		_ = f.end(why)
	}()
	return f
}
