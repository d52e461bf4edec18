package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// cpu is what this process has used of processors, user and system.
func cpu() (time.Duration, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), nil
}

// spent is what something took.
type spent struct {
	cpu, wall time.Duration
	rss       int64 // bytes at most, of processes only
}

// least keeps the smaller of two measurements, each part by itself: noise only adds.
func (s spent) least(t spent) spent {
	if s == (spent{}) {
		return t
	}
	return spent{min(s.cpu, t.cpu), min(s.wall, t.wall), max(s.rss, t.rss)}
}

// rounds says how often things are measured in turn: at least twice, until the
// time is used up or it was often enough.
type rounds struct {
	most  int
	until time.Duration
}

// alternate measures functions of this process in turn and gives the least that each took.
func (r rounds) alternate(ctx context.Context, fs ...func(context.Context) error) ([]spent, error) {
	out := make([]spent, len(fs))
	began := time.Now()
	for n := 0; n < r.most && (n < 2 || time.Since(began) < r.until); n++ {
		for i, f := range fs {
			runtime.GC()
			before, err := cpu()
			if err != nil {
				return nil, err
			}
			start := time.Now()
			if err := f(ctx); err != nil {
				return nil, err
			}
			wall := time.Since(start)
			after, err := cpu()
			if err != nil {
				return nil, err
			}
			out[i] = out[i].least(spent{cpu: after - before, wall: wall})
		}
	}
	return out, nil
}

// decodeAll is the reference: what encoding/json needs to read the same bytes.
func decodeAll(lines [][]byte) func(context.Context) error {
	return func(context.Context) error {
		for _, line := range lines {
			var v any
			if err := json.Unmarshal(line, &v); err != nil {
				return err
			}
		}
		return nil
	}
}

// process is a program to be measured as a whole.
type process struct {
	name  string
	args  []string
	env   []string
	codes []int // exit codes that are as wanted beside 0
	out   io.Writer
}

// run runs a process with one processor and says what it took.
func (p process) run(ctx context.Context) (spent, error) {
	cmd := exec.CommandContext(ctx, p.name, p.args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = p.out, &limited{buf: &said, left: 16 << 10}
	cmd.Env = append(append(os.Environ(), "GOMAXPROCS=1"), p.env...)
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		for _, code := range p.codes {
			if exit.ExitCode() == code {
				err = nil
			}
		}
	}
	if err != nil {
		return spent{}, fmt.Errorf("%s %s: %w: %s", p.name, strings.Join(p.args, " "), err, strings.TrimSpace(said.String()))
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return spent{}, errors.New("this system does not tell what a process used")
	}
	return spent{time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), wall, usage.Maxrss << 10}, nil
}

// limited keeps the beginning of what is written, and takes the rest.
type limited struct {
	buf  *bytes.Buffer
	left int
}

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	l.buf.Write(p[:n])
	return len(p), nil
}

// processes measures processes in turn and gives the least that each took.
func (r rounds) processes(ctx context.Context, ps ...process) ([]spent, error) {
	out := make([]spent, len(ps))
	began := time.Now()
	for n := 0; n < r.most && (n < 2 || time.Since(began) < r.until); n++ {
		for i, p := range ps {
			s, err := p.run(ctx)
			if err != nil {
				return nil, err
			}
			out[i] = out[i].least(s)
		}
	}
	return out, nil
}

// ratio is a by b.
func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }
