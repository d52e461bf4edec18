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
	"slices"
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

// run runs a process, with one processor unless its environment says otherwise,
// and says what it took. It is started by a
// process between, which is small: Linux counts to the peak of a process what its
// parent held when it was started.
func (p process) run(ctx context.Context) (spent, error) {
	us, err := os.Executable()
	if err != nil {
		return spent{}, err
	}
	from, to, err := os.Pipe()
	if err != nil {
		return spent{}, err
	}
	defer func() { _ = from.Close() }()
	cmd := exec.CommandContext(ctx, us, append([]string{"child", "spawn", p.name}, p.args...)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = p.out, &limited{buf: &said, left: 16 << 10}
	cmd.Env = append(append(os.Environ(), "GOMAXPROCS=1"), p.env...)
	cmd.ExtraFiles = []*os.File{to}
	err = errors.Join(cmd.Run(), to.Close())
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && slices.Contains(p.codes, exit.ExitCode()) {
		err = nil
	}
	if err != nil {
		return spent{}, fmt.Errorf("%s %s: %w: %s", p.name, strings.Join(p.args, " "), err, strings.TrimSpace(said.String()))
	}
	var u usage
	err = json.NewDecoder(from).Decode(&u)
	return spent{u.CPU, u.Wall, u.Peak}, err
}

// usage is what a process took, as the one that started it says.
type usage struct {
	CPU, Wall time.Duration
	Peak      int64 // bytes
}

// spawn starts a program, says on file 3 what it took, and ends as it ended.
func spawn(args []string) error {
	cmd := exec.Command(args[0], args[1:]...) //nolint:noctx // it ends with this process
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if cmd.ProcessState == nil {
		return err
	}
	r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("this system does not tell what a process used")
	}
	u := usage{time.Duration(r.Utime.Nano() + r.Stime.Nano()), wall, r.Maxrss << 10}
	if err := json.NewEncoder(os.NewFile(3, "usage")).Encode(u); err != nil {
		return err
	}
	if code := cmd.ProcessState.ExitCode(); code > 0 {
		os.Exit(code)
	}
	return err
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
