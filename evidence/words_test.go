package evidence_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence"
)

func TestWordsOfReports(t *testing.T) {
	t.Parallel()
	here := func(s string) string { return "a server on the collecting host (" + s + ")" }
	for what, pair := range map[string][2]string{
		"ISO":            {evidence.Edition("ISO/IEC 27001:2022 Annex A", "2022 with Amendment 1:2024"), "ISO/IEC 27001:2022 incl. Amd 1:2024, Annex A"},
		"SOC 2":          {evidence.Edition("SOC 2 Trust Services Criteria", "2017, points of focus revised 2022"), "SOC 2 Trust Services Criteria, edition 2017, points of focus revised 2022"},
		"no version":     {evidence.Edition("House rules", ""), "House rules"},
		"bare loopback":  {evidence.EndpointText("127.0.0.1:24100"), here("127.0.0.1:24100")},
		"loopback":       {evidence.EndpointText("https://127.0.0.1:24101"), here("https://127.0.0.1:24101")},
		"six":            {evidence.EndpointText("http://[::1]:80/api"), here("http://[::1]:80/api")},
		"localhost":      {evidence.EndpointText("http://localhost"), here("http://localhost")},
		"elsewhere":      {evidence.EndpointText("https://10.0.0.1"), "https://10.0.0.1"},
		"file":           {evidence.EndpointText("terraform.tfstate"), "terraform.tfstate"},
		"no endpoint":    {evidence.EndpointText(""), "endpoint not known"},
		"same ends":      {evidence.SharedBasis("list pods at resourceVersion 303", "list nodes at resourceVersion 303"), "at resourceVersion 303"},
		"same":           {evidence.SharedBasis("x.tfstate: serial 8", "x.tfstate: serial 8"), "x.tfstate: serial 8"},
		"other ends":     {evidence.SharedBasis("list pods at resourceVersion 303", "list nodes at resourceVersion 304"), ""},
		"one type":       {evidence.SharedBasis("x.tfstate: serial 8"), ""},
		"metadata":       {evidence.WithoutMetadata("# METADATA\n# title: x\npackage a\n\n# a comment\nb := 1\n"), "package a\n\n# a comment\nb := 1\n"},
		"later metadata": {evidence.WithoutMetadata("package a\n# METADATA\n# title: x\nb := 1\n"), "package a\nb := 1\n"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %q, want %q", what, pair[0], pair[1])
		}
	}
}

// TestWordsOfMethod: a report says what decided, what was decided twice and what
// was taken over from which run.
func TestWordsOfMethod(t *testing.T) {
	t.Parallel()
	many := make([]audit.Evaluated, 14)
	for i := range many {
		many[i] = audit.Evaluated{Run: strings.Repeat("abcdefghijklmn"[i:i+1], 64), Resources: 1}
	}
	tests := map[string]struct {
		run         audit.Run
		want, never []string
	}{
		"nothing known": {
			run:  audit.Run{},
			want: []string{"Decided by: not recorded", "Decided twice: none in this run", "Taken over: nothing: every decision was made in this run"},
		},
		"decided twice": {
			run: audit.Run{Engine: "vm/1, OPA 1.22.0, at most 20 steps and 30 bytes a decision", Refereed: 212},
			want: []string{
				"Decided by: vm/1, OPA 1.22.0, at most 20 steps and 30 bytes a decision\n",
				"Decided twice: 212 decisions that OPA's own evaluator made too, from the rules as they are written, and alike.",
			},
		},
		"one": {
			run:  audit.Run{Refereed: 1, Evaluated: []audit.Evaluated{{Run: "0a", Resources: 1}}},
			want: []string{"Decided twice: 1 decision that", "the outcomes of 1 resource, which were decided in earlier runs: 1 in run 0a. Their"},
		},
		"several": {
			run: audit.Run{Evaluated: []audit.Evaluated{{Run: "0a", Resources: 1000}, {Run: "0b", Resources: 7}}},
			want: []string{
				"the outcomes of 1007 resources, which were decided in earlier runs: 1000 in run 0a; 7 in run 0b.", "to the byte",
				"is decided again all the same, and has to come out alike", "Verifying this pack makes all of it again from the snapshots",
			},
			never: []string{"every decision was made in this run"},
		},
		"many": {
			run:   audit.Run{Evaluated: many},
			want:  []string{"the outcomes of 14 resources", "in run " + many[11].Run, "the others in 2 more, all named in run.json."},
			never: []string{many[12].Run},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := evidence.MethodText(tt.run)
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("the report does not say %q:\n%s", want, got)
				}
			}
			for _, never := range append(tt.never, "compliant", "finding", "referee") {
				if strings.Contains(got, never) {
					t.Errorf("the report says %q:\n%s", never, got)
				}
			}
		})
	}
}

