// Package exec repairs by a program on this machine: arguments as a list, no
// shell, an environment of our own, a limit of time and of output, and its whole
// process group ended with it.
package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/remediate"
)

// Config says what may be run.
type Config struct {
	Programs []string          // absolute paths: no runbook can run another
	Env      map[string]string // that every program gets; nothing else of ours
	Dir      string            // where they run, default /
	Output   int               // bytes kept of what is said, default 64 KiB
	Grace    time.Duration     // between asking a program to end and ending it, default 5 s
}

// Runner implements remediate.Runner.
type Runner struct{ cfg Config }

// New does not look at the programs.
func New(cfg Config) (*Runner, error) {
	for _, p := range cfg.Programs {
		if !filepath.IsAbs(p) || filepath.Clean(p) != p {
			return nil, fmt.Errorf("program %q: expected an absolute path", p)
		}
	}
	for name := range cfg.Env {
		if !envForm.MatchString(name) {
			return nil, fmt.Errorf("env %q: expected a name of letters, digits and _", name)
		}
	}
	if cfg.Dir == "" {
		cfg.Dir = "/"
	}
	if cfg.Output == 0 {
		cfg.Output = 64 << 10
	}
	if cfg.Grace == 0 {
		cfg.Grace = 5 * time.Second
	}
	return &Runner{cfg}, nil
}

var envForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// told is what a runbook tells this runner. Each command is a program with its
// arguments. Capture says on standard output what is there; undo gets that on its
// standard input. Dry gives the arguments that ask what would be done.
type told struct {
	Argv    []any          `json:"argv"`
	Dry     []any          `json:"dry_run"`
	Capture []any          `json:"capture"`
	Undo    []any          `json:"undo"`
	Env     map[string]any `json:"env"`
}

// Check implements remediate.Checker.
func (r *Runner) Check(b remediate.Runbook) error {
	var t told
	if err := remediate.Decode(b.Act, &t); err != nil {
		return err
	}
	for name, argv := range map[string][]any{"argv": t.Argv, "dry_run": t.Dry, "capture": t.Capture, "undo": t.Undo} {
		if len(argv) == 0 {
			continue
		}
		program, ok := argv[0].(string)
		if !ok || !slices.Contains(r.cfg.Programs, program) {
			return fmt.Errorf("act.%s: its program is not among remediation.exec.programs", name)
		}
	}
	switch {
	case len(t.Argv) == 0:
		return errors.New("act.argv is required")
	case b.DryRun && len(t.Dry) == 0:
		return errors.New("act.dry_run is required where dry_run is true")
	case b.RollBack && (len(t.Undo) == 0 || len(t.Capture) == 0):
		return errors.New("act.capture and act.undo are required where roll_back is true")
	}
	for name := range t.Env {
		if !envForm.MatchString(name) || slices.Contains([]string{"PATH", "IFS", "ENV", "BASH_ENV", "SHELLOPTS"}, name) || strings.HasPrefix(name, "LD_") {
			return fmt.Errorf("act.env.%s: not a name that a value may have", name)
		}
	}
	return nil
}

// Capture implements remediate.Runner: a list, what the program said for each target.
func (r *Runner) Capture(ctx context.Context, c remediate.Call) (json.RawMessage, error) {
	var states []string
	for _, target := range c.Targets {
		t, err := fill(c.Runbook, target)
		if err != nil {
			return nil, err
		}
		if len(t.Capture) == 0 {
			return nil, nil
		}
		out, said, err := r.run(ctx, c, t.Capture, t.Env, nil)
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, said)
		}
		if !utf8.ValidString(out) {
			return nil, errors.New("act.capture printed what is no text: it could not be put back as it was")
		}
		states = append(states, out)
	}
	return audit.Canonical(states)
}

// Act implements remediate.Runner.
func (r *Runner) Act(ctx context.Context, c remediate.Call) (string, error) {
	var all strings.Builder
	for _, target := range c.Targets {
		t, err := fill(c.Runbook, target)
		if err != nil {
			return all.String(), err
		}
		argv := t.Argv
		if c.DryRun {
			argv = t.Dry
		}
		_, said, err := r.run(ctx, c, argv, t.Env, nil)
		all.WriteString(said)
		if err != nil {
			return all.String(), err
		}
	}
	return all.String(), nil
}

