package evidence

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// The media types of a pack's files.
const (
	textType   = "text/plain; charset=utf-8"
	jsonType   = "application/json"
	ndjsonType = "application/x-ndjson"
	csvType    = "text/csv; charset=utf-8; header=present"
	pdfType    = "application/pdf"
	yamlType   = "application/yaml"
	pemType    = "application/x-pem-file"
	gzipType   = "application/gzip"
	shellType  = "text/x-shellscript"
)

// build writes the files of one pack below a directory and remembers what the
// manifest will say of them. Without a directory it only remembers.
type build struct {
	dir   string
	files []File
}

// output is one file being written.
type output struct {
	*bufio.Writer
	owner *build
	file  durable
	sum   hash.Hash
	size  int64
	entry File
}

// durable is the part of a file that an output needs.
type durable interface {
	io.WriteCloser
	Sync() error
}

// nowhere takes what is only hashed.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) Sync() error                 { return nil }
func (nowhere) Close() error                { return nil }

// create begins a file. Its mode is fixed: packs hold what an attacker would like to know.
func (b *build) create(path, mediaType string) (*output, error) {
	if !safePath(path) {
		return nil, fmt.Errorf("pack: %q is no name for a file of a pack", path)
	}
	f, err := b.open(path)
	if err != nil {
		return nil, err
	}
	o := &output{owner: b, file: f, sum: sha256.New(), entry: File{MediaType: mediaType, Path: path}}
	o.Writer = bufio.NewWriterSize(sink{o}, 32<<10)
	return o, nil
}

func (b *build) open(path string) (durable, error) {
	if b.dir == "" {
		return nowhere{}, nil
	}
	full := filepath.Join(b.dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(full, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

// sink hashes and counts what reaches the file.
type sink struct{ o *output }

// Write implements io.Writer.
func (s sink) Write(p []byte) (int, error) {
	n, err := s.o.file.Write(p)
	s.o.sum.Write(p[:n])
	s.o.size += int64(n)
	return n, err
}

// close makes the file durable and enters it into the manifest.
func (o *output) close() (digest string, err error) {
	err = errors.Join(o.Flush(), o.file.Sync(), o.file.Close())
	if err != nil {
		return "", err
	}
	o.entry.SHA256, o.entry.Size = hex.EncodeToString(o.sum.Sum(nil)), o.size
	o.owner.files = append(o.owner.files, o.entry)
	return o.entry.SHA256, nil
}

// discard closes a file of a pack that will not be.
func (o *output) discard() { _ = o.file.Close() }

// write makes one whole file.
func (b *build) write(path, mediaType string, content []byte) error {
	_, err := b.copy(path, mediaType, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	return err
}

// copy makes one whole file of what fill writes.
func (b *build) copy(path, mediaType string, fill func(io.Writer) error) (digest string, err error) {
	o, err := b.create(path, mediaType)
	if err != nil {
		return "", err
	}
	if err := fill(o); err != nil {
		o.discard()
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return o.close()
}

// writeJSON makes one file of canonical JSON.
func (b *build) writeJSON(path string, v any) error {
	line, err := audit.Canonical(v)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return b.write(path, jsonType, append(line, '\n'))
}

// finish writes manifest and envelope, and makes the directories durable.
func (b *build) finish(ctx context.Context, s *Signer, m Manifest) error {
	m.Files = slices.SortedFunc(slices.Values(b.files), func(x, y File) int { return cmp.Compare(x.Path, y.Path) })
	manifest, err := m.Render()
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	if _, err := ParseManifest(manifest); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	envelope, err := seal(ctx, s, manifest)
	if err != nil {
		return err
	}
	if err := b.write(manifestFile, jsonType, manifest); err != nil {
		return err
	}
	if err := b.write(envelopeFile, jsonType, envelope); err != nil {
		return err
	}
	return filepath.WalkDir(b.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncPath(path)
	})
}

// syncPath makes the names within a directory durable.
func syncPath(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
