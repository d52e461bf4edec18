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
	err = a.out.writeJSON(provenanceFile, map[string]any{
		"run": run.Provenance, "pack_written_by": a.cfg.ToolVersion, "trigger": run.Trigger, "config_digest": run.ConfigDigest,
		"library_revision": run.Revision, "signer": a.cfg.Signer.Fingerprint(), "readers": readers(run),
	})
	if err != nil {
		return err
	}
	if err := a.out.write(publicKeyFile, pemType, a.cfg.Signer.PublicPEM()); err != nil {
		return err
	}
	fill := strings.NewReplacer("{pack}", a.id, "{run}", run.ID, "{as_of}", audit.Stamp(run.AsOf), "{entity}", oneLine(run.Entity),
		"{system}", oneLine(run.System), "{fingerprint}", a.cfg.Signer.Fingerprint(), "{previous}", cmp.Or(a.previous, "none"))
	if err := a.out.write(readmeFile, textType, []byte(fill.Replace(readmeText))); err != nil {
		return err
	}
	return a.out.write(verifyFile, textType, []byte(fill.Replace(verifyText)))
}

// readers lists who read what.
func readers(run audit.Run) []any {
	out := []any{}
	for _, s := range run.Snapshots {
		out = append(out, map[string]any{"origin": s.Origin, "identity": s.Identity, "endpoint": s.Endpoint, "recorded": s.Recorded})
	}
	return out
}

func compareGaps(g, h audit.Gap) int {
	return cmp.Or(cmp.Compare(g.Origin, h.Origin), cmp.Compare(g.Type, h.Type), cmp.Compare(g.Code, h.Code), cmp.Compare(g.Operation, h.Operation))
}

// oneLine makes a configured name fit for a text file.
func oneLine(s string) string { return cmp.Or(strings.Join(strings.Fields(s), " "), "(not named)") }
