package evidence

import (
	"cmp"
	"context"
	_ "embed"
	"io"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

//go:embed texts/README.txt
var readmeText string

//go:embed texts/VERIFY.txt
var verifyText string

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
		if err := a.out.writeJSON(t.documentFile(), t.document(a.exceptions)); err != nil {
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
		Run: run.Provenance, WrittenBy: a.cfg.ToolVersion, Trigger: run.Trigger, ConfigDigest: run.ConfigDigest,
		Revision: run.Revision, Signer: a.signer, Readers: readers(run),
	})
	if err != nil {
		return err
	}
	if err := a.out.write(publicKeyFile, pemType, a.public); err != nil {
		return err
	}
	fill := strings.NewReplacer("{pack}", a.id, "{run}", run.ID, "{as_of}", audit.Stamp(run.AsOf), "{entity}", oneLine(run.Entity),
		"{system}", oneLine(run.System), "{fingerprint}", a.signer, "{previous}", cmp.Or(a.previous, "none"))
	if err := a.out.write(readmeFile, textType, []byte(fill.Replace(readmeText))); err != nil {
		return err
	}
	return a.out.write(verifyFile, textType, []byte(fill.Replace(verifyText)))
}

// provenanceDocument is provenance.json: what ran, who ran it, and as whom it read.
type provenanceDocument struct {
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

func compareGaps(g, h audit.Gap) int {
	return cmp.Or(cmp.Compare(g.Origin, h.Origin), cmp.Compare(g.Type, h.Type), cmp.Compare(g.Code, h.Code), cmp.Compare(g.Operation, h.Operation))
}

// oneLine makes a configured name fit for a text file.
func oneLine(s string) string { return cmp.Or(strings.Join(strings.Fields(s), " "), "(not named)") }
