package exec_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/remediate"
	"github.com/crosscheck-dev/crosscheck/remediate/exec"
)

// program writes a script that stands for an operator's own.
func program(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	// What another test starts meanwhile would have it open for writing, and it could not be run.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	return path
}

func runbook(t *testing.T, act string) remediate.Runbook {
	t.Helper()
	r, err := remediate.Parse([]byte(`id: fix
version: 1.0.0
title: Fix
controls: [STO-001]
types: ["aws/AWS::S3::Bucket"]
runner: exec
parameters:
  name: {from: document, pointer: /name, pattern: '^.*$', max: 4096}
act: ` + act + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func runner(t *testing.T, cfg exec.Config) *exec.Runner {
	t.Helper()
	r, err := exec.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func call(b remediate.Runbook, names ...string) remediate.Call {
	c := remediate.Call{Repair: "r1", Runbook: b}
	for _, n := range names {
		c.Targets = append(c.Targets, remediate.Values{"name": n})
	}
	return c
}

// hostile are names that would do something where they are spliced into a text.
var hostile = []string{
	"x; touch PWNED", "$(touch PWNED)", "`touch PWNED`", "x && touch PWNED", "x\ny", "'; touch PWNED; '", `"; touch PWNED; "`, "{{.Env}}",
	"${IFS}touch${IFS}PWNED", "*", "~", "%s%n", "../../etc/passwd", `{"a":1}`, "x\r\nX-Evil: 1", "| touch PWNED", "> PWNED",
}

func TestValuesAreWholeArguments(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	p := program(t, `printf '%s\0%s\0%s' "$#" "$1" "$NAME" >`+out)
	dir := t.TempDir()
	r := runner(t, exec.Config{Programs: []string{p}, Dir: dir})
	b := runbook(t, "{argv: ["+p+", {param: name}], env: {NAME: {param: name}}}")
	if err := r.Check(b); err != nil {
		t.Fatal(err)
	}
	for _, name := range hostile {
		if _, err := r.Act(t.Context(), call(b, name)); err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff("1\x00"+name+"\x00"+name, string(got)); diff != "" {
			t.Errorf("%q: %s", name, diff)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("a name did something: %v, %v", left, err)
	}
}

func TestNoOptionIsSmuggledIn(t *testing.T) {
	t.Parallel()
	called := filepath.Join(t.TempDir(), "called")
	p := program(t, "touch "+called)
	r, b := runner(t, exec.Config{Programs: []string{p}}), runbook(t, "{argv: ["+p+", {param: name}]}")
	for _, name := range []string{"-rf", "--exec=x", "-", "a\x00b"} {
		if _, err := r.Act(t.Context(), call(b, name)); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	if _, err := os.Stat(called); err == nil {
		t.Error("the program was run")
	}
}

func TestEnvironmentIsClean(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary")
	p := program(t, "env")
	r := runner(t, exec.Config{Programs: []string{p}, Env: map[string]string{"TOKEN": "t"}})
	out, err := r.Act(t.Context(), call(runbook(t, "{argv: ["+p+"]}"), "x"))
	if err != nil || strings.Contains(out, "canary") || !strings.Contains(out, "TOKEN=t\n") || !strings.Contains(out, "CROSSCHECK_REPAIR=r1\n") {
		t.Errorf("env is %q, %v", out, err)
	}
}

func TestOnlyConfiguredPrograms(t *testing.T) {
	t.Parallel()
	p := program(t, "true")
	r := runner(t, exec.Config{Programs: []string{p}})
	for name, act := range map[string]string{
		"other program":   "{argv: [/bin/sh, -c, x]}",
		"from a value":    "{argv: [{param: name}]}",
		"none":            "{env: {A: b}}",
		"loader":          "{argv: [" + p + "], env: {LD_PRELOAD: x}}",
		"path":            "{argv: [" + p + "], env: {PATH: x}}",
		"unknown field":   "{argv: [" + p + "], shell: true}",
		"undo of another": "{argv: [" + p + "], undo: [/bin/rm]}",
	} {
		if err := r.Check(runbook(t, act)); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	if _, err := exec.New(exec.Config{Programs: []string{"rm"}}); err == nil {
		t.Error("a program without a path is taken")
	}
}

func TestFailureAndOutput(t *testing.T) {
	t.Parallel()
	p := program(t, `if [ "$1" = long ]; then yes | head -c 1000000; exit 0; fi; echo out; echo err >&2; exit 3`)
	r := runner(t, exec.Config{Programs: []string{p}, Output: 1000})
	b := runbook(t, "{argv: ["+p+", {param: name}]}")
	out, err := r.Act(t.Context(), call(b, "x"))
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || out != "out\nerr\n" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err = r.Act(t.Context(), call(b, "long")); err == nil || len(out) != 1000 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

// TestTheWholeGroupEnds has a program leave a child behind that ignores being asked.
func TestTheWholeGroupEnds(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(t.TempDir(), "pid")
	p := program(t, "trap '' TERM\n(trap '' TERM; while :; do sleep 1; done) &\necho $! >"+pid+"\nwait\n")
	r := runner(t, exec.Config{Programs: []string{p}, Grace: 200 * time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := r.Act(ctx, call(runbook(t, "{argv: ["+p+"]}"), "x"))
		done <- err
	}()
	child := 0
	for child == 0 {
		b, err := os.ReadFile(pid)
		if err == nil {
			child, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		}
		if t.Context().Err() != nil {
			t.Fatal("the program did not begin")
		}
	}
	stop()
	if err := <-done; err == nil {
		t.Error("it ended well")
	}
	for syscall.Kill(child, 0) == nil && !zombie(child) {
		if t.Context().Err() != nil {
			t.Fatal("its child lives on")
		}
	}
}

// zombie tells whether a process has ended and waits for its parent.
func zombie(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(b), ") Z ")
}

func TestCaptureAndUndo(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	p := program(t, `case $1 in get) cat "`+state+`.$2";; set) echo closed >"`+state+`.$2";; put) cat >"`+state+`.$2";; esac`)
	b := runbook(t, "{argv: ["+p+", set, {param: name}], capture: ["+p+", get, {param: name}], undo: ["+p+", put, {param: name}]}")
	r := runner(t, exec.Config{Programs: []string{p}})
	for name, text := range map[string]string{"a": "open\nwith 'quotes'\n", "b": "half"} {
		if err := os.WriteFile(state+"."+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := call(b, "a", "b")
	before, err := r.Capture(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Act(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if now, err := r.Capture(t.Context(), c); err != nil || string(now) == string(before) {
		t.Fatalf("the act changed nothing: %s, %v", now, err)
	}
	if _, err := r.Undo(t.Context(), c, before); err != nil {
		t.Fatal(err)
	}
	now, err := r.Capture(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(before), string(now)); diff != "" {
		t.Error(diff)
	}
	if _, err := r.Undo(t.Context(), c, nil); err == nil {
		t.Error("it undoes without knowing what was there")
	}
}

// TestCaptureOfBytes: what is no text cannot be put back as it was, and is no memory.
func TestCaptureOfBytes(t *testing.T) {
	t.Parallel()
	p := program(t, `printf 'key=\377\n'`)
	r, b := runner(t, exec.Config{Programs: []string{p}}), runbook(t, "{argv: ["+p+"], capture: ["+p+"], undo: ["+p+"]}")
	if got, err := r.Capture(t.Context(), call(b, "x")); err == nil {
		t.Errorf("Capture() = %s", got)
	}
}

// TestWritable: a program that others may write is not run.
func TestWritable(t *testing.T) {
	t.Parallel()
	p := program(t, "echo ran")
	r, b := runner(t, exec.Config{Programs: []string{p}}), runbook(t, "{argv: ["+p+"]}")
	for mode, want := range map[os.FileMode]bool{0o700: true, 0o755: true, 0o775: false, 0o702: false} {
		if err := os.Chmod(p, mode); err != nil { //nolint:gosec // that is what is tried
			t.Fatal(err)
		}
		out, err := r.Act(t.Context(), call(b, "x"))
		if (err == nil) != want || strings.Contains(out, "ran") != want {
			t.Errorf("%v: %q, %v", mode, out, err)
		}
	}
}
