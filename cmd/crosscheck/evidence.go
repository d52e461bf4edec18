package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/evidence"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/policies"
)

func (a *app) evidenceCmd() *cobra.Command {
	return group(&cobra.Command{
		Use: "evidence", Short: "List, export, verify and replay evidence packs",
		Example: "  crosscheck evidence list\n  crosscheck evidence verify crosscheck-data/packs/*",
	}, a.evidenceListCmd(), a.evidenceExportCmd(), a.evidenceVerifyCmd(), a.evidenceReplayCmd())
}

func (a *app) evidenceListCmd() *cobra.Command {
	var output string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the packs on record", Args: cobra.NoArgs,
		Example: "  crosscheck evidence list\n  crosscheck evidence list -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkWord("output", output, "table", "json"); err != nil {
				return err
			}
			return a.listPacks(cmd.Context(), limit, output)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most")
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) listPacks(ctx context.Context, limit int, output string) (err error) {
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	list, err := in.ledger.Packs(ctx, limit)
	if err != nil {
		return err
	}
	if output == "json" {
		return a.json(append([]ledger.Pack{}, list...))
	}
	t := newTable(a.out, "PACK", "RUN", "AS OF", "STATUS", "PATH")
	for _, p := range list {
		run, err := in.ledger.Run(ctx, p.Run)
		if err != nil {
			return err
		}
		status := string(run.Status)
		if run.Simulated {
			status += ", simulated"
		}
		t.row(short(p.ID), short(p.Run), audit.Stamp(run.AsOf), status, p.Path)
	}
	return t.flush()
}

func (a *app) evidenceExportCmd() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "export [RUN]", Short: "Write a run's pack as a zip", Args: cobra.MaximumNArgs(1),
		Long: `Writes the pack of the latest run, or of another, as one zip file. A run without
a pack gets one first.`,
		Example: "  crosscheck evidence export\n  crosscheck evidence export 51c0de --out audit-2026-11.zip",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.exportPack(cmd.Context(), strings.Join(args, ""), out)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write, - for standard output (default: <pack>.zip here)")
	return cmd
}

func (a *app) exportPack(ctx context.Context, prefix, out string) (err error) {
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	run, err := in.run(ctx, prefix)
	if err != nil {
		return err
	}
	dir, err := a.packOf(ctx, in, run)
	if err != nil {
		return err
	}
	if out == "-" {
		return evidence.Export(ctx, dir, a.out)
	}
	if out == "" {
		out = filepath.Base(dir) + ".zip"
	}
	if err := writeFile(out, func(w io.Writer) error { return evidence.Export(ctx, dir, w) }); err != nil {
		return fmt.Errorf("exporting %s: %w", dir, err)
	}
	_, err = fmt.Fprintln(a.out, out)
	return err
}

// packOf is where the pack of a run is; it is made where it is not.
func (a *app) packOf(ctx context.Context, in *installation, run audit.Run) (string, error) {
	p, ok, err := in.ledger.Pack(ctx, run.ID)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(p.Path); ok && err == nil {
		return p.Path, nil
	}
	d, err := in.decider(ctx, run)
	if err != nil {
		return "", err
	}
	dir, made := filepath.Join(in.cfg.DataDir, "packs"), &packs{}
	if s := in.cfg.Sinks.Pack; s != nil {
		dir = s.Dir
	}
	sink, err := a.packSink(in, d, dir, made)
	if err != nil {
		return "", err
	}
	rec, err := in.record(ctx, run)
	if err != nil {
		return "", err
	}
	err = sink.Deliver(ctx, rec, audit.Delivery{})
	return made.dir, err
}

