package recorded_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/recorded"
)

// estate stores two snapshots in a vault, as a run would.
func estate(t testing.TB) ([]audit.Snapshot, *audittest.Vault) {
	t.Helper()
	v := &audittest.Vault{}
	var out []audit.Snapshot
	for _, origin := range []string{"netbox/main", "aws/111122223333/eu-west-1"} {
		var buf bytes.Buffer
		for i := range 20 {
			r := audit.Resource{
				Source: audit.SourceOf(origin), Origin: origin, Type: "thing", ID: audit.ResourceID(origin, "thing", fmt.Sprintf("%02d", i)),
				Name: "ein <Gerät> \u2028", Data: map[string]any{"n": json.Number("1.50"), "null": nil},
				Redacted: []string{"/data/x"}, Tags: map[string]string{"owner": "platform"},
			}
			r.Gap("/data/y", audit.AccessDenied, "GET y")
			line, err := r.Line()
			if err != nil {
				t.Fatal(err)
			}
			buf.Write(append(line, '\n'))
		}
		digest, err := v.Put(context.Background(), bytes.NewReader(buf.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, audit.Snapshot{
			Origin: origin, Digest: digest, Resources: 20, Bytes: int64(buf.Len()), Identity: "reader", Endpoint: "https://source.example",
			Started: audittest.Moment.Add(-time.Minute), Ended: audittest.Moment, Exhaustive: true,
			Types: []audit.TypeCount{{Type: "thing", Listed: 20, Completeness: audit.Listed}, {Type: "other", Completeness: audit.Proved, Basis: "own permissions"}},
			Gaps:  []audit.Gap{{Origin: origin, Type: "secret", Code: audit.AccessDenied, Operation: "list secrets"}},
			Calls: []audit.Call{{Operation: "GET things", Requests: 1, Items: 20}},
		})
	}
	return out, v
}

func save(t testing.TB, dir string) []audit.Snapshot {
	t.Helper()
	snaps, v := estate(t)
	if err := recorded.Save(context.Background(), dir, snaps, v); err != nil {
		t.Fatal(err)
	}
	return snaps
}

func TestRecordedCollector(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	snaps := save(t, dir)
	c, err := recorded.New(recorded.Config{FS: os.DirFS(dir)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.Origins(), []string{"aws/111122223333/eu-west-1", "netbox/main"}); diff != "" {
		t.Errorf("Origins() (-got +want):\n%s", diff)
	}
	audittest.Collector(t, c)
	audittest.Narrowed(t, c, func(string) string { return "none" })
	for _, s := range snaps {
		w := &audittest.Writer{}
		col, err := c.Collect(t.Context(), audit.Request{Origin: s.Origin}, w)
		if err != nil {
			t.Fatal(err)
		}
		want := audit.Collection{
			Identity: s.Identity, Endpoint: s.Endpoint, Types: s.Types, Exhaustive: true, Gaps: s.Gaps,
			Calls: s.Calls, Started: s.Started, Ended: s.Ended,
		}
		if diff := cmp.Diff(col, want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", s.Origin, diff)
		}
		w.Sort()
		if got := audit.Digest(append(bytes.Join(w.Lines, []byte("\n")), '\n')); got != s.Digest {
			t.Errorf("%s: played back as %s, recorded as %s", s.Origin, got, s.Digest)
		}
	}
	if _, err := c.Collect(t.Context(), audit.Request{Origin: "aws/other"}, &audittest.Writer{}); err == nil {
		t.Error("an origin that was never recorded was collected")
	}
}

func TestSaveGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	a, b := t.TempDir(), t.TempDir()
	save(t, a)
	save(t, b)
	save(t, b) // over itself
	if diff := cmp.Diff(content(t, a), content(t, b)); diff != "" {
		t.Errorf("two recordings of one run differ:\n%s", diff)
	}
}

func TestSaveReplacesAnEarlierRecordingOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	save(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "DEFECTS.md"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	snaps, v := estate(t)
	if err := recorded.Save(t.Context(), dir, snaps[:1], v); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range content(t, dir) {
		names = append(names, name)
	}
	if len(names) != 3 {
		t.Errorf("%q, want DEFECTS.md, snapshots.json and one snapshot", names)
	}
}

func TestSaveRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func([]audit.Snapshot) []audit.Snapshot
		want   string
	}{
		"nothing":           {func([]audit.Snapshot) []audit.Snapshot { return nil }, "no snapshot"},
		"an origin twice":   {func(s []audit.Snapshot) []audit.Snapshot { return append(s, s[0]) }, "given twice"},
		"no origin":         {func(s []audit.Snapshot) []audit.Snapshot { s[0].Origin = ""; return s }, "origin"},
		"no time":           {func(s []audit.Snapshot) []audit.Snapshot { s[0].Ended = time.Time{}; return s }, "collected from"},
		"not in the vault":  {func(s []audit.Snapshot) []audit.Snapshot { s[0].Digest = audit.Digest(nil); return s }, "no object"},
		"gap of another":    {func(s []audit.Snapshot) []audit.Snapshot { s[0].Gaps[0].Origin = "aws/x"; return s }, "a gap of origin"},
		"no digest":         {func(s []audit.Snapshot) []audit.Snapshot { s[0].Digest = ""; return s }, "digest"},
		"unprintable names": {func(s []audit.Snapshot) []audit.Snapshot { s[0].Origin = "aws/\x1b"; return s }, "origin"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snaps, v := estate(t)
			dir := t.TempDir()
			err := recorded.Save(t.Context(), dir, tt.change(snaps), v)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Save() = %v, want an error with %q", err, tt.want)
			}
			for name := range content(t, dir) {
				if !strings.HasSuffix(name, ".ndjson.zst") {
					t.Errorf("%s was left behind", name)
				}
			}
		})
	}
}

