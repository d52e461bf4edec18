package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/report/console"
	"github.com/crosscheck-dev/crosscheck/report/files"
)

// packs remembers the pack that a run left.
type packs struct{ id, dir string }

// show says how a run is shown to whoever asked for it.
type show struct {
	output string // table or json; empty: as configured
	quiet  bool
}

func (s show) format(configured string) string {
	switch {
	case s.quiet:
		return console.Quiet
	case s.output != "":
		return s.output
	}
	return configured
}

// sinks is the only registration of sinks. before is called before anything is shown.
func (a *app) sinks(in *installation, how show, made *packs, before func()) ([]audit.Sink, error) {
	var list []audit.Sink
	if cfg := in.cfg.Sinks.Files; cfg != nil {
		s, err := files.New(files.Config{Dir: cfg.Dir})
		if err != nil {
			return nil, fmt.Errorf("sinks.files: %w", err)
		}
		list = append(list, s)
	}
	if cfg := in.cfg.Sinks.Pack; cfg != nil {
		s, err := a.packSink(in, in.engine, cfg.Dir, made)
		if err != nil {
			return nil, fmt.Errorf("sinks.pack: %w", err)
		}
		list = append(list, s)
	}
	if cfg := in.cfg.Sinks.Console; cfg != nil {
		s, err := console.New(console.Config{Out: a.out, Format: how.format(cfg.Format), Color: console.Colors(a.out), Command: a.command("")})
		if err != nil {
			return nil, fmt.Errorf("sinks.console: %w", err)
		}
		list = append(list, clearing{s, before})
	}
	for i, s := range list {
		list[i] = delivering{s, a, in.ledger}
	}
	return list, nil
}

// clearing makes room before a sink writes where progress is drawn.
type clearing struct {
	audit.Sink
	before func()
}

// Deliver implements audit.Sink.
func (c clearing) Deliver(ctx context.Context, rec audit.Record) error {
	c.before()
	return c.Sink.Deliver(ctx, rec)
}

// packSink writes packs below dir, signed with the installation's key.
func (a *app) packSink(in *installation, d audit.Decider, dir string, made *packs) (*evidence.Pack, error) {
	keys, err := keyDir()
	if err != nil {
		return nil, err
	}
	signer, err := evidence.LoadSigner(filepath.Join(keys, "signing.pem"))
	if err != nil {
		return nil, err
	}
	return evidence.NewPack(evidence.PackConfig{
		Dir: dir, Signer: signer, ToolVersion: version(), Decider: d, Exceptions: parseExceptions,
		PreviousPack: func(ctx context.Context, run string) (string, error) {
			p, _, err := in.ledger.Pack(ctx, run)
			return p.ID, err
		},
		OnPack: func(ctx context.Context, run, pack, path string) error {
			*made = packs{pack, path}
			path, err := filepath.Abs(path)
			if err != nil {
				return err
			}
			return in.ledger.SetPack(ctx, ledger.Pack{Run: run, ID: pack, Path: path})
		},
	})
}
