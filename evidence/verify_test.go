package evidence_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/evidence"
)

func TestVerifyWithoutKey(t *testing.T) {
	t.Parallel()
	r := fullVerify(t, writePack(t, 0), "")
	if !r.Intact || r.Signer.Authenticated || r.Signer.Fingerprint != fixtureSigner(t, 1).Fingerprint() {
		t.Errorf("Verify() = %+v, want an intact pack with a signer that is not authenticated", r)
	}
	if v := r.Verdict(); !strings.HasPrefix(v, "intact; signer not authenticated") || !strings.Contains(v, r.Signer.Fingerprint) {
		t.Errorf("Verdict() = %q", v)
	}
}

func TestVerifyKeys(t *testing.T) {
	t.Parallel()
	dir := writePack(t, 0)
	key := filepath.Join(t.TempDir(), "key.pem")
	write(t, key, fixtureSigner(t, 1).PublicPEM())
	other := filepath.Join(t.TempDir(), "other.pem")
	write(t, other, fixtureSigner(t, 2).PublicPEM())
	tests := map[string]struct {
		key  string
		want bool
		err  string
	}{
		"fingerprint":       {key: fixtureSigner(t, 1).Fingerprint(), want: true},
		"upper case":        {key: strings.ToUpper(fixtureSigner(t, 1).Fingerprint()), want: true},
		"file":              {key: key, want: true},
		"other fingerprint": {key: fixtureSigner(t, 2).Fingerprint()},
		"other file":        {key: other},
		"no such file":      {key: filepath.Join(t.TempDir(), "none"), err: "64 hex digits"},
		"not a key":         {key: filepath.Join(dir, "run.json"), err: "PUBLIC KEY"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := evidence.Verify(t.Context(), dir, evidence.VerifyOptions{Key: tt.key})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("Verify() = %v, want an error with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Intact != tt.want || r.Signer.Authenticated != tt.want {
				t.Errorf("Verify() = intact %v, authenticated %v, want %v: %v", r.Intact, r.Signer.Authenticated, tt.want, r.Problems)
			}
		})
	}
}

// Every bit of the envelope counts.
func TestVerifyNoticesEveryBitOfTheEnvelope(t *testing.T) {
	t.Parallel()
	manifest := manifestOf(t, writePack(t, 0), func(m *evidence.Manifest) { m.Files = m.Files[:4] })
	signer := fixtureSigner(t, 1)
	envelope, err := evidence.Seal(t.Context(), signer, manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := evidence.OpenEnvelope(t.Context(), envelope, manifest, signer.PublicPEM()); err != nil {
		t.Fatal(err)
	}
	for i := range envelope {
		for bit := range 8 {
			flipped := bytes.Clone(envelope)
			flipped[i] ^= 1 << bit
			if evidence.OpenEnvelope(t.Context(), flipped, manifest, signer.PublicPEM()) == nil {
				t.Fatalf("bit %d of byte %d of the envelope changes nothing", bit, i)
			}
		}
	}
	for _, more := range []string{" ", "\n", "{}"} {
		if evidence.OpenEnvelope(t.Context(), append(bytes.Clone(envelope), more...), manifest, signer.PublicPEM()) == nil {
			t.Errorf("an envelope followed by %q is accepted", more)
		}
	}
}

// The same through the front door, in a whole pack: some bits of every file.
func TestVerifyNamesTheFileThatChanged(t *testing.T) {
	t.Parallel()
	dir := copyTree(t, writePackBy(t, 0, nil))
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, name := range tree(t, dir) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(content) == 0 {
			continue
		}
		offsets := []int{0, len(content) - 1}
		for range 4 {
			offsets = append(offsets, rnd.IntN(len(content)))
		}
		for _, at := range offsets {
			flipped := bytes.Clone(content)
			flipped[at] ^= 1 << rnd.IntN(8)
			write(t, path, flipped)
			mustName(t, dir, name)
		}
		write(t, path, content[:len(content)-1])
		mustName(t, dir, name)
		write(t, path, append(bytes.Clone(content), '\n'))
		mustName(t, dir, name)
		write(t, path, content)
	}
	if r := fullVerify(t, dir, ""); !r.Intact {
		t.Errorf("restored, the pack does not verify: %v", r.Problems)
	}
}

func TestVerifyStructure(t *testing.T) {
	t.Parallel()
	whole := writePack(t, 0)
	tests := changedNames()
	maps.Copy(tests, changedKinds())
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyTree(t, whole)
			if err := tt.damage(t, dir); err != nil {
				t.Fatal(err)
			}
			mustName(t, dir, tt.file)
		})
	}
}

// damage is something done to the files of a pack, and the file that verification must name.
type damage struct {
	damage func(t *testing.T, dir string) error
	file   string
}

// changedNames are files too many, too few and renamed.
func changedNames() map[string]damage {
	return map[string]damage{
		"file added": {func(_ *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, "controls", "X.json"), nil, 0o600)
		}, "controls/X.json"},
		"file added on top": {func(_ *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, ".hidden"), []byte("x"), 0o600)
		}, `".hidden"`},
		"name with an escape sequence": {func(_ *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, "\x1b[2Jx"), nil, 0o600)
		}, `"\x1b[2Jx"`},
		"file removed": {func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, "gaps.ndjson")) }, "gaps.ndjson"},
		"file renamed": {func(_ *testing.T, dir string) error {
			return os.Rename(filepath.Join(dir, "gaps.ndjson"), filepath.Join(dir, "gap.ndjson"))
		}, "gaps.ndjson"},
		"files exchanged": {func(_ *testing.T, dir string) error {
			a, b := filepath.Join(dir, "populations", "STO-001.csv"), filepath.Join(dir, "populations", "REC-002.csv")
			if err := os.Rename(a, a+"x"); err != nil {
				return err
			}
			if err := os.Rename(b, a); err != nil {
				return err
			}
			return os.Rename(a+"x", b)
		}, "populations/STO-001.csv"},
	}
}

// changedKinds are files that are no plain files any more, and broken signatures.
func changedKinds() map[string]damage {
	return map[string]damage{
		"file made a link to its own content": {func(t *testing.T, dir string) error {
			kept := filepath.Join(t.TempDir(), "kept")
			if err := os.Rename(filepath.Join(dir, "README.txt"), kept); err != nil {
				return err
			}
			return os.Symlink(kept, filepath.Join(dir, "README.txt"))
		}, "README.txt"},
		"folder made a link": {func(t *testing.T, dir string) error {
			kept := filepath.Join(t.TempDir(), "kept")
			if err := os.Rename(filepath.Join(dir, "controls"), kept); err != nil {
				return err
			}
			return os.Symlink(kept, filepath.Join(dir, "controls"))
		}, "controls"},
		"second name for a file": {func(_ *testing.T, dir string) error {
			return os.Link(filepath.Join(dir, "README.txt"), filepath.Join(dir, "README2.txt"))
		}, "README2.txt"},
		"empty folder": {func(_ *testing.T, dir string) error { return os.Mkdir(filepath.Join(dir, "more"), 0o700) }, "more"},
		"file made a folder": {func(_ *testing.T, dir string) error {
			if err := os.Remove(filepath.Join(dir, "README.txt")); err != nil {
				return err
			}
			return os.Mkdir(filepath.Join(dir, "README.txt"), 0o700)
		}, "README.txt"},
		"no manifest":   {func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, "manifest.json")) }, "manifest.json"},
		"no envelope":   {func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, "manifest.dsse.json")) }, "manifest.dsse.json"},
		"no public key": {func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, "signer.pub.pem")) }, "signer.pub.pem"},
		"other public key": {func(t *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, "signer.pub.pem"), fixtureSigner(t, 2).PublicPEM(), 0o600)
		}, "manifest.dsse.json"},
		"manifest made a pipe": {func(_ *testing.T, dir string) error {
			if err := os.Remove(filepath.Join(dir, "manifest.json")); err != nil {
				return err
			}
			return makePipe(filepath.Join(dir, "manifest.json"))
		}, "manifest.json"},
	}
}

// Somebody with another key can sign anything: what is signed must still hold,
// and whose key it is must show.
func TestVerifyForgedManifest(t *testing.T) {
	t.Parallel()
	dir := copyTree(t, writePack(t, 0))
	write(t, filepath.Join(dir, "signer.pub.pem"), fixtureSigner(t, 2).PublicPEM())
	resign(t, dir, 2, func(*evidence.Manifest) {})
	r, err := evidence.Verify(t.Context(), dir, evidence.VerifyOptions{Library: fixtureFactory, Exceptions: parseExceptions})
	if err != nil || !r.Intact || r.Signer.Authenticated || r.Signer.Fingerprint != fixtureSigner(t, 2).Fingerprint() {
		t.Errorf("without a key: %+v, %v, want the other fingerprint", r, err)
	}
	r = fullVerify(t, dir, fixtureSigner(t, 1).Fingerprint())
	if r.Intact || r.Signer.Authenticated || r.Problems[0].File != "signer.pub.pem" {
		t.Errorf("with the key: %+v, want a problem of signer.pub.pem", r)
	}
}

// mustName fails unless verification names the file.
func mustName(t *testing.T, dir, file string) {
	t.Helper()
	r, err := evidence.Verify(t.Context(), dir, evidence.VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Intact || len(r.Problems) == 0 {
		t.Errorf("%s: the change went unnoticed", file)
		return
	}
	if file == "manifest.json" && r.Problems[0].File == "manifest.dsse.json" {
		return // a manifest that is well-formed and not the signed one
	}
	if file == "signer.pub.pem" && r.Problems[0].File == "manifest.dsse.json" {
		return // a key that is well-formed and not the signing one
	}
	if !slices.ContainsFunc(r.Problems, func(p evidence.Problem) bool { return p.File == file }) {
		t.Errorf("problems %v do not name %s", r.Problems, file)
	}
}

// tree lists the files below dir.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// manifestOf writes the manifest of what is below dir.
func manifestOf(t testing.TB, dir string, change func(*evidence.Manifest)) []byte {
	t.Helper()
	m := evidence.Manifest{Format: "crosscheck/pack/1", Pack: strings.Repeat("a", 64), Run: strings.Repeat("b", 64)}
	if old, err := os.ReadFile(filepath.Join(dir, "manifest.json")); err == nil {
		if err := json.Unmarshal(old, &m); err != nil {
			t.Fatal(err)
		}
		m.Files = nil
	}
	for _, name := range tree(t, dir) {
		if strings.HasPrefix(name, "manifest.") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		m.Files = append(m.Files, evidence.File{MediaType: "text/plain", Path: name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(b))})
	}
	slices.SortFunc(m.Files, func(x, y evidence.File) int { return strings.Compare(x.Path, y.Path) })
	change(&m)
	b, err := m.Render()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// resign makes a pack consistent again outside, signed by a key.
func resign(t testing.TB, dir string, seed byte, change func(*evidence.Manifest)) {
	t.Helper()
	manifest := manifestOf(t, dir, change)
	envelope, err := evidence.Seal(t.Context(), fixtureSigner(t, seed), manifest)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "manifest.json"), manifest)
	write(t, filepath.Join(dir, "manifest.dsse.json"), envelope)
}
