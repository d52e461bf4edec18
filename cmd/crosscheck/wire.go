package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/evidence"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// installation is a configuration with all that works by it.
type installation struct {
	cfg      configs.Config
	log      *slog.Logger
	library  *policies.Library
	engine   *evaluate.Engine
	vault    *evidence.Vault
	ledger   *ledger.Ledger
	decides  func(*policies.Library) (*evaluate.Engine, error)
	mu       sync.Mutex                  // of deciders: sinks work at the same time
	deciders map[[2]string]audit.Decider // by the digests of library and configuration
}

// library loads the library that the configuration names, with its parameters.
func library(cfg configs.Config) (*policies.Library, error) {
	fsys := policies.Embedded()
	if cfg.Library != "" {
		fsys = os.DirFS(cfg.Library)
	}
	lib, err := policies.Load(fsys, cfg.Parameters)
	if err != nil && cfg.Library != "" {
		err = fmt.Errorf("library %s: %w", cfg.Library, err)
	}
	if err != nil && cfg.File != "" {
		err = fmt.Errorf("%s: %w", cfg.File, err)
	}
	return lib, err
}

// prepare makes all of an installation but its ledger. Nothing is written.
func (a *app) prepare() (*installation, error) {
	cfg, err := a.load()
	if err != nil {
		return nil, err
	}
	return a.prepareAs(cfg)
}

// prepareAs makes all of the installation of a configuration but its ledger.
func (a *app) prepareAs(cfg configs.Config) (in *installation, err error) {
	in = &installation{cfg: cfg, log: a.logger(cfg.Log), deciders: map[[2]string]audit.Decider{}}
	if in.library, err = library(cfg); err != nil {
		return nil, err
	}
	if in.engine, err = a.decides(in.library); err != nil {
		return nil, err
	}
	in.decides = a.decides
	in.vault, err = evidence.NewVault(filepath.Join(cfg.DataDir, "vault"))
	return in, err
}

// decides makes the engine that a library is run by.
func (a *app) decides(lib *policies.Library) (*evaluate.Engine, error) {
	if err := checkWord("engine", a.engine, "vm", "opa"); err != nil {
		return nil, err
	}
	cfg := evaluate.Config{Library: lib, OPA: a.engine == "opa"}
	if a.measured != nil {
		cfg.Clock = evaluate.Clock{Now: a.now, Decided: a.measured.Decided}
	}
	return evaluate.New(cfg)
}

// open opens an installation that has audited before.
func (a *app) open(ctx context.Context) (*installation, error) {
	in, err := a.prepare()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(in.ledgerPath()); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("nothing is on record in %s: run `%s` first, or name its configuration with --config", in.cfg.DataDir, a.command("audit"))
	}
	return in, in.openLedger(ctx)
}

// openLedger opens a ledger of its own for the installation.
func (in *installation) openLedger(ctx context.Context) (err error) {
	in.ledger, err = ledger.Open(ctx, in.ledgerPath())
	return err
}

func (in *installation) ledgerPath() string { return filepath.Join(in.cfg.DataDir, "ledger.db") }

func (in *installation) close() error { return in.ledger.Close() }

// exceptions reads and checks the configured exceptions.
func exceptions(cfg configs.Config, catalog audit.Catalog) (configs.Exceptions, error) {
	if cfg.Exceptions == "" {
		return configs.Exceptions{}, nil
	}
	return configs.LoadExceptions(cfg.Exceptions, func(e configs.Exception) error {
		if _, ok := catalog.Control(e.Control); !ok {
			return audit.UnknownError{Kind: "control", Name: e.Control}
		}
		return audit.Exception(e).Check()
	})
}

// parseExceptions reads exceptions that were in force in an earlier run.
func parseExceptions(b []byte) ([]audit.Exception, error) {
	x, err := configs.ParseExceptions(b, "exceptions.yaml", func(configs.Exception) error { return nil })
	return accepted(x), err
}

func accepted(x configs.Exceptions) []audit.Exception {
	out := make([]audit.Exception, len(x.List))
	for i, e := range x.List {
		out[i] = audit.Exception(e)
	}
	return out
}

