package evidence

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// The files that every pack has at its top.
const (
	readmeFile     = "README.txt"
	verifyFile     = "VERIFY.txt"
	manifestFile   = "manifest.json"
	envelopeFile   = "manifest.dsse.json"
	publicKeyFile  = "signer.pub.pem"
	runFile        = "run.json"
	provenanceFile = "provenance.json"
	decisionsFile  = "decisions.ndjson"
	gapsFile       = "gaps.ndjson"
	redactionsFile = "redactions.ndjson"
	noticesFile    = "notices.ndjson"
	exceptionsFile = "exceptions.yaml"
	libraryFile    = "library.tar.gz"
)

// manifestFormat changes when a reader of the old one would misread the new.
const manifestFormat = "crosscheck/pack/1"

// Bounds on what a pack may claim: it may come from a stranger.
const (
	maxManifest = 64 << 20
	maxFiles    = 200_000
	maxPath     = 200
)

// File is one file of a pack, as its manifest lists it.
type File struct {
	MediaType string `json:"media_type"`
	Path      string `json:"path"`
	SHA256    string `json:"sha256"`
	Size      int64  `json:"size"`
}

// Manifest lists every file of a pack but itself and its envelope.
type Manifest struct {
	Files  []File `json:"files"` // sorted by path
	Format string `json:"format"`
	Pack   string `json:"pack"`
	Run    string `json:"run"`
}

// Render gives the one rendering of a manifest: a line for each file, so that
// sed and sha256sum are enough to check it.
func (m Manifest) Render() ([]byte, error) {
	var buf bytes.Buffer
	buf.WriteString("{\"files\":[\n")
	for i, f := range m.Files {
		line, err := audit.Canonical(f)
		if err != nil {
			return nil, err
		}
		buf.Write(line)
		if i < len(m.Files)-1 {
			buf.WriteByte(',')
		}
		buf.WriteByte('\n')
	}
	rest, err := audit.Canonical(map[string]any{"format": m.Format, "pack": m.Pack, "run": m.Run})
	if err != nil {
		return nil, err
	}
	buf.WriteString("],")
	buf.Write(rest[1:])
	buf.WriteByte('\n')
	return buf.Bytes(), nil
}

// ParseManifest reads a manifest that a stranger may have written. It refuses
// all but the one rendering, and every path that is not plainly below the pack.
func ParseManifest(b []byte) (Manifest, error) {
	if len(b) > maxManifest {
		return Manifest{}, fmt.Errorf("larger than %d bytes", maxManifest)
	}
	var m Manifest
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return Manifest{}, errors.New("is not a manifest")
	}
	if m.Format != manifestFormat {
		return Manifest{}, fmt.Errorf("format is %q, this program reads %q", clip(m.Format), manifestFormat)
	}
	if len(m.Files) > maxFiles {
		return Manifest{}, fmt.Errorf("lists %d files, more than %d", len(m.Files), maxFiles)
	}
	if !isDigest(m.Pack) || !isDigest(m.Run) {
		return Manifest{}, errors.New("pack and run must be hex SHA-256 digests")
	}
	lower := map[string]string{}
	for i, f := range m.Files {
		if err := f.check(); err != nil {
			return Manifest{}, err
		}
		if i > 0 && m.Files[i-1].Path >= f.Path {
			return Manifest{}, fmt.Errorf("%q is not after %q: files are listed once, in order", f.Path, m.Files[i-1].Path)
		}
		low := strings.ToLower(f.Path)
		if other, ok := lower[low]; ok {
			return Manifest{}, fmt.Errorf("%q and %q differ only in case", other, f.Path)
		}
		lower[low] = f.Path
	}
	want, err := m.Render()
	if err != nil {
		return Manifest{}, err
	}
	if !bytes.Equal(b, want) {
		return Manifest{}, errors.New("is not written the one way a manifest is")
	}
	return m, nil
}

// Find gives the entry of a path.
func (m Manifest) Find(path string) (File, bool) {
	i, ok := slices.BinarySearchFunc(m.Files, path, func(f File, p string) int { return cmp.Compare(f.Path, p) })
	if !ok {
		return File{}, false
	}
	return m.Files[i], true
}

func (f File) check() error {
	switch {
	case !safePath(f.Path):
		return fmt.Errorf("lists the path %q, which no pack has", clip(f.Path))
	case f.Path == manifestFile || f.Path == envelopeFile:
		return fmt.Errorf("lists %s, which cannot hold its own digest", f.Path)
	case !isDigest(f.SHA256):
		return fmt.Errorf("%s: sha256 is not a hex SHA-256 digest", f.Path)
	case f.Size < 0:
		return fmt.Errorf("%s: size is negative", f.Path)
	}
	return nil
}

// safePath tells whether p is a path such as packs have: relative, clean, with
// nothing that a shell, Windows or sha256sum reads as more than a name.
func safePath(p string) bool {
	if p == "" || len(p) > maxPath || path.Clean(p) != p || path.IsAbs(p) {
		return false
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || strings.Trim(part, ".") == "" || part[0] == '-' || part[0] == '.' || part[len(part)-1] == '.' {
			return false
		}
		for _, r := range part {
			if !plainRune(r) {
				return false
			}
		}
	}
	return true
}

func plainRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-'
}

// fileName makes a name into one that any file system holds. Different names
// stay different, in case too; plain ones stay as they are, with _ for /.
func fileName(name string) string {
	var b strings.Builder
	plain := len(name) <= 100 && name != "" && name == strings.ToLower(name) || controlName(name)
	for _, r := range name {
		switch {
		case r == '/':
			b.WriteByte('_')
		case r == '_' || !plainRune(r):
			plain = false
			b.WriteByte('-')
		default:
			b.WriteRune(r)
		}
	}
	slug := b.String()
	if plain && safePath(slug) {
		return slug
	}
	slug = strings.Trim(slug, "-._")
	return cmp.Or(strings.ToLower(slug[:min(len(slug), 60)]), "x") + "-" + audit.Digest([]byte(name))[:12]
}

// controlName tells whether a name is like STO-001.
func controlName(name string) bool {
	domain, number, ok := strings.Cut(name, "-")
	return ok && domain != "" && number != "" && len(name) <= 20 &&
		strings.Trim(domain, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" && strings.Trim(number, "0123456789") == ""
}
