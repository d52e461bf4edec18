package evidence_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/evidence"
)

func TestParseManifestRefuses(t *testing.T) {
	t.Parallel()
	file := func(path string) evidence.File {
		return evidence.File{MediaType: "text/plain", Path: path, SHA256: strings.Repeat("0", 64), Size: 1}
	}
	manifest := func(change func(*evidence.Manifest)) []byte {
		m := evidence.Manifest{Files: []evidence.File{file("a.txt"), file("b/c.txt")}, Format: "crosscheck/pack/1", Pack: strings.Repeat("1", 64), Run: strings.Repeat("2", 64)}
		change(&m)
		b, err := m.Render()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	good := manifest(func(*evidence.Manifest) {})
	if _, err := evidence.ParseManifest(good); err != nil {
		t.Fatal(err)
	}
	tests := map[string][]byte{
		"twice":                manifest(func(m *evidence.Manifest) { m.Files[1].Path = "a.txt" }),
		"case clash":           manifest(func(m *evidence.Manifest) { m.Files = []evidence.File{file("A.txt"), file("a.txt")} }),
		"case clash of folder": manifest(func(m *evidence.Manifest) { m.Files = []evidence.File{file("B/C.txt"), file("b/c.txt")} }),
		"not sorted":           manifest(func(m *evidence.Manifest) { m.Files[0], m.Files[1] = m.Files[1], m.Files[0] }),
		"digest too short":     manifest(func(m *evidence.Manifest) { m.Files[0].SHA256 = "00" }),
		"digest in capitals":   manifest(func(m *evidence.Manifest) { m.Files[0].SHA256 = strings.Repeat("A", 64) }),
		"negative size":        manifest(func(m *evidence.Manifest) { m.Files[0].Size = -1 }),
		"other format":         manifest(func(m *evidence.Manifest) { m.Format = "crosscheck/pack/2" }),
		"no pack":              manifest(func(m *evidence.Manifest) { m.Pack = "" }),
		"no run":               manifest(func(m *evidence.Manifest) { m.Run = "x" }),
		"white space":          bytes.Replace(good, []byte(`,"size"`), []byte(`, "size"`), 1),
		"unknown field":        bytes.Replace(good, []byte(`"format"`), []byte(`"also":1,"format"`), 1),
		"key in capitals":      bytes.Replace(good, []byte(`"path"`), []byte(`"PATH"`), 1),
		"key twice":            bytes.Replace(good, []byte(`"size":1`), []byte(`"size":1,"size":1`), 1),
		"trailing":             append(bytes.Clone(good), ' '),
		"second value":         append(bytes.Clone(good), good...),
		"empty":                nil,
		"null":                 []byte("null\n"),
		"deep":                 []byte(strings.Repeat("[", 100_000)),
	}
	for _, path := range unsafePaths() {
		tests["path "+path] = manifest(func(m *evidence.Manifest) { m.Files = []evidence.File{file(path)} })
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if m, err := evidence.ParseManifest(b); err == nil {
				t.Errorf("accepted as %+v", m)
			}
		})
	}
}

// unsafePaths are such as no pack has.
func unsafePaths() []string {
	return []string{
		"../x", "a/../../x", "/etc/passwd", "C:/x", `a\b`, "./x", "a//b", "", "a/", "-rf", ".bashrc", "a\nb", "a b", "ä", strings.Repeat("a", 201), "manifest.json", "manifest.dsse.json",
	}
}

func FuzzManifest(f *testing.F) {
	m := evidence.Manifest{
		Files:  []evidence.File{{MediaType: "text/plain", Path: "a/b.txt", SHA256: strings.Repeat("0", 64), Size: 7}},
		Format: "crosscheck/pack/1", Pack: strings.Repeat("1", 64), Run: strings.Repeat("2", 64),
	}
	b, err := m.Render()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"files":[],"format":"crosscheck/pack/1"}`))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := evidence.ParseManifest(b)
		if err != nil {
			return
		}
		again, err := m.Render()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("accepted %q, which is not written as %q (%v)", b, again, err)
		}
		for _, file := range m.Files {
			if strings.HasPrefix(file.Path, "/") || strings.Contains(file.Path, "..") && strings.Contains("/"+file.Path+"/", "/../") {
				t.Errorf("accepted the path %q", file.Path)
			}
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	signer := fixtureSigner(f, 1)
	manifest := []byte("{\"files\":[\n],\"format\":\"crosscheck/pack/1\"}\n")
	good, err := evidence.Seal(f.Context(), signer, manifest)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"payload":"","payloadType":"","signatures":[]}`))
	f.Add([]byte(`{"payload":"","payloadType":"","signatures":[{"keyid":"","sig":"-_=="}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := evidence.OpenEnvelope(t.Context(), b, manifest, signer.PublicPEM()); err == nil && !bytes.Equal(b, good) {
			t.Errorf("a second envelope of the same manifest is accepted: %q", b)
		}
	})
}

func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"as_of":"2026-11-21T02:00:00Z","control":"STO-001","control_digest":"","exception":"","id":"","input_digest":"","name":"","origin":"","outcome":"fail","owner":"","reasons":[],"resource":"","slice_digest":"","type":"","violations":[{"exception":"","expected":{"a":1.50},"message":"","observed":[null],"path":""}]}`))
	f.Add([]byte(`{"reasons":[],"violations":[{}]}`))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = evidence.ParseLine(b) })
}

func FuzzRun(f *testing.F) {
	f.Add([]byte(`{"catalog":{"controls":[{"id":"X"}]},"run":{"as_of":"2026-11-21T02:00:00Z","snapshots":[{"origin":"aws/1/x"}]}}`))
	f.Add([]byte(`{"run":null}`))
	f.Fuzz(func(_ *testing.T, b []byte) { _ = evidence.ParseRun(b) })
}

func FuzzWrap(f *testing.F) {
	wrap, err := evidence.NewWrap()
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range hostileNames {
		f.Add(n, 30.0)
	}
	f.Fuzz(func(t *testing.T, s string, width float64) {
		if len(s) > 1000 || !(width > 0) {
			return
		}
		lines := wrap(s, width)
		if len(lines) == 0 {
			t.Errorf("wrap(%q) loses it", s)
		}
		if got := strings.Join(lines, ""); strings.ReplaceAll(s, " ", "") != "" && strings.ReplaceAll(got, " ", "") == "" {
			t.Errorf("wrap(%q) shows nothing", s)
		}
	})
}
