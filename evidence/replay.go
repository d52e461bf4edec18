package evidence

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/crosscheck-dev/crosscheck/audit"
)

//go:embed texts/replay.sh
var replayScript []byte

// replay writes the sampled decisions so that stock opa can make them again.
func (a *assembly) replay(ctx context.Context) error {
	if err := a.out.write("replay/replay.sh", shellType, replayScript); err != nil {
		return err
	}
	if a.cfg.Decider == nil {
		return nil
	}
	chosen := a.sample.choose()
	made, err := a.lookedUp(ctx, chosen)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if len(chosen) == 0 {
		return nil
	}
	if err := a.out.write("replay/SELECTION.txt", textType, selection(chosen)); err != nil {
		return err
	}
	documents, err := a.chosenDocuments(ctx, chosen)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	for i, l := range chosen {
		c := replayCase{dir: fmt.Sprintf("replay/%02d/", i+1), line: l, made: made[l.ID], document: documents[l.Resource]}
		if err := a.replayCase(c); err != nil {
			return fmt.Errorf("replay of decision %s: %w", l.ID, err)
		}
	}
	return nil
}

// replayCase is one decision, and what it rests on.
type replayCase struct {
	dir      string
	line     Line
	made     audit.Decision
	document []byte
}

func (a *assembly) replayCase(c replayCase) error {
	ctl, ok := a.rec.Catalog.Control(c.line.Control)
	if !ok {
		return fmt.Errorf("the catalogue has no control %s", c.line.Control)
	}
	identity, err := c.line.identity()
	if err != nil {
		return err
	}
	switch {
	case audit.Digest(identity) != c.line.ID:
		return errors.New("its ID is not the digest of what it rests on")
	case c.document == nil || audit.Digest(c.document) != c.line.InputDigest:
		return fmt.Errorf("no snapshot holds the document of %s that was judged", c.line.Resource)
	}
	data := map[string]any{
		"estate": estateOf(c.made.Slice), "parameters": parametersOf(a.rec.Catalog), "run": map[string]any{"as_of": c.line.AsOf},
	}
	if c.made.Slice != nil {
		slice, err := audit.Canonical(c.made.Slice)
		if err != nil {
			return err
		}
		if audit.Digest(slice) != c.line.SliceDigest {
			return errors.New("its slice has another digest than was recorded")
		}
		if err := a.out.write(c.dir+"slice.json", jsonType, slice); err != nil {
			return err
		}
	}
	violations := []map[string]any{}
	for _, v := range c.made.Violations {
		violations = append(violations, map[string]any{"message": v.Message, "observed": v.Observed, "expected": v.Expected, "path": v.Path})
	}
	if err := a.out.writeJSON(c.dir+"data.json", data); err != nil {
		return err
	}
	err = a.out.writeJSON(c.dir+"expected.json", map[string]any{
		"control": c.line.Control, "outcome": c.line.Outcome, "package": ctl.Package, "reasons": c.line.Reasons, "violations": violations,
	})
	if err != nil {
		return err
	}
	if err := a.out.write(c.dir+"id.json", jsonType, identity); err != nil {
		return err
	}
	return a.out.write(c.dir+"document.json", jsonType, c.document)
}

// lookedUp has the chosen decisions made again and writes every slice. Slices
// are not on record, only their digests: one pass over the run gives both, and
// a verifier, who has made that pass, asks for the chosen ones alone.
func (a *assembly) lookedUp(ctx context.Context, chosen []Line) (made map[string]audit.Decision, err error) {
	scope, found := a.rec.Run.Scope, a.gathered
	if found != nil {
		scope = narrowed(scope, chosen)
	} else {
		if found, err = gather(a.out.dir); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, found.discard()) }()
	}
	if len(chosen) > 0 {
		if made, err = decideAgain(ctx, a.cfg.Decider, a.rec, scope, chosen, found); err != nil {
			return nil, err
		}
	}
	for _, l := range chosen {
		if m := made[l.ID]; m.ID != l.ID || m.Outcome != l.Outcome {
			return nil, fmt.Errorf("decision %s: judged again it came to %s, not %s", l.ID, m.Outcome, l.Outcome)
		}
	}
	_, err = a.out.copy(slicesFile, ndjsonType, func(w io.Writer) error { return found.write(w, a.sliced) })
	return made, err
}

// narrowed is a scope of some decisions alone.
func narrowed(scope audit.Scope, chosen []Line) audit.Scope {
	scope.Controls, scope.Resources = nil, nil
	for _, l := range chosen {
		scope.Controls = append(scope.Controls, l.Control)
		scope.Resources = append(scope.Resources, l.Resource)
	}
	for _, list := range []*[]string{&scope.Controls, &scope.Resources} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return scope
}

// decideAgain asks a decider for some decisions of a run, by their IDs, and keeps what all looked up.
func decideAgain(ctx context.Context, d audit.Decider, rec audit.Record, scope audit.Scope, chosen []Line, found *gathered) (map[string]audit.Decision, error) {
	if got := d.Catalog().Revision; got != rec.Run.Revision {
		return nil, fmt.Errorf("the decider has library revision %s, the run %s", got, rec.Run.Revision)
	}
	want := map[string]bool{}
	for _, l := range chosen {
		want[l.ID] = true
	}
	out := map[string]audit.Decision{}
	j := audit.Judgement{AsOf: rec.Run.AsOf, Scope: scope, Snapshots: rec.Run.Snapshots, Vault: rec.Vault}
	err := d.Decide(ctx, j, func(v audit.Verdict) error {
		for _, made := range v.Decisions {
			ctl, ok := d.Catalog().Control(made.Control)
			if !ok {
				return fmt.Errorf("the decider decided by control %q, which it does not have", made.Control)
			}
			made.ID = audit.DecisionID(ctl, v.Resource, v.InputDigest, made.SliceDigest, rec.Run.AsOf)
			if want[made.ID] {
				out[made.ID] = made
			}
			if err := found.add(made); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// chosenDocuments reads the lines of the resources that were chosen.
func (a *assembly) chosenDocuments(ctx context.Context, chosen []Line) (map[string][]byte, error) {
	out := map[string][]byte{}
	origins := map[string]bool{}
	for _, l := range chosen {
		out[l.Resource] = nil
		origins[l.Origin] = true
	}
	for _, s := range a.rec.Run.Snapshots {
		if !origins[s.Origin] {
			continue
		}
		err := audit.Documents(ctx, a.rec.Vault, s.Digest, func(line []byte) error {
			h, err := audit.ParseHead(line)
			if err != nil {
				return err
			}
			if _, ok := out[h.ID]; ok {
				out[h.ID] = slices.Clone(line)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// estateOf shapes a slice as controls read it: data.estate.<source>.<kind>[<key>].
func estateOf(s *audit.Slice) map[string]any {
	estate := map[string]any{}
	if s == nil {
		return estate
	}
	for _, l := range s.Lookups {
		kinds, _ := estate[l.Source].(map[string]any)
		if kinds == nil {
			kinds = map[string]any{}
			estate[l.Source] = kinds
		}
		keys, _ := kinds[l.Kind].(map[string]any)
		if keys == nil {
			keys = map[string]any{}
			kinds[l.Kind] = keys
		}
		if l.Hits != nil {
			keys[l.Key] = l.Hits
		}
	}
	return estate
}
