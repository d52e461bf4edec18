package main

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/policies"
)

const seed = 20261121

// decider is an engine with a library and what it is to decide.
type decider struct {
	engine *evaluate.Engine
	data   *memory
	last   renderer // of the last time
}

func newDecider(fsys fs.FS, data *memory, workers int) (*decider, error) {
	lib, err := policies.Load(fsys, nil)
	if err != nil {
		return nil, fmt.Errorf("library: %w", err)
	}
	e, err := evaluate.New(evaluate.Config{Library: lib, Workers: workers})
	return &decider{engine: e, data: data}, err
}

// prepare decides a document of each type: what is prepared when a type is
// first met is what library-ready measures, and is not measured again.
func (d *decider) prepare(ctx context.Context) error {
	few := *d
	few.data = d.data.each
	return few.run(ctx)
}

// run decides everything.
func (d *decider) run(ctx context.Context) error {
	d.last = renderer{}
	return d.engine.Decide(ctx, audit.Judgement{AsOf: moment, Snapshots: d.data.snapshots, Vault: d.data, Reuse: true}, d.last.emit)
}

// against decides and decodes in turn: a ratio of CPU time.
func (d *decider) against(ctx context.Context, r rounds) (float64, error) {
	if err := d.prepare(ctx); err != nil {
		return 0, err
	}
	took, err := r.alternate(ctx, decodeAll(d.data.lines), d.run)
	if err != nil {
		return 0, err
	}
	return ratio(took[1].cpu, took[0].cpu), nil
}

func (d *decider) describe() string {
	return fmt.Sprintf("%d resources, %.1f MB, %d failed decisions, %.1f MB of them", len(d.data.lines), mb(d.data.bytes), d.last.failed, mb(d.last.written))
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// generated decides the generated clusters by n variants of each shape.
func generated(n int) func(context.Context, *bench) ([]result, error) {
	return func(ctx context.Context, b *bench) ([]result, error) {
		data, err := b.clusters()
		if err != nil {
			return nil, err
		}
		d, err := newDecider(newLibrary(n).FS(), data, 1)
		if err != nil {
			return nil, err
		}
		v, err := d.against(ctx, b.rounds)
		return []result{{v, d.describe()}}, err
	}
}

// ownLibrary decides the scaled estate by the library that comes with crosscheck.
func ownLibrary(ctx context.Context, b *bench) ([]result, error) {
	s, err := newScaled(b.size(100_000, 10_000))
	if err != nil {
		return nil, err
	}
	data, err := hold(s.parts())
	if err != nil {
		return nil, err
	}
	d, err := newDecider(policies.Embedded(), data, 1)
	if err != nil {
		return nil, err
	}
	v, err := d.against(ctx, b.rounds)
	return []result{{v, d.describe()}}, err
}

// twoWorkers compares the throughput of two workers on two processors with that of one on one.
func twoWorkers(ctx context.Context, b *bench) ([]result, error) {
	data, err := b.clusters()
	if err != nil {
		return nil, err
	}
	var ds [2]*decider
	for i := range ds {
		if ds[i], err = newDecider(newLibrary(1).FS(), data, i+1); err != nil {
			return nil, err
		}
		if err := ds[i].prepare(ctx); err != nil {
			return nil, err
		}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	with := func(n int) func(context.Context) error {
		return func(ctx context.Context) error {
			runtime.GOMAXPROCS(n)
			return ds[n-1].run(ctx)
		}
	}
	took, err := b.rounds.alternate(ctx, with(1), with(2))
	if err != nil {
		return nil, err
	}
	return []result{{ratio(took[0].wall, took[1].wall), fmt.Sprintf("wall time, %s and %s; %s", ms(took[0].wall), ms(took[1].wall), ds[1].describe())}}, nil
}
