package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// files is one document each, as opa exec and conftest want them, and beside the
// folder what a snapshot's manifest says of them.
func (b *bench) files(n int) (dir string, err error) {
	dir = filepath.Join(b.dir, fmt.Sprintf("files-%d", n))
	if _, err := os.Stat(manifestOf(dir)); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	snap, counts := audit.Snapshot{Origin: "kubernetes/bench-00"}, map[string]int64{}
	for _, p := range (&clusters{seed: seed, n: n}).parts() {
		_, err := p.each(func(_ string, line []byte) error {
			h, err := audit.ParseHead(line)
			if err != nil {
				return err
			}
			counts[h.Type]++
			snap.Resources++
			return os.WriteFile(filepath.Join(dir, fmt.Sprintf("%06d.json", snap.Resources)), line, 0o600)
		})
		if err != nil {
			return "", err
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(counts)) {
		snap.Documents = append(snap.Documents, audit.TypeCount{Type: typ, Listed: counts[typ]})
	}
	manifest, err := json.Marshal(snap)
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(manifestOf(dir), manifest, 0o600)
}

// tool finds a program that testdata/bench/tools/install built.
func tool(name string) (string, error) {
	root := os.Getenv("CROSSCHECK_SERVERS")
	if root == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		root = filepath.Join(home, ".cache", "crosscheck")
	}
	path := filepath.Join(root, "bin", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: run testdata/bench/tools/install", err)
	}
	return path, nil
}

// self is this program doing one thing in a process of its own.
func self(args ...string) (process, error) {
	name, err := os.Executable()
	return process{name: name, args: append([]string{"child"}, args...), out: io.Discard}, err
}

// opaExec asks both the same files, one in every so many of those that there are,
// with the library of so many variants.
func opaExec(variants, every int) func(context.Context, *bench) ([]result, error) {
	return func(ctx context.Context, b *bench) ([]result, error) {
		n := b.size(b.estate/every, 1000)
		opa, err := tool("opa")
		if err != nil {
			return nil, err
		}
		bundle := filepath.Join(b.dir, fmt.Sprintf("bundle-%d", variants))
		if err := newLibrary(variants).Bundle(bundle); err != nil {
			return nil, err
		}
		return b.rival(ctx, variants, n, n, `"expected":`, func(files string) process {
			return process{name: opa, args: []string{"exec", "--bundle", bundle, "--decision", "bench/violations", files}}
		})
	}
}

// conftest is asked of fewer files: it would need minutes for all of them.
func conftest(variants, others int) func(context.Context, *bench) ([]result, error) {
	return func(ctx context.Context, b *bench) ([]result, error) {
		path, err := tool("conftest")
		if err != nil {
			return nil, err
		}
		policy := filepath.Join(b.dir, fmt.Sprintf("conftest-%d", variants))
		if err := newLibrary(variants).Namespaces(policy); err != nil {
			return nil, err
		}
		return b.rival(ctx, variants, b.size(b.estate, 1000), b.size(others, 100), `"msg":`, func(files string) process {
			return process{name: path, args: []string{
				"test", "--no-fail", "--no-color", "--output", "json", "--all-namespaces", "--data", filepath.Join(policy, "data.json"), "--policy", policy, files,
			}}
		})
	}
}

