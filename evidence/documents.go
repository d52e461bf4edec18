package evidence

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// documents writes the small files that need the pack's id or the counts.
func (a *assembly) documents(context.Context) error {
	run := a.rec.Run
	err := a.out.writeJSON(runFile, runDocument{
		Catalog: a.rec.Catalog, Pack: a.id, Parameters: parametersOf(a.rec.Catalog), Previous: a.previous, Run: timeless{Run: run},
	})
	if err != nil {
		return err
	}
	for _, t := range a.tested {
		if err := a.out.writeJSON(t.documentFile(), t.document(a.exceptions, a.repairsOf(t.control.ID))); err != nil {
			return err
		}
	}
	_, err = a.out.copy(noticesFile, ndjsonType, func(w io.Writer) error {
		for _, n := range run.Notices {
			if err := writeLine(w, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = a.out.writeJSON(provenanceFile, provenanceDocument{
		Time: timeOf(run),
		Run:  run.Provenance, WrittenBy: a.cfg.ToolVersion, Trigger: run.Trigger, ConfigDigest: run.ConfigDigest,
		Revision: run.Revision, Signer: a.signer, Readers: readers(run),
	})
	if err != nil {
		return err
	}
	if err := a.out.write(publicKeyFile, pemType, a.public); err != nil {
		return err
	}
	return a.instructions()
}

// provenanceDocument is provenance.json: what ran, who ran it, and as whom it read.
type provenanceDocument struct {
	Time         moments          `json:"time"`
	Run          audit.Provenance `json:"run"`
	WrittenBy    string           `json:"pack_written_by"`
	Trigger      audit.Trigger    `json:"trigger"`
	ConfigDigest string           `json:"config_digest"`
	Revision     string           `json:"library_revision"`
	Signer       string           `json:"signer"`
	Readers      []reader         `json:"readers"`
}

type reader struct {
	Origin   string `json:"origin"`
	Identity string `json:"identity"`
	Endpoint string `json:"endpoint"`
	Recorded bool   `json:"recorded"`
}

// readers lists who read what.
func readers(run audit.Run) []reader {
	out := []reader{}
	for _, s := range run.Snapshots {
		out = append(out, reader{Origin: s.Origin, Identity: s.Identity, Endpoint: s.Endpoint, Recorded: s.Recorded})
	}
	return out
}

// moments are when the run was: by its host's clock, and only where it read live.
type moments struct {
	AsOf    string `json:"as_of"`
	Clock   string `json:"clock"`
	Ended   string `json:"ended,omitempty"`
	Started string `json:"started,omitempty"`
}

// playedBack is why a pack of recordings has no time of its own.
const playedBack = "Played back from recordings: the time of this run is not part of the pack, so that the same recordings give the same bytes."

func timeOf(run audit.Run) moments {
	if allRecorded(run) {
		return moments{AsOf: audit.Stamp(run.AsOf), Clock: playedBack}
	}
	return moments{AsOf: audit.Stamp(run.AsOf), Clock: "clock of the collecting host", Started: audit.Stamp(run.Started), Ended: audit.Stamp(run.Ended)}
}

// sentences tell a person when the run was.
func (m moments) sentences() []string {
	if m.Started == "" {
		return []string{"Judged as of " + m.AsOf + ".", m.Clock}
	}
	return []string{"Judged as of " + m.AsOf + " · run started " + m.Started + " · run ended " + m.Ended + " (" + m.Clock + ")"}
}

// allRecorded tells whether nothing was read live.
func allRecorded(run audit.Run) bool {
	return len(run.Snapshots) > 0 && !slices.ContainsFunc(run.Snapshots, func(s audit.Snapshot) bool { return !s.Recorded })
}

func compareGaps(g, h audit.Gap) int {
	return cmp.Or(cmp.Compare(g.Origin, h.Origin), cmp.Compare(g.Type, h.Type), cmp.Compare(g.Code, h.Code), cmp.Compare(g.Operation, h.Operation))
}

// oneLine makes a configured name fit for a text file.
func oneLine(s string) string { return cmp.Or(strings.Join(strings.Fields(s), " "), "(not named)") }