// libraryOf packs modules, path and text in turn.
func libraryOf(t testing.TB, modules ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for m := range slices.Chunk(modules, 2) {
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: m[0], Size: int64(len(m[1])), Mode: 0o600})
		if _, more := w.Write([]byte(m[1])); errors.Join(err, more) != nil {
			t.Fatal(err, more)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestImported(t *testing.T) {
	t.Parallel()
	library := libraryOf(t,
		"controls/a.rego", "package controls.a\nimport data.lib.one\nimport data.lib.two.rule\n", "lib/one.rego", "package lib.one\nimport data.lib.three\n",
		"lib/two.rego", "package lib.two\nimport data.lib.one\n", "lib/three.rego", "package lib.three\nimport data.lib.two\nimport rego.v1\n",
		"lib/three_test.rego", "package lib.three\n", "lib/other.rego", "package lib.other\n", "README", "import data.lib.other\n")
	got, err := evidence.Imported(bytes.NewReader(library), "controls/a.rego")
	if diff := cmp.Diff([]string{"lib/one.rego", "lib/three.rego", "lib/two.rego"}, got); err != nil || diff != "" {
		t.Errorf("Imported() (%v) (-want +got):\n%s", err, diff)
	}
	if _, err := evidence.Imported(strings.NewReader("x"), "a"); err == nil || !strings.Contains(err.Error(), "library.tar.gz") {
		t.Errorf("of what is no library: %v, want an error that names the file", err)
	}
}

func FuzzImported(f *testing.F) {
	f.Add(libraryOf(f, "a.rego", "package a\nimport data.b\n", "b.rego", "package b\nimport data.a\n"), "a.rego")
	f.Add([]byte("x"), "")
	f.Fuzz(func(_ *testing.T, library []byte, file string) {
		_, _ = evidence.Imported(bytes.NewReader(library), file)
	})
}

// A live run's pack says when the run was; one of recordings must not, or two of them would differ.
func TestPackSaysWhenTheRunWas(t *testing.T) {
	t.Parallel()
	recorded := writePack(t, 0)
	for _, file := range []string{"README.txt", "provenance.json"} {
		b := string(readFile(t, recorded, file))
		if !strings.Contains(b, "the same recordings give the same bytes") || strings.Contains(b, "03:00:00") {
			t.Errorf("%s of recordings tells a time, or does not say why it tells none:\n%s", file, b)
		}
	}
	rec, packs := runFixture(t, 0, time.Time{}), filepath.Join(t.TempDir(), "packs")
	rec.Run.Snapshots = slices.Clone(rec.Run.Snapshots)
	for i := range rec.Run.Snapshots {
		rec.Run.Snapshots[i].Recorded = false
	}
	p, err := evidence.NewPack(evidence.PackConfig{Dir: packs, Signer: fixtureSigner(t, 1), ToolVersion: "v0.1.0", Decider: fixtureDecider{fixtureCatalog()}, Exceptions: parseExceptions})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Deliver(t.Context(), rec, audit.Delivery{}); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(packs, "*", "manifest.json"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	dir := filepath.Dir(found[0])
	for file, want := range map[string]string{
		"README.txt":      "Judged as of 2026-11-21T02:00:00Z · run started 2026-11-21T03:00:00Z · run ended 2026-11-21T03:00:00Z (clock of the collecting host)",
		"provenance.json": `"ended":"2026-11-21T03:00:00Z","started":"2026-11-21T03:00:00Z"`,
	} {
		if b := string(readFile(t, dir, file)); !strings.Contains(b, want) {
			t.Errorf("%s of a live run does not say %q:\n%s", file, want, b)
		}
	}
	if r := fullVerify(t, dir, ""); !r.Intact {
		t.Errorf("the live run's pack does not verify: %v", r.Problems)
	}
	replace("provenance.json", `"started":"2026-11-21T03`, `"started":"2026-11-21T01`)(t, dir)
	resign(t, dir, 1, func(*evidence.Manifest) {})
	if r := fullVerify(t, dir, ""); r.Intact {
		t.Error("another time in provenance.json alone goes unnoticed")
	}
}
