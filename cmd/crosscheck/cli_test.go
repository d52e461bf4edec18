package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/recorded"
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
			"exits":   exits,
			"hostile": hostile,
			"id-of":   idOf,
			"packs":   verifyPacks,
			"smaller": smaller,
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

// hostile records an estate of one origin whose documents nobody expects: hostile FOLDER
func hostile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hostile FOLDER")
	}
	const origin, typ = "kubernetes/demo", "v1/ConfigMap"
	nested := func(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }
	docs := map[string]string{
		"digits": strings.Repeat("9", 10_000), "fraction": "0." + strings.Repeat("1", 5_000), "text": `"` + strings.Repeat("é\\u0000", 1<<20) + `"`,
		"nested": nested(500), "too-deep": nested(501), "deep": nested(9_990), "deepest": nested(9_998), "objects": strings.Repeat(`{"x":`, 9_997) + "1" + strings.Repeat("}", 9_997),
		"names": `{"../../../etc/passwd":"<script>alert(1)</script>","\u202e{{.}}":"${jndi:ldap://x}"}`,
	}
	var content []byte
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		r := audit.Resource{Source: "kubernetes", Origin: origin, Type: typ, Name: name, ID: audit.ResourceID(origin, typ, "default/"+name), Data: map[string]any{"x": json.RawMessage(docs[name])}}
		line, err := r.Line()
		ts.Check(err)
		content = append(append(content, line...), '\n')
	}
	v := &audittest.Vault{}
	digest, err := v.Put(context.Background(), bytes.NewReader(content))
	ts.Check(err)
	n := int64(len(docs))
	ts.Check(recorded.Save(context.Background(), ts.MkAbs(args[0]), []audit.Snapshot{{
		Origin: origin, Digest: digest, Resources: n, Bytes: int64(len(content)), Identity: "reader", Endpoint: "https://cluster.example",
		Started: audittest.Moment, Ended: audittest.Moment, Types: []audit.TypeCount{{Type: typ, Listed: n, Completeness: audit.Listed}},
	}}, v))
}

// smaller fails unless a file has fewer bytes: smaller FILE BYTES
func smaller(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: smaller FILE BYTES")
	}
	most, err := strconv.Atoi(args[1])
	ts.Check(err)
	if n := len(ts.ReadFile(args[0])); n >= most {
		ts.Fatalf("%s has %d bytes", args[0], n)
	}
}
