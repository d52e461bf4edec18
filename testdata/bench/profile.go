package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/collectors/recorded"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/evidence"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// profileAudit audits a recording in this process, as `crosscheck audit` does
// without sinks, and writes into a folder where time and memory go: RECORDING
// DIR. Done again with the same folder it is an audit of the next night, for
// which the recording is dated anew.
func profileAudit(ctx context.Context, args []string, out io.Writer) (err error) {
	if len(args) != 2 {
		return errors.New("want profile RECORDING DIR")
	}
	data := filepath.Join(args[1], "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(500) // as crosscheck does
	}
	l, err := ledger.Open(ctx, filepath.Join(data, "ledger.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	runs, err := l.Runs(ctx, ledger.Filter{})
	if err != nil {
		return err
	}
	if err := restamp(args[0], moment.AddDate(0, 0, len(runs))); err != nil {
		return err
	}
	stop, err := profileTo(filepath.Join(args[1], fmt.Sprintf("night-%d.cpu", len(runs)+1)))
	if err != nil {
		return err
	}
	run, err := auditOnce(ctx, args[0], data, l)
	if err := errors.Join(err, stop(), profileAllocations(filepath.Join(args[1], fmt.Sprintf("night-%d.allocs", len(runs)+1)))); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "run %s: go tool pprof %s\n", run.ID, filepath.Join(args[1], fmt.Sprintf("night-%d.cpu", len(runs)+1)))
	return err
}

func auditOnce(ctx context.Context, recording, data string, l *ledger.Ledger) (audit.Run, error) {
	c, err := recorded.New(recorded.Config{FS: os.DirFS(recording)})
	if err != nil {
		return audit.Run{}, err
	}
	lib, err := policies.Load(policies.Embedded(), nil)
	if err != nil {
		return audit.Run{}, err
	}
	e, err := evaluate.New(evaluate.Config{Library: lib})
	if err != nil {
		return audit.Run{}, err
	}
	v, err := evidence.NewVault(filepath.Join(data, "vault"))
	if err != nil {
		return audit.Run{}, err
	}
	a := audit.Auditor{
		Collectors: []audit.Collector{c}, Decider: e, Engine: e.Name(), Vault: v, Ledger: l, Entity: "Bench", System: "Bench",
		Kept: filepath.Join(data, "declared"),
		Now:  time.Now, Log: slog.New(slog.DiscardHandler),
	}
	return a.Run(ctx, audit.Order{Trigger: audit.Manual})
}

// profileTo begins a profile of this process's CPU time, which stop writes to a
// file; without a name there is none. What the reference takes is in it too: in
// pprof, -focus Decide shows what deciding takes.
func profileTo(name string) (stop func() error, err error) {
	if name == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, nil
}

func profileAllocations(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}