func TestOriginsThatCollideAsFileNames(t *testing.T) {
	t.Parallel()
	snaps, v := estate(t)
	a, b := snaps[0], snaps[0]
	a.Origin, a.Gaps, b.Origin, b.Gaps = "netbox/a/b", nil, "netbox/A b", nil
	dir := t.TempDir()
	if err := recorded.Save(t.Context(), dir, []audit.Snapshot{a, b}, v); err != nil {
		t.Fatal(err)
	}
	if got := len(content(t, dir)); got != 3 {
		t.Errorf("%d files, want 3", got)
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	const file = "aws-111122223333-eu-west-1.ndjson.zst"
	tests := map[string]struct {
		damage func(t *testing.T, m fstest.MapFS)
		want   string
	}{
		"another content":   {func(t *testing.T, m fstest.MapFS) { put(t, m, file, []byte("{}\n")) }, "is missing"},
		"one document less": {func(t *testing.T, m fstest.MapFS) { put(t, m, file, firstLine(t, m, file)) }, "1 documents, 20 were recorded"},
		"a document changed": {func(t *testing.T, m fstest.MapFS) {
			put(t, m, file, bytes.Replace(plain(t, m, file), []byte("platform"), []byte("plutform"), 1))
		}, "SHA-256"},
		"more than recorded": {func(t *testing.T, m fstest.MapFS) {
			put(t, m, file, append(plain(t, m, file), firstLine(t, m, file)...))
		}, "more than the"},
		"cut off":      {func(_ *testing.T, m fstest.MapFS) { m[file].Data = m[file].Data[:len(m[file].Data)/2] }, "EOF"},
		"not zstd":     {func(_ *testing.T, m fstest.MapFS) { m[file].Data = []byte("hello") }, "magic"},
		"missing":      {func(_ *testing.T, m fstest.MapFS) { delete(m, file) }, "not exist"},
		"a directory":  {func(_ *testing.T, m fstest.MapFS) { m[file].Mode = os.ModeDir }, "not a regular file"},
		"a link":       {func(_ *testing.T, m fstest.MapFS) { m[file].Mode = os.ModeSymlink }, "not a regular file"},
		"other origin": {func(t *testing.T, m fstest.MapFS) { m[file] = m["netbox-main.ndjson.zst"] }, "SHA-256"},
	}
	dir := t.TempDir()
	save(t, dir)
	good := content(t, dir)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := fstest.MapFS{}
			for name, b := range good {
				m[name] = &fstest.MapFile{Data: bytes.Clone([]byte(b)), Mode: 0o600}
			}
			tt.damage(t, m)
			c, err := recorded.New(recorded.Config{FS: m})
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range []audit.SnapshotWriter{&audittest.Writer{}, &sealing{}} {
				_, err = c.Collect(t.Context(), audit.Request{Origin: "aws/111122223333/eu-west-1"}, w)
				var se *audit.SourceError
				if !errors.As(err, &se) || se.Code != audit.Failed || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file) {
					t.Errorf("Collect(%T) = %v, want an error of the source that names %s and has %q", w, err, file, tt.want)
				}
			}
		})
	}
}

