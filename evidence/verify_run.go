package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// verifiedRun is run.json as a verifier reads it.
type verifiedRun struct {
	Catalog    audit.Catalog             `json:"catalog"`
	Pack       string                    `json:"pack"`
	Parameters map[string]map[string]any `json:"parameters"`
	Previous   string                    `json:"previous_pack"`
	Run        audit.Run                 `json:"run"`
}

// parseRun reads run.json from a stranger.
func parseRun(b []byte) (verifiedRun, error) {
	var d verifiedRun
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	if err := dec.Decode(&d); err != nil {
		return verifiedRun{}, errors.New("is not the run document of a pack")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return verifiedRun{}, errors.New("holds more than one JSON value")
	}
	return d, nil
}

// run checks run.json against manifest, library, exceptions and snapshots.
func (v *verification) run(context.Context) error {
	b, err := readSmall(v.src, runFile, maxSmall)
	if err != nil {
		v.r.problem(runFile, "cannot be read: %v", err)
		return nil
	}
	if v.doc, err = parseRun(b); err != nil {
		v.r.problem(runFile, "%v", err)
		return nil
	}
	run := v.doc.Run
	id, err := audit.RunID(run)
	switch {
	case err != nil:
		v.r.problem(runFile, "%v", err)
	case id != run.ID:
		v.r.problem(runFile, "what the run was given makes the id %s, not %s", id, clip(run.ID))
	case run.ID != v.manifest.Run:
		v.r.problem(runFile, "is of run %s, %s of run %s", run.ID, manifestFile, v.manifest.Run)
	case v.doc.Pack != v.manifest.Pack:
		v.r.problem(runFile, "is of pack %s, %s of pack %s", clip(v.doc.Pack), manifestFile, v.manifest.Pack)
	}
	if !run.Simulated && offRecord(run) {
		v.r.problem(runFile, "the run judges as of %s, which is not when its data was recorded, and does not say that it is simulated", audit.Stamp(run.AsOf))
	}
	v.given(exceptionsFile, run.Exceptions, run.Exceptions == "")
	v.given(libraryFile, run.Library, false)
	if !slices.IsSortedFunc(run.Snapshots, func(x, y audit.Snapshot) int { return bytes.Compare([]byte(x.Origin), []byte(y.Origin)) }) {
		v.r.problem(runFile, "snapshots are not sorted by origin")
	}
	for i, s := range run.Snapshots {
		if i > 0 && run.Snapshots[i-1].Origin == s.Origin {
			v.r.problem(runFile, "origin %q has two snapshots", clip(s.Origin))
		}
		v.given(snapshotFile(s.Origin), s.Digest, false)
		if err := checkFresh(run, s); err != nil {
			v.r.problem(runFile, "%s: %v", clip(s.Origin), err)
		}
	}
	v.accounts(run)
	v.r.checked("the run's id: its configuration, library, snapshots with gaps, scope, time and exceptions are those it names")
	return nil
}

// offRecord tells whether a run of recorded data alone judges by another moment than the recording's.
func offRecord(run audit.Run) bool {
	var latest time.Time
	for _, s := range run.Snapshots {
		if !s.Recorded {
			return false
		}
		if at := s.Latest(); at.After(latest) {
			latest = at
		}
	}
	off := run.AsOf.Sub(latest)
	return !latest.IsZero() && (off < 0 || off > time.Hour)
}

// given checks that a file is the one that the run names by digest.
func (v *verification) given(file, digest string, may bool) {
	f, ok := v.manifest.Find(file)
	switch {
	case !ok:
		v.r.problem(file, "is missing")
	case f.SHA256 != digest && !may:
		v.r.problem(file, "is not what the run was judged by: its SHA-256 is %s, %s says %s", f.SHA256, runFile, clip(digest))
	}
}

// accounts checks the sums that the run claims: of every (origin, type) what was
// listed is there or a gap, and of every population each resource has an outcome.
func (v *verification) accounts(run audit.Run) {
	for _, s := range run.Snapshots {
		documents, sum := map[string]int64{}, int64(0)
		for _, d := range s.Documents {
			documents[d.Type] = d.Listed
			sum += d.Listed
		}
		if sum != s.Resources {
			v.r.problem(runFile, "%s: %d documents by type, %d resources", clip(s.Origin), sum, s.Resources)
		}
		for _, g := range s.Gaps {
			if g.Type == audit.AllTypes && g.Code != audit.Stale && run.Status == audit.Complete {
				v.r.problem(runFile, "the run calls itself complete, but %s could not be read", clip(s.Origin))
			}
		}
		for _, t := range s.Types {
			gap := slices.ContainsFunc(s.Gaps, func(g audit.Gap) bool { return g.Covers(t.Type) })
			if t.Listed != documents[t.Type] && !gap {
				v.r.problem(runFile, "%s: the source listed %d of %s, there are %d documents and no gap", clip(s.Origin), t.Listed, clip(t.Type), documents[t.Type])
			}
		}
	}
	for _, c := range run.Counts {
		if c.Listed != c.Pass+c.Fail+c.NotEvaluated+c.Excluded || c.Excepted > c.Fail {
			v.r.problem(runFile, "%s on %s of %s: %d listed, but %d passed, %d failed, %d not evaluated, %d excluded",
				clip(c.Control), clip(c.Type), clip(c.Origin), c.Listed, c.Pass, c.Fail, c.NotEvaluated, c.Excluded)
		}
	}
}

func digestOf(r io.Reader) (digest string, n int64, err error) {
	h := sha256.New()
	n, err = io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// clipTo shortens what may be long, and says so.
func clipTo(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
