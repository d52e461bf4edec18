package main

import (
	"context"
	"path/filepath"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

// packs remembers the pack that a run left.
type packs struct{ id, dir string }

// sinks is the only registration of sinks.
func (a *app) sinks(in *installation, output string, quiet bool, made *packs) ([]audit.Sink, error) {
	var list []audit.Sink
	if s := in.cfg.Sinks.Pack; s != nil {
		p, err := a.packSink(in, in.engine, s.Dir, made)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	for i, s := range list {
		list[i] = delivering{s, a, in.ledger}
	}
	return list, nil
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
