package evidence

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// PackConfig says where packs go, who signs them and who can judge again.
type PackConfig struct {
	Dir         string        // where packs are put, one directory each
	Signer      *Signer       // required
	ToolVersion string        // of the program that writes the pack
	Decider     audit.Decider // of the run's library, for the replayed decisions; nil: the pack has none
	// Exceptions reads exceptions.yaml, for the reports' accepted risks; nil: only their ids are printed.
	Exceptions func(yaml []byte) ([]audit.Exception, error)
	// PreviousPack gives the id of the pack of an earlier run, or "".
	PreviousPack func(ctx context.Context, runID string) (string, error)
	// OnPack is told of every pack that is in place, also of one that was there before.
	OnPack func(ctx context.Context, runID, packID, dir string) error
}

// Pack is the sink that writes the evidence of a run as a signed directory.
type Pack struct{ cfg PackConfig }

// NewPack checks the configuration; the directory is made by the first delivery.
func NewPack(cfg PackConfig) (*Pack, error) {
	switch {
	case cfg.Dir == "":
		return nil, errors.New("pack: a directory is required")
	case cfg.Signer == nil:
		return nil, errors.New("pack: a signer is required")
	}
	return &Pack{cfg: cfg}, nil
}

// Name implements audit.Sink.
func (p *Pack) Name() string { return "pack" }

// Deliver implements audit.Sink. The pack appears whole or not at all; where an
// intact one of the same run stands already, it stays as it is.
func (p *Pack) Deliver(ctx context.Context, rec audit.Record, _ audit.Delivery) error {
	if !isDigest(rec.Run.ID) {
		return fmt.Errorf("pack: run id %q is not a hex SHA-256 digest", clip(rec.Run.ID))
	}
	dir := filepath.Join(p.cfg.Dir, packName(rec.Run))
	id, err := standing(ctx, dir, rec.Run.ID)
	switch {
	case err == nil:
		return p.tell(ctx, rec.Run.ID, id, dir)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("pack %s stands there already and is not intact: %w: move it away to have it written anew", dir, err)
	}
	partial := filepath.Join(p.cfg.Dir, ".partial-"+packName(rec.Run))
	if err := os.RemoveAll(partial); err != nil { // of a delivery that was killed
		return fmt.Errorf("pack: %w", err)
	}
	if err := os.MkdirAll(partial, 0o700); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	defer func() { _ = os.RemoveAll(partial) }()
	a := &assembly{cfg: p.cfg, rec: rec, out: &build{dir: partial}}
	if err := a.write(ctx); err != nil {
		return fmt.Errorf("pack of run %s: %w", rec.Run.ID, err)
	}
	if err := os.Rename(partial, dir); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	if err := syncPath(p.cfg.Dir); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	return p.tell(ctx, rec.Run.ID, a.id, dir)
}

func (p *Pack) tell(ctx context.Context, run, pack, dir string) error {
	if p.cfg.OnPack == nil {
		return nil
	}
	return p.cfg.OnPack(ctx, run, pack, dir)
}

// packName is the same for the same run, and sorts by the moment it judges by.
func packName(r audit.Run) string {
	return r.AsOf.UTC().Format("20060102T150405Z") + "-" + r.ID[:12]
}

// standing gives the id of the pack in dir, if it is that of the run and intact.
func standing(ctx context.Context, dir, runID string) (string, error) {
	if _, err := os.Lstat(dir); err != nil {
		return "", err
	}
	r, err := Verify(ctx, dir, VerifyOptions{})
	switch {
	case err != nil:
		return "", err
	case len(r.Problems) > 0:
		return "", errors.New(r.Problems[0].String())
	case r.Run != runID:
		return "", fmt.Errorf("it is the pack of run %s", r.Run)
	}
	return r.Pack, nil
}

// runDocument is run.json: all that a verifier must know of a run beside its decisions.
type runDocument struct {
	Catalog    audit.Catalog             `json:"catalog"`
	Pack       string                    `json:"pack"`
	Parameters map[string]map[string]any `json:"parameters"` // data.parameters, as the controls read them
	Previous   string                    `json:"previous_pack"`
	Run        timeless                  `json:"run"`
}

// timeless is a run without what no decision rests on: the wall times of the
// audit itself, its provenance (which has a file of its own) and the ledger's segment.
type timeless struct {
	audit.Run
	Started    *string `json:"started,omitempty"`
	Ended      *string `json:"ended,omitempty"`
	Verdicts   *string `json:"verdicts,omitempty"`
	Provenance *string `json:"provenance,omitempty"`
}

func parametersOf(c audit.Catalog) map[string]map[string]any {
	out := map[string]map[string]any{}
	for _, ctl := range c.Controls {
		if len(ctl.Parameters) == 0 {
			continue
		}
		values := map[string]any{}
		for name, p := range ctl.Parameters {
			values[name] = p.Value
		}
		out[ctl.ID] = values
	}
	return out
}
