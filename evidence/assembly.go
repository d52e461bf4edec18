package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// assembly writes one pack. A verifier writes it again, to nowhere, and compares.
type assembly struct {
	cfg        PackConfig
	rec        audit.Record
	out        *build
	lines      func(ctx context.Context, yield func(Line) error) error // every decision, in order
	signer     string                                                  // fingerprint
	public     []byte                                                  // the signer's key, PEM
	id         string
	previous   string
	decisions  string // digest of decisions.ndjson
	tested     []*tested
	exceptions []audit.Exception
	repairs    []audit.Repair
	sample     *sample
	seen       map[string]*seen // by origin
	sliced     sums             // digests of the slices that decisions rest on
	gathered   *gathered        // every slice, where the caller has them already
}

// write fills the directory and signs it.
func (a *assembly) write(ctx context.Context) error {
	a.lines, a.signer, a.public = a.recorded, a.cfg.Signer.Fingerprint(), a.cfg.Signer.PublicPEM()
	if a.rec.Run.Previous != "" && a.cfg.PreviousPack != nil {
		var err error
		if a.previous, err = a.cfg.PreviousPack(ctx, a.rec.Run.Previous); err != nil {
			return fmt.Errorf("the previous run's pack: %w", err)
		}
	}
	if err := a.fill(ctx); err != nil {
		return err
	}
	return a.out.finish(ctx, a.cfg.Signer, Manifest{Format: manifestFormat, Pack: a.id, Run: a.rec.Run.ID})
}

// fill writes all that the manifest lists, in an order in which each part has what it needs.
func (a *assembly) fill(ctx context.Context) error {
	var err error
	if a.tested, err = newTested(a.rec.Run, a.rec.Catalog); err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{
		a.library, a.excepted, a.snapshots, a.judged, a.repaired, a.documents, a.replay, a.reports,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// library copies the library, which is a tar.gz that stock opa reads.
func (a *assembly) library(ctx context.Context) error {
	_, err := a.out.copy(libraryFile, gzipType, func(w io.Writer) error {
		return a.vaulted(ctx, a.rec.Run.Library, func(r io.Reader) error {
			_, err := io.Copy(w, r)
			return err
		})
	})
	if err != nil {
		return err
	}
	var modules []module
	err = a.vaulted(ctx, a.rec.Run.Library, func(r io.Reader) (err error) {
		modules, err = readModules(r)
		return err
	})
	for _, t := range a.tested {
		t.imports = imported(modules, t.control.File)
	}
	return err
}

// excepted copies exceptions.yaml as it was when the run was judged.
func (a *assembly) excepted(ctx context.Context) error {
	content := []byte("# This run had no exceptions file.\n")
	if a.rec.Run.Exceptions != "" {
		err := a.vaulted(ctx, a.rec.Run.Exceptions, func(r io.Reader) (err error) {
			content, err = io.ReadAll(r)
			return err
		})
		if err != nil {
			return err
		}
		if a.cfg.Exceptions != nil {
			if a.exceptions, err = a.cfg.Exceptions(content); err != nil {
				return fmt.Errorf("%s: %w", exceptionsFile, err)
			}
		}
	}
	return a.out.write(exceptionsFile, yamlType, content)
}

func (a *assembly) vaulted(ctx context.Context, digest string, read func(io.Reader) error) error {
	rc, err := a.rec.Vault.Open(ctx, digest)
	if err != nil {
		return err
	}
	return errors.Join(read(rc), rc.Close())
}

func writeLine(w io.Writer, v any) error {
	line, err := audit.Canonical(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// judged writes every decision, and each control's population beside.
func (a *assembly) judged(ctx context.Context) error {
	a.sample, a.sliced = newSample(), sums{}
	j, err := newJudged(a.out, a.tested)
	if err != nil {
		return err
	}
	err = a.lines(ctx, func(l Line) error {
		a.sample.add(l)
		a.origin(l.Origin).bears(l)
		if l.SliceDigest != "" {
			if err := a.sliced.add(l.SliceDigest); err != nil {
				return err
			}
		}
		return j.add(l)
	})
	if err != nil {
		j.discard()
		return err
	}
	if a.decisions, err = j.close(); err != nil {
		return err
	}
	a.id, err = packID(a.rec.Run.ID, a.decisions, j.populations)
	return err
}

// recorded gives the decisions as the ledger has them.
func (a *assembly) recorded(ctx context.Context, yield func(Line) error) error {
	return a.rec.Verdicts(ctx, func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			l, err := newLine(v, d, a.rec.Run.AsOf)
			if err != nil {
				return fmt.Errorf("decision %s: %w", d.ID, err)
			}
			if err := yield(l); err != nil {
				return err
			}
		}
		return nil
	})
}

// packID identifies a pack by its run, its decisions and its populations.
func packID(run, decisions string, populations map[string]string) (string, error) {
	return audit.DigestOf([]any{"crosscheck/pack/1", run, decisions, populations})
}

// judged writes decisions.ndjson and the populations.
type judged struct {
	decisions   *output
	files       map[string]*population
	populations map[string]string // control → digest of its population
}

type population struct {
	tested *tested
	file   *output
	rows   csvWriter
}

func newJudged(b *build, list []*tested) (j *judged, err error) {
	j = &judged{files: map[string]*population{}, populations: map[string]string{}}
	if j.decisions, err = b.create(decisionsFile, ndjsonType); err != nil {
		return nil, err
	}
	for _, t := range list {
		f, err := b.create(t.populationFile(), csvType)
		if err != nil {
			j.discard()
			return nil, err
		}
		p := &population{tested: t, file: f, rows: newCSV(f)}
		j.files[t.control.ID] = p
		if err := p.rows.row(populationHeader); err != nil {
			j.discard()
			return nil, err
		}
	}
	return j, nil
}

func (j *judged) add(l Line) error {
	p, ok := j.files[l.Control]
	if !ok {
		return fmt.Errorf("decision %s is of control %s, which is not in scope", l.ID, l.Control)
	}
	b, err := l.render()
	if err != nil {
		return err
	}
	if _, err := j.decisions.Write(b); err != nil {
		return err
	}
	p.tested.add(l)
	return p.rows.row(l.population())
}

func (j *judged) close() (digest string, err error) {
	for _, id := range sortedKeys(j.files) {
		p := j.files[id]
		if err := p.rows.flush(); err != nil {
			return "", err
		}
		if j.populations[id], err = p.file.close(); err != nil {
			return "", err
		}
	}
	return j.decisions.close()
}

func (j *judged) discard() {
	j.decisions.discard()
	for _, p := range j.files {
		p.file.discard()
	}
}
