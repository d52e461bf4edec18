package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// repairsFile is there only where the run bears on a repair.
const repairsFile = "repairs.ndjson"

// maxRepairs bounds what a pack may claim.
const maxRepairs = 200_000

// repaired writes the repairs that the run bears on: violated decision, who
// asked and approved, what ran, the decision that proves it.
func (a *assembly) repaired(ctx context.Context) error {
	if a.rec.Repairs == nil {
		return nil
	}
	list, err := a.rec.Repairs(ctx, a.rec.Run)
	if err != nil {
		return fmt.Errorf("repairs: %w", err)
	}
	if a.repairs = list; len(list) == 0 {
		return nil
	}
	_, err = a.out.copy(repairsFile, ndjsonType, func(w io.Writer) error {
		for _, r := range list {
			if err := writeLine(w, r); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// repairsOf are those of one control.
func (a *assembly) repairsOf(control string) []audit.Repair {
	out := []audit.Repair{}
	for _, r := range a.repairs {
		if r.Control == control {
			out = append(out, r)
		}
	}
	return out
}

// parseRepairs reads repairs.ndjson from a stranger.
func parseRepairs(ctx context.Context, b []byte) ([]audit.Repair, error) {
	var out []audit.Repair
	err := audit.Lines(ctx, bytes.NewReader(b), func(line []byte) error {
		var r audit.Repair
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		err := dec.Decode(&r)
		if err != nil {
			return fmt.Errorf("line %d is no repair", len(out)+1)
		}
		again, err := audit.Canonical(r)
		switch {
		case err != nil:
			return err
		case !bytes.Equal(again, line):
			return fmt.Errorf("line %d is not written as packs write it", len(out)+1)
		case len(out) > 0 && out[len(out)-1].ID >= r.ID:
			return fmt.Errorf("line %d is out of order", len(out)+1)
		case len(out) >= maxRepairs:
			return fmt.Errorf("more than %d repairs", maxRepairs)
		}
		out = append(out, r)
		return nil
	})
	return out, err
}

// repairs checks that what repairs.ndjson says of decisions of this run is what
// decisions.ndjson says of them. Who approved and what ran is the word of whoever
// signed: no decision shows it.
func (v *verification) repairs(ctx context.Context) error {
	if _, ok := v.manifest.Find(repairsFile); !ok {
		return nil
	}
	b, err := readSmall(v.src, repairsFile, maxSmall)
	if err == nil {
		v.repaired, err = parseRepairs(ctx, b)
	}
	if err != nil {
		v.r.problem(repairsFile, "%v", err)
		return nil
	}
	wanted := map[string][]claim{}
	for _, r := range v.repaired {
		for _, c := range claimsOf(r, v.doc.Run.ID) {
			wanted[c.decision] = append(wanted[c.decision], c)
		}
		if r.State == audit.RepairVerified && (r.Verified == nil || r.Verified.Outcome != audit.Pass && r.Verified.Decision != "") {
			v.r.problem(repairsFile, "repair %s calls itself verified, but no decision that passed is named", clip(r.ID))
		}
		if r.State == audit.RepairSettled && (r.Settled == nil || r.Settled.Run == "" || r.Settled.By == "") {
			v.r.problem(repairsFile, "repair %s calls itself settled, but nobody who did it, or no re-audit, is named", clip(r.ID))
		}
	}
	if err := v.compareClaims(ctx, wanted); err != nil {
		v.r.problem(decisionsFile, "%v", err)
		return nil
	}
	for _, id := range sortedKeys(wanted) {
		v.r.problem(repairsFile, "repair %s names decision %s of this run, which the pack does not hold", clip(wanted[id][0].repair.ID), clip(id))
	}
	v.r.checked("%d %s: the decisions of this run that they name are what they say; who approved them and what ran is the ledger's word",
		len(v.repaired), plural(int64(len(v.repaired)), "repair"))
	return nil
}

// claim is what a repair says of a decision of the run.
type claim struct {
	repair   audit.Repair
	decision string
	outcome  audit.Outcome
}

func claimsOf(r audit.Repair, run string) []claim {
	var out []claim
	if r.Run == run {
		out = append(out, claim{r, r.Decision, audit.Fail})
	}
	for _, s := range []*audit.RepairStep{r.Acted, r.Verified, r.Undone, r.Settled} {
		if s != nil && s.Run == run && s.Decision != "" {
			out = append(out, claim{r, s.Decision, s.Outcome})
		}
	}
	return out
}

// compareClaims takes away those that decisions.ndjson bears out or contradicts.
func (v *verification) compareClaims(ctx context.Context, wanted map[string][]claim) error {
	if len(wanted) == 0 {
		return nil
	}
	l, err := v.lines(ctx)
	if err != nil {
		return err
	}
	for {
		line, ok, err := l.next()
		if err != nil || !ok {
			return errors.Join(err, l.file.Close())
		}
		for _, c := range wanted[line.ID] {
			if line.Outcome != c.outcome || line.Control != c.repair.Control || line.Resource != c.repair.Resource {
				v.r.problem(repairsFile, "repair %s says that decision %s is %s of %s on %s; it is %s of %s on %s", clip(c.repair.ID), line.ID,
					clip(string(c.outcome)), clip(c.repair.Control), clip(c.repair.Resource), line.Outcome, line.Control, clip(line.Resource))
			}
		}
		delete(wanted, line.ID)
	}
}

// repairs is the table of a test's repairs.
func (r *report) repairs(t *tested) {
	list := r.a.repairsOf(t.control.ID)
	if len(list) == 0 {
		return
	}
	r.heading("Repairs")
	r.note("What was done about deviations: from the decision that noted one to the decision that was made after it. What ran is shown redacted.")
	var rows [][]cell
	for _, x := range list {
		what := strong(x.Resource, ink).also(text{"noted by decision " + x.Decision[:min(16, len(x.Decision))], plain, muted}, text{"repair " + x.ID[:min(16, len(x.ID))], plain, muted})
		rows = append(rows, []cell{what, words(x.Runbook + " " + x.Version).also(whoOf(x)...), ranOf(x), endedAs(x)})
	}
	r.table([]column{{title: "Resource and deviation", width: 58}, {title: "Runbook and approval", width: 38}, {title: "What ran", width: 46}, {title: "Came to", width: bodyWidth - 142}}, rows, repairsFile)
}

func whoOf(x audit.Repair) []text {
	var out []text
	if s := x.Requested; s != nil {
		out = append(out, text{"asked by " + s.By + " " + audit.Stamp(s.At), plain, ink})
	}
	if s := x.Decided; s != nil {
		verb := "approved"
		if x.State == audit.RepairDenied {
			verb = "denied"
		}
		out = append(out, text{verb + " by " + s.By + " " + audit.Stamp(s.At), plain, ink})
	}
	return out
}

func ranOf(x audit.Repair) cell {
	if x.Acted == nil {
		return words("nothing")
	}
	out := code(strings.TrimSpace(x.Acted.Output))
	if x.Undone != nil {
		out = out.also(text{"undone: " + strings.TrimSpace(x.Undone.Output), mono, ink})
	}
	if s := x.Settled; s != nil {
		out = out.also(text{"settled by " + s.By + " " + audit.Stamp(s.At) + ": " + s.Output, plain, ink})
	}
	return out
}

func endedAs(x audit.Repair) cell {
	colour := amber
	switch {
	case x.State == audit.RepairVerified:
		colour = ink
	case slices.Contains([]audit.RepairState{audit.RepairStuck, audit.RepairFailed, audit.RepairUnknown}, x.State):
		colour = red
	}
	out := strong(strings.ReplaceAll(string(x.State), "_", " "), colour)
	for _, s := range []*audit.RepairStep{x.Verified, x.Undone, x.Settled} {
		switch {
		case s == nil || s.Run == "":
		case s.Decision == "":
			out = out.also(text{"the resource is gone", plain, ink})
		default:
			out = out.also(text{string(s.Outcome) + ", decision " + s.Decision[:min(16, len(s.Decision))], plain, ink})
		}
	}
	if x.Reason != "" {
		out = out.also(text{x.Reason, plain, muted})
	}
	return out
}
