package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// home is an installation of its own: the folder that the program runs in, with
// the keys in .config and a place for temporary files.
type home struct{ dir string }

func newHome(t *testing.T) home {
	t.Helper()
	h := home{t.TempDir()}
	if err := os.MkdirAll(h.temp(), 0o700); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h home) path(elements ...string) string {
	return filepath.Join(append([]string{h.dir}, elements...)...)
}
func (h home) data() string   { return h.path("crosscheck-data") }
func (h home) ledger() string { return h.path("crosscheck-data", "ledger.db") }
func (h home) packs() string  { return h.path("crosscheck-data", "packs") }
func (h home) temp() string   { return h.path("tmp") }

// write writes a file below the home.
func (h home) write(t *testing.T, name, content string) {
	t.Helper()
	path := h.path(name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// command is the program as a process, with nothing of the environment's that
// bears on what it reads. testscript.Main has put it into the PATH.
func (h home) command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "crosscheck", args...)
	cmd.Dir = h.dir
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); !slices.Contains([]string{"CROSSCHECK_CONFIG", "KUBECONFIG", "HOME"}, name) && !strings.HasPrefix(name, "AWS_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "HOME="+h.dir, "XDG_CONFIG_HOME="+h.path(".config"), "TMPDIR="+h.temp())
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// output is what a process left.
type output struct {
	stdout, stderr []byte
	code           int
}

// exits runs the program, which must end with one of the codes.
func (h home) exits(t *testing.T, codes []int, env []string, args ...string) output {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := h.command(t.Context(), env, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ended := new(exec.ExitError); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	out := output{stdout.Bytes(), stderr.Bytes(), cmd.ProcessState.ExitCode()}
	if !slices.Contains(codes, out.code) {
		t.Fatalf("crosscheck %v: exit code %d, want one of %v\n%s%s", args, out.code, codes, out.stdout, out.stderr)
	}
	return out
}

// tree reads every file below a folder, by its path relative to it.
func tree(t *testing.T, root string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		out[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