// sealing gives the digest of what was written, as a snapshot has it.
type sealing struct {
	audittest.Writer
	sealed bool
}

// Seal implements audit.Sealer.
func (s *sealing) Seal() (string, error) {
	s.sealed = true
	lines := map[string][]byte{}
	for i, r := range s.Resources {
		lines[r.ID] = append(bytes.Clone(s.Lines[i]), '\n')
	}
	var all []byte
	for _, id := range slices.Sorted(maps.Keys(lines)) {
		all = append(all, lines[id]...)
	}
	return audit.Digest(all), nil
}

// TestRecordedOtherwise: what somebody else recorded, in another order or form,
// is played back too, and checked by the bytes that were recorded.
func TestRecordedOtherwise(t *testing.T) {
	t.Parallel()
	const file = "netbox-main.ndjson.zst"
	dir := t.TempDir()
	save(t, dir)
	good := content(t, dir)
	for name, tt := range map[string]struct {
		change func(b []byte) []byte
		seal   bool
	}{
		"as we do":         {func(b []byte) []byte { return b }, true},
		"in other order":   {func(b []byte) []byte { i := bytes.IndexByte(b, '\n') + 1; return append(bytes.Clone(b[i:]), b[:i]...) }, false},
		"with spaces":      {func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`,"gaps":`), []byte(`, "gaps":`)) }, false},
		"with CR LF":       {func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }, false},
		"a document twice": {func(b []byte) []byte { return append(bytes.Clone(b[:bytes.IndexByte(b, '\n')+1]), b...) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := otherwise(t, good, file, tt.change)
			w := &sealing{}
			if _, err := c.Collect(t.Context(), audit.Request{Origin: "netbox/main"}, w); err != nil || w.sealed != tt.seal {
				t.Errorf("Collect() = %v, sealed: %v", err, w.sealed)
			}
		})
	}
}

// otherwise is a recording of which one file has another content, and is said to.
func otherwise(t *testing.T, good map[string]string, file string, change func([]byte) []byte) *recorded.Collector {
	t.Helper()
	m := fstest.MapFS{}
	for name, b := range good {
		m[name] = &fstest.MapFile{Data: []byte(b), Mode: 0o600}
	}
	was := plain(t, m, file)
	b := change(was)
	put(t, m, file, b)
	said := func(b []byte) string {
		return fmt.Sprintf("\"digest\": \"%s\",\n   \"resources\": %d,\n   \"bytes\": %d", audit.Digest(b), bytes.Count(b, []byte("\n")), len(b))
	}
	list := strings.Replace(string(m["snapshots.json"].Data), said(was), said(b), 1)
	m["snapshots.json"].Data = []byte(list)
	c, err := recorded.New(recorded.Config{FS: m})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestHostileRecording: what could be read in two ways, or not at all, is an error
// that names file, line and what is wrong.
func TestHostileRecording(t *testing.T) {
	t.Parallel()
	const file = "netbox-main.ndjson.zst"
	dir := t.TempDir()
	save(t, dir)
	good := content(t, dir)
	second := func(from, to string) func([]byte) []byte { // of the second line
		return func(b []byte) []byte {
			i := bytes.IndexByte(b, '\n') + 1
			return append(bytes.Clone(b[:i]), bytes.Replace(b[i:], []byte(from), []byte(to), 1)...)
		}
	}
	for name, tt := range map[string]struct {
		change func([]byte) []byte
		want   string
	}{
		"a key twice":   {second(`"null":null`, `"null":null,"null":1`), `line 2: resource document: the key "null" is there twice`},
		"twice escaped": {second(`"null":null`, `"null":null,"nul\u006c":1`), `line 2: resource document: the key "null" is there twice`},
		"gaps twice":    {second(`"gaps":`, `"gaps":{},"gaps":`), `line 2: resource document: the key "gaps" is there twice`},
		"not UTF-8":     {second(`Gerät`, "Ger\xe4t"), "is not UTF-8"},
		"too deep":      {second(`"null":null`, `"null":`+strings.Repeat("[", 10_001)+strings.Repeat("]", 10_001)), "line 2: resource document: "},
		"too long":      {second(`"null":null`, `"null":"`+strings.Repeat("x", audit.MaxLine)+`"`), "line 2 is longer than 64 MiB"},
		"two values":    {second(`{`, `{}{`), "line 2: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := otherwise(t, good, file, tt.change).Collect(t.Context(), audit.Request{Origin: "netbox/main"}, &sealing{})
			var se *audit.SourceError
			if !errors.As(err, &se) || se.Code != audit.Failed || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Collect() = %v, want an error of the source that names %s and has %q", err, file, tt.want)
			}
		})
	}
}

func TestListsThatAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	save(t, dir)
	good := content(t, dir)["snapshots.json"]
	tests := map[string]struct{ list, want string }{
		"empty":          {"", "EOF"},
		"not JSON":       {"hello", "invalid character"},
		"two values":     {good + good, "more than one"},
		"other format":   {strings.Replace(good, "recorded/1", "recorded/2", 1), "another version"},
		"unknown field":  {strings.Replace(good, `"file"`, `"flie"`, 1), "flie"},
		"no snapshots":   {`{"format":"crosscheck/recorded/1","snapshots":[]}`, "no snapshot"},
		"climbs out":     {strings.Replace(good, "netbox-main.ndjson.zst", "../netbox-main.ndjson.zst", 1), "snapshot 2: file"},
		"absolute":       {strings.Replace(good, "netbox-main.ndjson.zst", "/etc/x.ndjson.zst", 1), "file"},
		"folder":         {strings.Replace(good, "netbox-main.ndjson.zst", "a/b.ndjson.zst", 1), "file"},
		"file twice":     {strings.Replace(good, "netbox-main.ndjson.zst", "aws-111122223333-eu-west-1.ndjson.zst", 1), "listed twice"},
		"negative size":  {strings.Replace(good, `"resources": 20`, `"resources": -1`, 1), "-1 resources"},
		"terminal codes": {strings.Replace(good, `"origin": "netbox/main"`, `"origin": "netbox/\u001b[2J"`, 1), "origin"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := recorded.New(recorded.Config{FS: fstest.MapFS{"snapshots.json": {Data: []byte(tt.list)}}})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "snapshots.json") {
				t.Errorf("New() = %v, want an error that names snapshots.json and has %q", err, tt.want)
			}
		})
	}
	if _, err := recorded.New(recorded.Config{}); err == nil {
		t.Error("New() without a file system succeeded")
	}
	if _, err := recorded.New(recorded.Config{FS: fstest.MapFS{}}); err == nil {
		t.Error("New() of an empty directory succeeded")
	}
}

func FuzzRecording(f *testing.F) {
	dir := f.TempDir()
	save(f, dir)
	files := content(f, dir)
	f.Add([]byte(files["snapshots.json"]), []byte(files["netbox-main.ndjson.zst"]))
	f.Add([]byte(`{"format":"crosscheck/recorded/1","snapshots":[{"file":"x.ndjson.zst"}]}`), []byte{0x28, 0xb5, 0x2f, 0xfd})
	f.Fuzz(func(t *testing.T, list, snapshot []byte) {
		c, err := recorded.New(recorded.Config{FS: fstest.MapFS{"snapshots.json": {Data: list}, "netbox-main.ndjson.zst": {Data: snapshot}}})
		if err != nil {
			return
		}
		for _, origin := range c.Origins() {
			w := &audittest.Writer{}
			col, err := c.Collect(t.Context(), audit.Request{Origin: origin}, w)
			if err == nil && col.Ended.IsZero() {
				t.Errorf("%s was read, but nothing says when it was recorded", origin)
			}
		}
	})
}

func content(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(b)
	}
	return out
}

func plain(t *testing.T, m fstest.MapFS, name string) []byte {
	t.Helper()
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	b, err := z.DecodeAll(m[name].Data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func firstLine(t *testing.T, m fstest.MapFS, name string) []byte {
	t.Helper()
	b := plain(t, m, name)
	return bytes.Clone(b[:bytes.IndexByte(b, '\n')+1])
}

func put(t *testing.T, m fstest.MapFS, name string, b []byte) {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	m[name].Data = z.EncodeAll(b, nil)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}
