package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/evidence"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/report"
	"github.com/crosscheck-dev/crosscheck/report/console"
	"github.com/crosscheck-dev/crosscheck/report/files"
	"github.com/crosscheck-dev/crosscheck/report/stream"
)

// packs remembers the pack that a run left.
type packs struct{ run, id, dir string }

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

// sinks is the only registration of sinks that the ledger owes runs to: one line each.
func (a *app) sinks(in *installation, made *packs) ([]audit.Sink, error) {
	var out []audit.Sink
	for _, register := range []func() (audit.Sink, error){
		sink("files", in.cfg.Sinks.Files, func(cfg configs.Folder) (audit.Sink, error) { return files.New(files.Config{Dir: cfg.Dir}) }),
		sink("pack", in.cfg.Sinks.Pack, func(cfg configs.Folder) (audit.Sink, error) { return a.packing(in, cfg.Dir, made) }),
		sink("elasticsearch", in.cfg.Sinks.Elastic, func(cfg configs.Elasticsearch) (audit.Sink, error) { return a.elastic(cfg, in.log) }),
		sink("slack", in.cfg.Sinks.Slack, func(cfg configs.Slack) (audit.Sink, error) { return a.slack(in, cfg) }),
	} {
		s, err := register()
		if err != nil {
			return nil, err
		}
		if s != nil {
			out = append(out, s)
		}
	}
	for i, cfg := range in.cfg.Sinks.Streams {
		s, err := stream.New(streamed(cfg, a.now))
		if err != nil {
			return nil, fmt.Errorf("sinks.streams[%d]: %w", i, err)
		}
		out = append(out, s)
	}
	return in.nudging(out)
}

// streamed is a stream as it is configured.
func streamed(cfg configs.Stream, now func() time.Time) stream.Config {
	host := provenance().Host
	out := stream.Config{Name: cfg.Name, Passes: cfg.Passes, Version: version(), Host: host, Now: now}
	if cfg.File != "" {
		out.File = &stream.File{Path: cfg.File}
	}
	if h := cfg.HTTP; h != nil {
		out.HTTP = &stream.HTTP{URL: h.URL, Token: h.Token, CAFile: h.CAFile}
	}
	if k := cfg.Kafka; k != nil {
		out.Kafka = &stream.Kafka{
			Brokers: k.Brokers, Topic: k.Topic, TLS: k.TLS, CAFile: k.CAFile, Mechanism: k.Mechanism, User: k.User, Password: k.Password,
		}
	}
	return out
}

// sink makes one, if it is configured.
func sink[T any](name string, cfg *T, build func(T) (audit.Sink, error)) func() (audit.Sink, error) {
	return func() (audit.Sink, error) {
		if cfg == nil {
			return nil, nil
		}
		s, err := build(*cfg)
		if errors.As(err, new(*configs.Error)) {
			return nil, err // says where
		}
		if err != nil {
			return nil, fmt.Errorf("sinks.%s: %w", name, err)
		}
		return s, nil
	}
}

// again are the sinks that a run which is on record already is delivered to once
// more when somebody audits by hand: what they wrote may be gone, and nobody is
// disturbed by it.
var again = []string{"files", "pack"}

// outbox makes what delivers an installation's runs.
func (a *app) outbox(in *installation, made *packs, tell func(audit.Event)) (*report.Outbox, error) {
	list, err := a.sinks(in, made)
	if err != nil {
		return nil, err
	}
	var observe func(sink, status string, took time.Duration)
	if a.measured != nil {
		observe = a.measured.Tried
	}
	return report.New(report.Config{
		Observe: observe, Queue: in.ledger, Sinks: list, Now: a.now, Log: in.log, Tell: tell,
		Record: func(ctx context.Context, id string) (audit.Record, error) {
			run, err := in.ledger.Run(ctx, id)
			if err != nil {
				return audit.Record{}, err
			}
			return in.record(ctx, run)
		},
	})
}

// byHand is an outbox for a person who waits for what is delivered.
type byHand struct {
	*report.Outbox
	in  *installation
	now func() time.Time
}

// Deliver implements audit.Outbox.
func (b byHand) Deliver(ctx context.Context, rec audit.Record) error {
	for _, name := range again {
		if _, err := b.in.ledger.Retry(ctx, ledger.DeliveryQuery{Sink: name, Subject: rec.Run.ID}, b.now(), true); err != nil {
			return err
		}
	}
	err := b.Flush(ctx)
	if len(b.Announcers(audit.OfNudge)) > 0 {
		err = errors.Join(err, b.Flush(ctx)) // what was announced meanwhile; what failed waits for its time
	}
	return err
}

// shown is the sink that shows a run to whoever asked for it.
func (a *app) shown(in *installation, how show, before func()) ([]audit.Sink, error) {
	cfg := in.cfg.Sinks.Console
	if cfg == nil {
		return nil, nil
	}
	s, err := console.New(console.Config{Out: a.out, Format: how.format(cfg.Format), Color: console.Colors(a.out), Command: a.command("")})
	if err != nil {
		return nil, fmt.Errorf("sinks.console: %w", err)
	}
	return []audit.Sink{clearing{s, before}}, nil
}

// clearing makes room before a sink writes where progress is drawn.
type clearing struct {
	audit.Sink
	before func()
}

// Deliver implements audit.Sink.
func (c clearing) Deliver(ctx context.Context, rec audit.Record, d audit.Delivery) error {
	c.before()
	return c.Sink.Deliver(ctx, rec, d)
}

// packer writes packs, each judged again by the library of its run.
type packer struct {
	app  *app
	in   *installation
	dir  string
	made *packs
}

func (a *app) packing(in *installation, dir string, made *packs) (audit.Sink, error) {
	_, err := a.packSink(in, in.engine, dir, made) // what is wrong with the key is said at once
	return packer{a, in, dir, made}, err
}

// Name implements audit.Sink.
func (packer) Name() string { return "pack" }

// Deliver implements audit.Sink.
func (p packer) Deliver(ctx context.Context, rec audit.Record, d audit.Delivery) error {
	decider, err := p.in.decider(ctx, rec.Run)
	if err != nil {
		return err
	}
	s, err := p.app.packSink(p.in, decider, p.dir, p.made)
	if err != nil {
		return err
	}
	return s.Deliver(ctx, rec, d)
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
			*made = packs{run, pack, path}
			path, err := filepath.Abs(path)
			if err != nil {
				return err
			}
			return in.ledger.SetPack(ctx, ledger.Pack{Run: run, ID: pack, Path: path})
		},
	})
}