// rival compares whole processes that decide such files by the same Rego: ours
// decides n of them, the other one others. What they take is divided by the number
// of files, start included: CPU time on one processor, and wall time on all that
// there are, as whoever starts them has it. key stands once for each violation in
// what the other one prints; before, both must find as many in some of the files.
func (b *bench) rival(ctx context.Context, variants, n, others int, key string, other func(files string) process) ([]result, error) {
	library := filepath.Join(b.dir, fmt.Sprintf("library-%d", variants))
	if err := newLibrary(variants).write(library); err != nil {
		return nil, err
	}
	files, err := b.files(n)
	if err != nil {
		return nil, err
	}
	theirFiles, err := b.files(others)
	if err != nil {
		return nil, err
	}
	some, err := b.files(min(others, 2000))
	if err != nil {
		return nil, err
	}
	ours, err := self("decide", library, files)
	if err != nil {
		return nil, err
	}
	same, err := self("decide", library, some)
	if err != nil {
		return nil, err
	}
	if err := agree(ctx, key, same, other(some)); err != nil {
		return nil, err
	}
	theirs := other(theirFiles)
	theirs.out = io.Discard
	each := func(d time.Duration, n int) time.Duration { return d / time.Duration(n) }
	of := func(a, b time.Duration, processors int) result {
		return result{ratio(each(b, others), each(a, n)), fmt.Sprintf("%s for %d files by crosscheck, %s for %d by %s, on %d of the processors",
			ms(a), n, ms(b), others, filepath.Base(theirs.name), processors)}
	}
	turns := rounds{most: 4, until: time.Minute}
	took, err := turns.processes(ctx, ours, theirs)
	if err != nil {
		return nil, err
	}
	all := fmt.Sprint("GOMAXPROCS=", runtime.NumCPU())
	ours.env, theirs.env = []string{all}, []string{all}
	wide, err := turns.processes(ctx, ours, theirs)
	if err != nil {
		return nil, err
	}
	return []result{of(took[0].cpu, took[1].cpu, 1), of(wide[0].wall, wide[1].wall, runtime.NumCPU())}, nil
}

// agree has both decide the same files: they must find as many violations, and some.
func agree(ctx context.Context, key string, ours, theirs process) error {
	found := [2]*seen{{key: `"expected":`}, {key: key}}
	ours.out, theirs.out = found[0], found[1]
	for _, p := range []process{ours, theirs} {
		if _, err := p.run(ctx); err != nil {
			return err
		}
	}
	if found[0].times != found[1].times || found[0].times == 0 {
		return fmt.Errorf("%d violations by crosscheck, %d by %s", found[0].times, found[1].times, theirs.name)
	}
	return nil
}

// seen counts how often a key stands in what a process prints.
type seen struct {
	key   string
	times int
	rest  []byte
}

// Write implements io.Writer.
func (s *seen) Write(p []byte) (int, error) {
	b := append(s.rest, p...)
	for {
		i := bytes.Index(b, []byte(s.key))
		if i < 0 {
			break
		}
		s.times++
		b = b[i+len(s.key):]
	}
	s.rest = bytes.Clone(b[max(0, len(b)-len(s.key)+1):])
	return len(p), nil
}

// libraryReady is the CPU time in seconds until 200 controls can be used.
func libraryReady(ctx context.Context, b *bench) ([]result, error) {
	dir := filepath.Join(b.dir, "library-200")
	lib := newLibrary(variants)
	if err := lib.write(dir); err != nil {
		return nil, err
	}
	p, err := self("ready", dir)
	if err != nil {
		return nil, err
	}
	took, err := rounds{most: 5, until: 20 * time.Second}.processes(ctx, p)
	if err != nil {
		return nil, err
	}
	return []result{{took[0].cpu.Seconds(), fmt.Sprintf("seconds of CPU, a process that loads %d controls and decides a document of each type; peak %.0f MiB", variants*len(shapes()), mib(took[0].rss))}}, nil
}

// indexMemory is the peak memory, in MiB, of a process that looks up in an
// estate of resources with three keys each.
func indexMemory(ctx context.Context, b *bench) ([]result, error) {
	n := b.size(1_000_000, 100_000)
	p, err := self("index", fmt.Sprint(n))
	if err != nil {
		return nil, err
	}
	took, err := p.run(ctx)
	if err != nil {
		return nil, err
	}
	return []result{{mib(took.rss), fmt.Sprintf("MiB at most, %d resources with 3 keys each, %s CPU", n, took.cpu.Round(time.Millisecond))}}, nil
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// child does what self asked for.
func child(ctx context.Context, what string, args []string, out io.Writer) error {
	if n := runtime.GOMAXPROCS(0); n != 1 && what != "decide" && what != "spawn" {
		return fmt.Errorf("child %s: measured with %d processors", what, n)
	}
	if what == "spawn" && len(args) > 0 {
		return spawn(args)
	}
	if n, ok := map[string]int{"decide": 2, "ready": 1, "index": 1, "cancel": 3}[what]; !ok || len(args) != n {
		return errors.New("no such child")
	}
	switch what {
	case "ready":
		return childReady(ctx, args[0])
	case "index":
		return childIndex(ctx, args[0])
	case "cancel":
		return childCancel(ctx, args, out)
	}
	return childDecide(ctx, args[0], args[len(args)-1], out)
}
