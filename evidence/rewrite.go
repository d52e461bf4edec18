package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// rewrite writes the pack again, to nowhere, from its snapshots, decisions and
// library, and compares: reports and other derived files must say what these say.
func (v *verification) rewrite(ctx context.Context) error {
	if v.decider == nil {
		v.r.unchecked("whether reports and the other derived files say what the decisions say: they were not made again")
		return nil
	}
	made, written, err := v.writeAgain(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		v.r.problem(manifestFile, "the pack cannot be written again: %v", err)
		return nil
	}
	differing, strange := v.differing(made)
	for _, path := range strange {
		v.r.problem(path, "is listed, but no file of a pack: the program makes none of this name from the run")
	}
	same := v.opts.Program.BinarySHA256 != "" && v.opts.Program.BinarySHA256 == written.BinarySHA256
	switch {
	case len(differing)+len(strange) == 0:
		v.r.checked("%d files written again, reports included: they say what decisions, snapshots and library say", len(made))
	case same:
		for _, path := range differing {
			v.r.problem(path, "is not what the program that wrote the pack makes of its decisions, snapshots and library")
		}
	default: // who signs may also be who lies: nothing that a stranger's program wrote is taken on its word
		v.r.Differing = differing
		v.r.unchecked("whether these files say what the decisions say: this program writes them otherwise than %s did: %s",
			printableText(written.Version), clipTo(strings.Join(differing, ", "), 300))
	}
	return nil
}

func (v *verification) writeAgain(ctx context.Context) ([]File, audit.Provenance, error) {
	b, err := readSmall(v.src, provenanceFile, maxSmall)
	if err != nil {
		return nil, audit.Provenance{}, fmt.Errorf("%s: %w", provenanceFile, err)
	}
	var p provenanceDocument
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return nil, audit.Provenance{}, fmt.Errorf("%s is not a provenance document", provenanceFile)
	}
	public, err := readSmall(v.src, publicKeyFile, maxKeyFile)
	if err != nil {
		return nil, audit.Provenance{}, err
	}
	run := v.doc.Run
	run.Provenance = p.Run
	if run.Started, run.Ended, err = p.Time.bounds(); err != nil {
		return nil, audit.Provenance{}, err
	}
	a := &assembly{
		cfg: PackConfig{ToolVersion: p.WrittenBy, Exceptions: v.opts.Exceptions},
		rec: audit.Record{
			Run: run, Catalog: v.decider.Catalog(), Vault: newPackVault(v.src, v.manifest),
			Repairs: func(context.Context, audit.Run) ([]audit.Repair, error) { return v.repaired, nil },
		},
		out: &build{}, lines: v.recorded, previous: v.doc.Previous, signer: v.r.Signer.Fingerprint, public: public,
	}
	if _, ok := v.manifest.Find(slicesFile); ok {
		a.cfg.Decider, a.gathered = v.decider, v.gathered
	}
	err = a.fill(ctx)
	return a.out.files, p.Run, err
}

// bounds are when a live run began and ended; zero for one that was played back.
func (m moments) bounds() (started, ended time.Time, err error) {
	if m.Started == "" {
		return started, ended, nil
	}
	if started, err = time.Parse(time.RFC3339, m.Started); err == nil {
		ended, err = time.Parse(time.RFC3339, m.Ended)
	}
	if err != nil {
		return started, ended, fmt.Errorf("%s: started and ended are not times such as 2026-11-21T02:00:00Z", provenanceFile)
	}
	return started, ended, nil
}

// recorded gives the decisions as the pack has them.
func (v *verification) recorded(ctx context.Context, yield func(Line) error) error {
	l, err := v.lines(ctx)
	if err != nil {
		return err
	}
	for {
		line, ok, err := l.next()
		if err == nil && ok {
			err = yield(line)
		}
		if err != nil || !ok {
			return errors.Join(err, l.file.Close())
		}
	}
}

// differing names the files that are not in both, byte for byte, and apart from
// them those that the pack lists and writing it again does not make.
func (v *verification) differing(made []File) (out, strange []string) {
	again := map[string]string{}
	for _, f := range made {
		again[f.Path] = f.SHA256
	}
	for _, f := range v.manifest.Files {
		switch sum, ok := again[f.Path]; {
		case !ok:
			strange = append(strange, f.Path)
		case sum != f.SHA256:
			out = append(out, f.Path)
		}
		delete(again, f.Path)
	}
	return append(out, sortedKeys(again)...), strange
}

// printableText makes a text from a stranger fit for a terminal.
func printableText(s string) string {
	if s == "" {
		return "another version"
	}
	return fmt.Sprintf("%q", clip(s))
}