// Undo implements remediate.Runner.
func (r *Runner) Undo(ctx context.Context, c remediate.Call, before json.RawMessage) (string, error) {
	var states []string
	if err := json.Unmarshal(before, &states); err != nil || len(states) != len(c.Targets) {
		return "", errors.New("what was there before is not on record for each target")
	}
	var all strings.Builder
	for i := len(c.Targets) - 1; i >= 0; i-- {
		t, err := fill(c.Runbook, c.Targets[i])
		if err != nil {
			return all.String(), err
		}
		_, said, err := r.run(ctx, c, t.Undo, t.Env, []byte(states[i]))
		all.WriteString(said)
		if err != nil {
			return all.String(), err
		}
	}
	return all.String(), nil
}

func fill(b remediate.Runbook, target remediate.Values) (told, error) {
	var t told
	return t, remediate.Decode(b.Fill(target), &t)
}

// words renders arguments. A value that could be taken for an option is refused:
// no program can tell that it was not meant as one.
func words(b remediate.Runbook, argv []any, values map[string]bool) ([]string, error) {
	out := make([]string, len(argv))
	for i, a := range argv {
		switch a := a.(type) {
		case string:
			out[i] = a
		case json.Number:
			out[i] = a.String()
		case bool:
			out[i] = fmt.Sprint(a)
		default:
			return nil, fmt.Errorf("runbook %s: an argument is neither text nor a number", b.ID)
		}
		if strings.ContainsRune(out[i], 0) {
			return nil, errors.New("an argument holds a zero byte")
		}
		if values[out[i]] && strings.HasPrefix(out[i], "-") {
			return nil, errors.New("a value begins with a dash, and would be taken for an option")
		}
	}
	return out, nil
}

// run runs one command. out is what it printed, said that and what it complained.
func (r *Runner) run(ctx context.Context, c remediate.Call, argv []any, env map[string]any, stdin []byte) (out, said string, err error) {
	values := map[string]bool{}
	for _, t := range c.Targets {
		for _, v := range t {
			values[v] = true
		}
	}
	args, err := words(c.Runbook, argv, values)
	if err != nil {
		return "", "", err
	}
	if len(args) == 0 || !slices.Contains(r.cfg.Programs, args[0]) {
		return "", "", errors.New("the program is not among remediation.exec.programs")
	}
	info, err := os.Stat(args[0])
	switch {
	case err != nil:
		return "", "", err
	case info.Mode().Perm()&0o022 != 0:
		return "", "", fmt.Errorf("%s: others may write it, and what they write would be run: chmod go-w %s", args[0], args[0])
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // one of the configured programs; values are whole arguments
	cmd.Dir, cmd.Stdin = r.cfg.Dir, bytes.NewReader(stdin)
	if cmd.Env, err = r.environment(c, env); err != nil {
		return "", "", err
	}
	stdout, stderr := &bounded{max: r.cfg.Output}, &bounded{max: r.cfg.Output}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = r.cfg.Grace
	err = cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left running; none is the usual case
	}
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	if stdout.cut && err == nil && stdin == nil {
		err = fmt.Errorf("it printed more than %d bytes", r.cfg.Output)
	}
	return stdout.String(), stdout.String() + stderr.String(), err
}

func (r *Runner) environment(c remediate.Call, env map[string]any) ([]string, error) {
	out := []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "CROSSCHECK_REPAIR=" + c.Repair}
	for name, value := range r.cfg.Env {
		out = append(out, name+"="+value)
	}
	for name, v := range env {
		value, ok := v.(string)
		if n, is := v.(json.Number); is {
			value, ok = n.String(), true
		}
		if !ok || strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("act.env.%s: expected text", name)
		}
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out, nil
}

// bounded keeps the beginning of what is written to it. It has no other method of
// a buffer: copying would find ReadFrom and go around the bound.
type bounded struct {
	kept []byte
	max  int
	cut  bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	room := max(0, b.max-len(b.kept))
	b.cut = b.cut || len(p) > room
	b.kept = append(b.kept, p[:min(room, len(p))]...)
	return len(p), nil
}

func (b *bounded) String() string { return string(b.kept) }
