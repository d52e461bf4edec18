package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// installation is a folder in which crosscheck audits a recording.
type installation struct {
	dir     string
	program string
	bytes   int64 // of the recording, uncompressed
}

// install makes a folder with a configuration that delivers nowhere: an audit
// collects, decides and records, and no more. library is a folder, or empty for
// crosscheck's own.
func (b *bench) install(ctx context.Context, name, library string) (*installation, error) {
	program, err := b.program(ctx)
	if err != nil {
		return nil, err
	}
	in := &installation{dir: filepath.Join(b.dir, name), program: program}
	if err := os.MkdirAll(in.dir, 0o755); err != nil {
		return nil, err
	}
	config := "version: 1\nentity: Bench\nsystem: Bench\ndata_dir: ./data\nsources:\n  recorded:\n    - {name: bench, path: ./recording}\nsinks: {}\n"
	if library != "" {
		config += "library: " + library + "\n"
	}
	return in, os.WriteFile(in.file("crosscheck.yaml"), []byte(config), 0o600)
}

func (in *installation) file(name string) string { return filepath.Join(in.dir, name) }

// record puts a recording there.
func (in *installation) record(parts []part, at time.Time) (err error) {
	in.bytes, err = record(in.file("recording"), parts, at)
	return err
}

// audit runs one audit, in a process of its own.
func (in *installation) audit(ctx context.Context) (spent, error) {
	p := process{
		name: in.program, args: []string{"audit", "--config", in.file("crosscheck.yaml")}, out: io.Discard,
		env: []string{"XDG_CONFIG_HOME=" + in.file("settings"), "TMPDIR=" + in.dir},
	}
	return p.run(ctx)
}

func (in *installation) forget() error { return os.RemoveAll(in.file("data")) }

// size is what data_dir takes on disk, in allocated blocks.
func (in *installation) size() (size int64, err error) {
	err = filepath.WalkDir(in.file("data"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			size += stat.Blocks * 512
		}
		return nil
	})
	return size, err
}

// audits are first audits and second ones, a night later, of an estate in which
// nothing changed, against encoding/json on the same bytes.
func audits(ctx context.Context, b *bench) ([]result, error) {
	s, err := newScaled(b.size(100_000, 10_000))
	if err != nil {
		return nil, err
	}
	in, err := b.install(ctx, "audit-100k", "")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(in.dir) }()
	if err := in.record(s.parts(), moment); err != nil {
		return nil, err
	}
	data, err := hold(s.parts())
	if err != nil {
		return nil, err
	}
	var first, again, reference spent
	for range b.size(5, 2) {
		took, err := rounds{most: 2}.alternate(ctx, decodeAll(data.lines))
		if err != nil {
			return nil, err
		}
		reference = reference.least(took[0])
		for night, into := range []*spent{&first, &again} {
			if err := restamp(in.file("recording"), moment.AddDate(0, 0, night)); err != nil {
				return nil, err
			}
			took, err := in.audit(ctx)
			if err != nil {
				return nil, err
			}
			*into = into.least(took)
		}
		if err := in.forget(); err != nil {
			return nil, err
		}
	}
	of := fmt.Sprintf("own library, scaled estate, %d resources, %.1f MB", len(data.lines), mb(data.bytes))
	return []result{
		{ratio(first.cpu, reference.cpu), fmt.Sprintf("%s; %s by encoding/json, %s the audit", of, ms(reference.cpu), ms(first.cpu))},
		{ratio(again.cpu, first.cpu), fmt.Sprintf("%s; %s the first audit, %s the next night's", of, ms(first.cpu), ms(again.cpu))},
	}, nil
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// largeAudit compares an audit of a million resources with audits of a tenth of
// them, one before and one after.
func largeAudit(ctx context.Context, b *bench) ([]result, error) {
	var ins [2]*installation
	sizes := [2]int{b.size(100_000, 10_000), b.size(1_000_000, 40_000)}
	for i, n := range sizes {
		s, err := newScaled(n)
		if err != nil {
			return nil, err
		}
		if ins[i], err = b.install(ctx, fmt.Sprintf("audit-%d", n), ""); err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(ins[i].dir) }()
		if err := ins[i].record(s.parts(), moment); err != nil {
			return nil, err
		}
	}
	var took [2]spent
	for _, i := range []int{0, 1, 0} {
		s, err := ins[i].audit(ctx)
		if err != nil {
			return nil, err
		}
		took[i] = took[i].least(s)
		if err := ins[i].forget(); err != nil {
			return nil, err
		}
	}
	each := func(i int) float64 { return float64(took[i].cpu) / float64(ins[i].bytes) }
	of := fmt.Sprintf("own library, scaled estate, %d resources, %.0f MB", sizes[1], mb(ins[1].bytes))
	return []result{
		{each(1) / each(0), fmt.Sprintf("CPU a byte, of that with %d resources; %s: %s CPU, %s wall", sizes[0], of, ms(took[1].cpu), ms(took[1].wall))},
		{mib(took[1].rss) / 1024, fmt.Sprintf("GiB at most; %s; %.2f GiB with %d", of, mib(took[0].rss)/1024, sizes[0])},
	}, nil
}

// storage audits every night an estate of which every resource has 14 controls
// and one in a hundred changes a day, and reckons a year of a million from it.
func storage(ctx context.Context, b *bench) ([]result, error) {
	n, nights := b.size(40_000, 20_000), b.size(30, 5)
	library := filepath.Join(b.dir, "library-40")
	if err := newLibrary(1).write(library); err != nil {
		return nil, err
	}
	in, err := b.install(ctx, "storage", library)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(in.dir) }()
	night := 0
	s := &clusters{seed: seed, n: n, workloads: true, version: func(i int) int { return changes(uint64(i), night) }}
	var base, last int64
	for ; night < nights; night++ {
		if err := in.record(s.parts(), moment.AddDate(0, 0, night)); err != nil {
			return nil, err
		}
		took, err := in.audit(ctx)
		if err != nil {
			return nil, fmt.Errorf("night %d: %w", night, err)
		}
		if last, err = in.size(); err != nil {
			return nil, err
		}
		if night == 0 {
			base = last
		}
		fmt.Fprintf(os.Stderr, "bench: storage-year: night %d: %.1f MB on disk, %s CPU\n", night, mb(last), ms(took.cpu))
	}
	growth := float64(last-base) / float64(nights-1)
	year := (float64(base) + 364*growth) * 1e6 / float64(n)
	return []result{{year / math.Pow(2, 30), fmt.Sprintf("GiB for 365 nights of 1,000,000 resources x 14 controls, from %d nights of %d resources (%.0f MB): %.1f MB the first night, %.2f MB every other",
		nights, n, mb(in.bytes), mb(base), growth/1e6)}}, nil
}

// changes is how often a resource changed until a night: one in a hundred does, every night.
func changes(which uint64, night int) int {
	n := 0
	for day := 1; day <= night; day++ {
		if mix(which, uint64(day))%100 == 0 {
			n++
		}
	}
	return n
}