// writeFile writes a new file whole, or leaves nothing.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	buf := bufio.NewWriter(f)
	err = write(buf)
	if err := errors.Join(err, buf.Flush(), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// decideBy makes a decider of a pack's own library.
func decideBy(_ context.Context, library io.Reader, parameters map[string]map[string]any) (audit.Decider, error) {
	lib, err := policies.LoadTar(library, parameters)
	if err != nil {
		return nil, err
	}
	return evaluate.New(evaluate.Config{Library: lib})
}

func (a *app) evidenceVerifyCmd() *cobra.Command {
	var key, output string
	cmd := &cobra.Command{
		Use: "verify PACK…", Short: "Verify packs, directories or exported zips, and decide them again", Args: cobra.MinimumNArgs(1),
		Long: `Checks every hash, the envelope and its signature, rebuilds what each decision
looked up and makes every decision again by the pack's own library. Nothing is
needed but the pack; it may come from anyone.

Without --key the signer is not authenticated: anyone can sign. Obtain the
fingerprint in another way than with the pack.

A pack's reports are written again and compared. Another version of the program
may write them otherwise: then the records are verified, and the reports are not.

Exit codes: 0 intact; 1 not intact, or it could not be verified; 3 the records
are intact, but the reports could not be confirmed.`,
		Example: `  crosscheck evidence verify crosscheck-data/packs/*
  crosscheck evidence verify --key auditor-known.pem pack.zip`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkWord("output", output, "table", "json"); err != nil {
				return err
			}
			return a.verifyPacks(cmd.Context(), args, key, output)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the signer's public key: a PEM file, or its fingerprint")
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) verifyPacks(ctx context.Context, paths []string, key, output string) error {
	reports, broken, differing := []evidence.Report{}, 0, 0
	for _, path := range paths {
		r, err := verifyPack(ctx, path, key)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if reports = append(reports, r); !r.Intact {
			broken++
		} else if len(r.Differing) > 0 {
			differing++
		}
		if output == "json" {
			continue
		}
		for _, l := range append([]string{path}, r.Lines()...) {
			if _, err := fmt.Fprintln(a.out, printable(l)); err != nil {
				return err
			}
		}
	}
	if output == "json" {
		if err := a.json(reports); err != nil {
			return err
		}
	}
	if broken > 0 {
		return fmt.Errorf("%d of %d packs are not intact", broken, len(paths))
	}
	if differing > 0 {
		return &exit{exitNotEvaluated, fmt.Errorf("%d of %d packs have reports that could not be confirmed", differing, len(paths))}
	}
	return nil
}

func verifyPack(ctx context.Context, path, key string) (evidence.Report, error) {
	return evidence.Verify(ctx, path, evidence.VerifyOptions{Key: key, Library: decideBy, Exceptions: parseExceptions, Program: provenance()})
}

func (a *app) evidenceReplayCmd() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use: "replay PACK DECISION", Short: "Make a pack's decision again, from the pack alone", Args: cobra.ExactArgs(2),
		Long: `Verifies a pack, which makes all its decisions again, and shows one of them. The
pack's folder replay/ does the same for some of them with the stock opa binary,
without this program.`,
		Example: "  crosscheck evidence replay crosscheck-data/packs/20261121T020000Z-51c0de8a2b7d 3f9a2c",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.replay(cmd.Context(), args[0], args[1], key)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the signer's public key: a PEM file, or its fingerprint")
	return cmd
}

func (a *app) replay(ctx context.Context, path, prefix, key string) error {
	r, err := verifyPack(ctx, path, key)
	switch {
	case err != nil:
		return err
	case !r.Intact:
		return fmt.Errorf("%s is not intact: see `crosscheck evidence verify`", path)
	case r.Redecided == 0:
		return fmt.Errorf("%s: no decision could be made again: %s", path, strings.Join(r.Unchecked, "; "))
	}
	f, err := os.Open(filepath.Join(path, "decisions.ndjson"))
	if err != nil {
		return fmt.Errorf("%w: a zip must be unpacked first", err)
	}
	defer func() { _ = f.Close() }()
	var found []evidence.Line
	err = audit.Lines(ctx, f, func(b []byte) error {
		var l evidence.Line
		if err := json.Unmarshal(b, &l); err != nil {
			return err
		}
		if strings.HasPrefix(l.ID, prefix) {
			found = append(found, l)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(found) == 0:
		return &ledger.NotFoundError{Kind: "decision", ID: prefix}
	case len(found) > 1:
		return &ledger.AmbiguousError{Kind: "decision", ID: prefix, Of: []string{found[0].ID, found[1].ID}}
	}
	l := found[0]
	_, err = fmt.Fprintf(a.out, "decision  %s\ncontrol   %s (%s)\nresource  %s\ndocument  %s\nas of     %s\noutcome   %s, made again with the same result\n%s\n",
		l.ID, l.Control, l.ControlDigest, printable(l.Resource), l.InputDigest, l.AsOf, l.Outcome, r.Verdict())
	return err
}
