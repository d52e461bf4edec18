package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestCLI runs testdata/cli: what a person types, and what they get.
func TestCLI(t *testing.T) {
	t.Parallel()
	estate, err := filepath.Abs(filepath.Join("..", "..", "testdata", "estate"))
	if err != nil {
		t.Fatal(err)
	}
	library, err := filepath.Abs(filepath.Join("..", "..", "policies"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("..", "..", "testdata", "cli"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, ".config"))
			env.Setenv("ESTATE", estate)
			env.Setenv("LIBRARY", library)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits,
			"id-of": idOf,
			"packs": verifyPacks,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// exits runs a command that must end with a code: exits CODE COMMAND…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		code = ended.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if want, err := strconv.Atoi(args[0]); err != nil || code != want {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// idOf puts the id of the first decision just listed as JSON into a variable: id-of NAME
func idOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: id-of NAME")
	}
	var page struct {
		Decisions []struct{ ID string }
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &page))
	if len(page.Decisions) == 0 {
		ts.Fatalf("no decision was listed")
	}
	ts.Setenv(args[0], page.Decisions[0].ID)
}

// verifyPacks verifies all evidence packs that there are, of which there must be one.
func verifyPacks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: packs")
	}
	dirs, err := filepath.Glob(filepath.Join(ts.MkAbs("crosscheck-data"), "packs", "*"))
	ts.Check(err)
	if len(dirs) == 0 {
		ts.Fatalf("there is no evidence pack")
	}
	for _, dir := range dirs {
		ts.Check(ts.Exec("crosscheck", "evidence", "verify", dir))
		ts.Check(os.RemoveAll(dir)) // it need not be verified again
	}
}