// auditor puts together what a run needs, once all of it is known to be in order.
func (a *app) auditor(ctx context.Context, in *installation) (*audit.Auditor, error) {
	x, err := exceptions(in.cfg, in.library.Catalog)
	if err != nil {
		return nil, err
	}
	sup := supplies{log: in.log, catalog: in.library.Catalog}
	if len(in.cfg.Sources.Origins()) > 0 {
		if sup.redactor, err = redactor(); err != nil {
			return nil, err
		}
	}
	cs, err := collectors(in.cfg.Sources, sup)
	if err != nil {
		return nil, err
	}
	if in.ledger == nil {
		if in.ledger, err = ledger.Open(ctx, in.ledgerPath()); err != nil {
			return nil, err
		}
	}
	out := &audit.Auditor{
		Collectors: cs, Decider: in.engine, Engine: in.engine.Name(), Vault: in.vault, Ledger: in.ledger, Exceptions: accepted(x),
		Entity: in.cfg.Entity, System: in.cfg.System, Provenance: provenance(), Now: a.now, Log: in.log,
		Kept: filepath.Join(in.cfg.DataDir, "declared"),
	}
	if a.measured != nil {
		out.Observer = a.measured
	}
	bearing, tar, err := in.restsOn()
	if err != nil {
		return nil, err
	}
	if out.Config, err = in.vault.Put(ctx, bytes.NewReader(bearing)); err != nil {
		return nil, err
	}
	if out.Library, err = in.vault.Put(ctx, bytes.NewReader(tar)); err != nil {
		return nil, err
	}
	if len(x.Raw) > 0 {
		out.Excepted, err = in.vault.Put(ctx, bytes.NewReader(x.Raw))
	}
	return out, err
}

// restsOn renders what of the configuration bears on decisions, and the library.
func (in *installation) restsOn() (bearing, tar []byte, err error) {
	if bearing, err = audit.Canonical(in.cfg.Bearing()); err != nil {
		return nil, nil, err
	}
	var buf bytes.Buffer
	err = in.library.WriteTar(&buf)
	return bearing, buf.Bytes(), err
}

// record is a run on record with the catalog that it was judged by.
func (in *installation) record(ctx context.Context, run audit.Run) (audit.Record, error) {
	d, err := in.decider(ctx, run)
	if err != nil {
		return audit.Record{}, err
	}
	rec := audit.Record{Run: run, Catalog: d.Catalog(), Vault: in.vault}
	if in.ledger != nil {
		rec.History, rec.Repairs = in.ledger, in.ledger.RepairsOf
	}
	return rec, nil
}

// decider judges as a run on record was judged: by its library and its parameters.
func (in *installation) decider(ctx context.Context, run audit.Run) (audit.Decider, error) {
	bearing, current, err := in.restsOn()
	if err != nil {
		return nil, err
	}
	key := [2]string{run.Library, run.ConfigDigest}
	if key == [2]string{audit.Digest(current), audit.Digest(bearing)} {
		return in.engine, nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if d, ok := in.deciders[key]; ok {
		return d, nil
	}
	b, err := read(ctx, in.vault, run.ConfigDigest)
	if err != nil {
		return nil, fmt.Errorf("configuration of run %s: %w", short(run.ID), err)
	}
	parameters, err := parametersOf(b)
	if err != nil {
		return nil, fmt.Errorf("configuration of run %s: %w", short(run.ID), err)
	}
	tar, err := read(ctx, in.vault, run.Library)
	if err != nil {
		return nil, fmt.Errorf("library of run %s: %w", short(run.ID), err)
	}
	lib, err := policies.LoadTar(bytes.NewReader(tar), parameters)
	if err != nil {
		return nil, fmt.Errorf("library of run %s: %w", short(run.ID), err)
	}
	e, err := in.decides(lib)
	if err != nil {
		return nil, err
	}
	in.deciders[key] = e
	return e, nil
}

// parametersOf reads the parameters out of what configs.Config.Bearing gave.
func parametersOf(bearing []byte) (map[string]map[string]any, error) {
	v, err := audit.DecodeJSON(bearing)
	if err != nil {
		return nil, err
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("no object")
	}
	out := map[string]map[string]any{}
	controls, _ := doc["parameters"].(map[string]any)
	for id, values := range controls {
		if out[id], ok = values.(map[string]any); !ok {
			return nil, fmt.Errorf("parameters of %s: no object", id)
		}
	}
	return out, nil
}

// read reads a small object whole.
func read(ctx context.Context, v audit.Vault, digest string) ([]byte, error) {
	rc, err := v.Open(ctx, digest)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(rc, audit.MaxLine))
	return b, errors.Join(err, rc.Close())
}

// types are the types of a source that controls are written for.
func types(c audit.Catalog, source string) []string {
	var out []string
	for _, ctl := range c.Controls {
		for _, at := range ctl.AppliesTo {
			if typ, ok := strings.CutPrefix(at, source+"/"); ok && typ != "*" {
				out = append(out, typ)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
