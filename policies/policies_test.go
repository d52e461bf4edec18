package policies_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/crosscheck-dev/crosscheck/policies"
)

// library is the one that comes with the program.
func library(t *testing.T) *policies.Library {
	t.Helper()
	lib, err := policies.Load(policies.Embedded(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

func written(t *testing.T, lib *policies.Library) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := lib.WriteTar(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestCatalog: every control says what a reader of the report needs, in every
// source there are at least three, and some join sources.
func TestCatalog(t *testing.T) {
	t.Parallel()
	lib := library(t)
	sources := map[string]int{}
	for _, c := range lib.Catalog.Controls {
		seen := map[string]bool{}
		for _, typ := range c.AppliesTo {
			source, _, _ := strings.Cut(typ, "/")
			if !seen[source] {
				seen[source] = true
				sources[source]++
			}
		}
		if len(lib.Catalog.Requirements(c.ID)) == 0 {
			t.Errorf("%s: no framework refers to it", c.ID)
		}
		for _, text := range append([]string{c.Title, c.Description, c.Why, c.Excludes}, c.Rego) {
			if strings.Contains(text, "SOC 2") || strings.Contains(text, "ISO") {
				t.Errorf("%s names a framework; frameworks name controls", c.ID)
			}
		}
		if len(lib.Attributes(c.ID)) == 0 {
			t.Errorf("%s reads no adapter", c.ID)
		}
	}
	if len(lib.Catalog.Controls) != 21 {
		t.Errorf("%d controls, want 21", len(lib.Catalog.Controls))
	}
	for _, source := range []string{"aws", "kubernetes", "terraform", "netbox"} {
		if sources[source] < 3 {
			t.Errorf("%d controls judge %s, want at least 3", sources[source], source)
		}
	}
	if diff := cmp.Diff(lib.EstateRules(), []string{"lib.estate.aws", "lib.estate.kubernetes", "lib.estate.netbox", "lib.estate.terraform"}); diff != "" {
		t.Error(diff)
	}
}

// TestControlsReadAdapters: a control reads no raw shape of a source, only its resource's own id.
func TestControlsReadAdapters(t *testing.T) {
	t.Parallel()
	raw := regexp.MustCompile(`\binput\.(data|tags|gaps|redacted|source|type)\b`)
	for _, c := range library(t).Catalog.Controls {
		if at := raw.FindString(c.Rego); at != "" {
			t.Errorf("%s reads %s", c.File, at)
		}
	}
}

// TestCapabilities: what a library may call gives the same answer tomorrow.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	caps := library(t).Capabilities()
	if caps.AllowNet == nil || len(caps.AllowNet) != 0 {
		t.Errorf("the network is open to %v", caps.AllowNet)
	}
	for _, b := range caps.Builtins {
		if b.Nondeterministic || b.Name == "http.send" || b.Name == "time.now_ns" || b.Name == "opa.runtime" {
			t.Errorf("%s is available", b.Name)
		}
	}
}

func TestFrameworks(t *testing.T) {
	t.Parallel()
	want := map[string]int{"iso27001 iso27001-2022": 93, "soc2 soc2-2017": 51}
	for _, f := range library(t).Catalog.Frameworks {
		if got := len(f.Requirements); got != want[f.Report+" "+f.ID] {
			t.Errorf("%s has %d requirements, want %d", f.ID, got, want[f.Report+" "+f.ID])
		}
		for _, r := range f.Requirements {
			if said := strings.HasPrefix(r.NotEvidenced, "Not testable here"); said != (len(r.Evidence) == 0) {
				t.Errorf("%s %s: %d controls, and it says: %s", f.ID, r.ID, len(r.Evidence), r.NotEvidenced)
			}
		}
	}
}

func TestTar(t *testing.T) {
	t.Parallel()
	lib := library(t)
	first := written(t, lib)
	again, err := policies.LoadTar(bytes.NewReader(first), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, written(t, again)) {
		t.Error("a library written again has other bytes")
	}
	if diff := cmp.Diff(lib.Catalog, again.Catalog); diff != "" {
		t.Error(diff)
	}
	b, err := bundle.NewReader(bytes.NewReader(first)).Read()
	if err != nil {
		t.Fatalf("OPA does not read it: %v", err)
	}
	if b.Manifest.Revision != lib.Catalog.Revision || len(b.Modules) == 0 || len(b.Data) != 0 {
		t.Errorf("OPA reads revision %s, %d modules and data %v", b.Manifest.Revision, len(b.Modules), b.Data)
	}
}

// entry is one file of a hostile archive.
type entry struct {
	name string
	kind byte
	body string
}

func packed(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Size: int64(len(e.body)), Mode: 0o644, Linkname: "/etc/passwd"}
		if e.kind != tar.TypeReg {
			h.Size, e.body = 0, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestLoadTarRefuses(t *testing.T) {
	t.Parallel()
	head := entry{".manifest", tar.TypeReg, `{"revision": "x", "roots": ["lib"], "rego_version": 1}`}
	many := []entry{head}
	for i := range 5000 {
		many = append(many, entry{"lib/" + strings.Repeat("x", i%90+1) + string(rune('a'+i/90)) + ".rego", tar.TypeReg, ""})
	}
	huge := []entry{head}
	for i := range 40 {
		huge = append(huge, entry{"lib/" + strings.Repeat("x", i+1) + ".rego", tar.TypeReg, strings.Repeat("#", 1<<20)})
	}
	whole := []entry{head}
	for name, f := range small() {
		if name != "README.md" {
			whole = append(whole, entry{name, tar.TypeReg, string(f.Data)})
		}
	}
	tests := map[string]struct {
		tar  []byte
		want string
	}{
		"nothing":          {nil, "not a tar.gz"},
		"not gzip":         {[]byte("PK\x03\x04 and more"), "not a tar.gz"},
		"not tar":          {compressed(t, []byte(strings.Repeat("x", 2048))), "tar: "},
		"cut off":          {packed(t, whole...)[:200], ""},
		"empty":            {packed(t), "no .manifest"},
		"manifest twice":   {packed(t, head, head), ".manifest: a library holds"},
		"manifest unknown": {packed(t, entry{".manifest", tar.TypeReg, `{"revison": "x"}`}), "unknown field"},
		"manifest nothing": {packed(t, entry{".manifest", tar.TypeReg, ``}), ".manifest: EOF"},
		"climbs out":       {packed(t, head, entry{"lib/../../x.rego", tar.TypeReg, "package lib.x"}), "not a path within a library"},
		"absolute":         {packed(t, head, entry{"/lib/x.rego", tar.TypeReg, "package lib.x"}), "not a path within a library"},
		"backslash":        {packed(t, head, entry{`lib\..\x.rego`, tar.TypeReg, "package lib.x"}), "not a path within a library"},
		"link":             {packed(t, head, entry{"lib/x.rego", tar.TypeSymlink, ""}), "not a plain file"},
		"hard link":        {packed(t, head, entry{"lib/x.rego", tar.TypeLink, ""}), "not a plain file"},
		"folder":           {packed(t, head, entry{"lib/", tar.TypeDir, ""}), "not a plain file"},
		"device":           {packed(t, head, entry{"lib/x.rego", tar.TypeChar, ""}), "not a plain file"},
		"elsewhere":        {packed(t, head, entry{"data.json", tar.TypeReg, "{}"}), "data.json: a library holds"},
		"twice":            {packed(t, head, entry{"lib/x.rego", tar.TypeReg, "package lib.x"}, entry{"lib/x.rego", tar.TypeReg, "package lib.y"}), "lib/x.rego: there twice"},
		"too many":         {packed(t, many...), "more than 4096 files"},
		"too large":        {packed(t, huge...), "the library is larger than"},
		"a large file":     {packed(t, head, entry{"lib/x.rego", tar.TypeReg, strings.Repeat("#", 1<<21)}), "larger than 1048576 bytes"},
		"another revision": {packed(t, whole...), "the library was changed after it was written"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := policies.LoadTar(bytes.NewReader(tt.tar), nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %.300v\nwant %s", err, tt.want)
			}
		})
	}
}

func compressed(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestWriteTarFails(t *testing.T) {
	t.Parallel()
	lib := library(t)
	size := len(written(t, lib))
	for _, room := range []int{0, 1, size / 2, size - 1} {
		if err := lib.WriteTar(&full{room: room}); err == nil {
			t.Errorf("wrote a library of %d bytes where there was room for %d", size, room)
		}
	}
}

// full is a disk with little room.
type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, io.ErrShortWrite
	}
	return len(b), nil
}

func TestParametersAreJSON(t *testing.T) {
	t.Parallel()
	lib := library(t)
	one := lib.Parameters()
	if got := one["IAM-002"].(map[string]any)["max_age_days"]; got != json.Number("90") {
		t.Errorf("max_age_days is %T %v, want the number 90", got, got)
	}
	one["IAM-002"].(map[string]any)["max_age_days"] = json.Number("1")
	one["NET-001"].(map[string]any)["ports"].([]any)[0] = "x"
	if diff := cmp.Diff(lib.Parameters()["NET-001"], map[string]any{"ports": []any{json.Number("22"), json.Number("3389")}}); diff != "" {
		t.Errorf("Parameters are not copies: %s", diff)
	}
}
