package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// files is one document each, as opa exec and conftest want them.
func (b *bench) files(n int) (dir string, err error) {
	dir = filepath.Join(b.dir, fmt.Sprintf("files-%d", n))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	i := 0
	for _, p := range (&clusters{seed: seed, n: n}).parts() {
		_, err := p.each(func(line []byte) error {
			i++
			return os.WriteFile(filepath.Join(dir, fmt.Sprintf("%06d.json", i)), line, 0o600)
		})
		if err != nil {
			return "", err
		}
	}
	return dir, nil
}

// bundle writes the library of decide-40, from which all three decide.
func (b *bench) bundle() (dir string, err error) {
	dir = filepath.Join(b.dir, "bundle")
	return dir, newLibrary(1).Bundle(dir)
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

func opaExec(ctx context.Context, b *bench) ([]result, error) {
	opa, err := tool("opa")
	if err != nil {
		return nil, err
	}
	n := b.size(2000, 500)
	return b.rival(ctx, n, n, func(bundle, files string) process {
		return process{name: opa, args: []string{"exec", "--bundle", bundle, "--decision", "bench/violations", files}}
	})
}

// conftest is asked of fewer files: it would need minutes for all of them.
func conftest(ctx context.Context, b *bench) ([]result, error) {
	path, err := tool("conftest")
	if err != nil {
		return nil, err
	}
	return b.rival(ctx, b.size(2000, 500), b.size(400, 100), func(bundle, files string) process {
		return process{name: path, args: []string{
			"test", "--no-fail", "--no-color", "--output", "json", "--namespace", "main", "--data", filepath.Join(bundle, "data.json"), "--policy", bundle, files,
		}}
	})
}

// rival compares whole processes that decide the same files by the same Rego:
// ours n of them, the other one others of them. What they take is divided by
// the number of files, start included.
func (b *bench) rival(ctx context.Context, n, others int, other func(bundle, files string) process) ([]result, error) {
	bundle, err := b.bundle()
	if err != nil {
		return nil, err
	}
	files, err := b.files(n)
	if err != nil {
		return nil, err
	}
	fewer, err := b.files(others)
	if err != nil {
		return nil, err
	}
	ours, err := self("decide", bundle, files)
	if err != nil {
		return nil, err
	}
	theirs := other(bundle, fewer)
	var said counter
	theirs.out = &said
	took, err := rounds{most: 3, until: 40 * time.Second}.processes(ctx, ours, theirs)
	if err != nil {
		return nil, err
	}
	if said.n < int64(others) {
		return nil, fmt.Errorf("%s said only %d bytes of %d files", theirs.name, said.n, others)
	}
	each := func(d time.Duration, n int) time.Duration { return d / time.Duration(n) }
	of := func(a, b time.Duration) result {
		return result{ratio(each(b, others), each(a, n)), fmt.Sprintf("%s for %d files by crosscheck, %s for %d by %s",
			a.Round(time.Millisecond), n, b.Round(time.Millisecond), others, filepath.Base(theirs.name))}
	}
	return []result{of(took[0].cpu, took[1].cpu), of(took[0].wall, took[1].wall)}, nil
}

// counter counts bytes.
type counter struct{ n int64 }

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
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
	if n := runtime.GOMAXPROCS(0); n != 1 {
		return fmt.Errorf("child %s: measured with %d processors", what, n)
	}
	switch {
	case what == "decide" && len(args) == 2:
		return childDecide(ctx, args[0], args[1], out)
	case what == "ready" && len(args) == 1:
		return childReady(ctx, args[0])
	case what == "index" && len(args) == 1:
		return childIndex(ctx, args[0])
	}
	return errors.New("no such child")
}
