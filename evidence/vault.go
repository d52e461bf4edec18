// Package evidence keeps what a run rests on and makes of it packs that anyone
// can verify and re-perform.
package evidence

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Vault is a folder of immutable objects, each under the SHA-256 of its bytes
// and compressed: a file of its own for what Put stores, and for what PutLines
// stores a file with the blocks that no earlier object has. It may be shared by
// goroutines, and read while another process writes. It implements audit.Vault
// and audit.BlockVault.
type Vault struct {
	dir     string
	clean   sync.Once
	codecs  sync.Pool                 // of *codec
	lists   sync.Pool                 // of *zstd.Decoder, for directories
	buffers sync.Pool                 // of *[]byte, for what blocks are packed into
	blocks  sync.Pool                 // of *[]byte, for the bytes of blocks
	wrap    func(io.Writer) io.Writer // tests: a disk that fails
}

// window bounds what compressing and reading one object hold in memory.
const window = 4 << 20

// torn begins the names of objects that are being written.
const torn = "torn-"

// NewVault keeps objects below dir, which the first Put makes.
func NewVault(dir string) (*Vault, error) {
	if dir == "" {
		return nil, errors.New("vault: directory is required")
	}
	return &Vault{dir: dir, wrap: func(w io.Writer) io.Writer { return w }}, nil
}

// Put stores what r gives. An object that is there already is written anew, so
// that one that has rotted is mended by the next run that has its content.
func (v *Vault) Put(ctx context.Context, r io.Reader) (digest string, err error) {
	err = v.create(func(root *os.Root, f *os.File) error {
		if digest, err = v.write(ctx, f, r); err != nil {
			return err
		}
		return rename(root, path.Base(f.Name()), digest, plainExt)
	})
	return digest, err
}

// create has a new file filled and given its name. What fails leaves nothing behind.
func (v *Vault) create(fill func(root *os.Root, f *os.File) error) error {
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	root, err := os.OpenRoot(v.dir)
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	defer func() { _ = root.Close() }()
	v.clean.Do(func() { removeTorn(root) })
	f, err := createTorn(root)
	if err != nil {
		return fmt.Errorf("vault %s: making room for an object: %w", v.dir, err)
	}
	if err := errors.Join(fill(root, f), f.Close()); err != nil {
		_ = root.Remove(path.Base(f.Name()))
		return fmt.Errorf("vault %s: storing an object: %w", v.dir, err)
	}
	return nil
}

// write compresses r into f and returns the digest of r's bytes once they are on disk.
func (v *Vault) write(ctx context.Context, f *os.File, r io.Reader) (string, error) {
	enc, err := zstd.NewWriter(v.wrap(f), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	_, err = io.CopyBuffer(io.MultiWriter(sum, onlyWriter{enc}), contextReader{ctx, r}, make([]byte, 128<<10))
	if err := errors.Join(err, enc.Close()); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), f.Sync()
}

// Open reads an object. The reader fails at the end, naming the object, if the
// bytes are not what the digest promises.
func (v *Vault) Open(ctx context.Context, digest string) (io.ReadCloser, error) {
	if !isDigest(digest) {
		return nil, notDigest(digest)
	}
	switch d, err := v.directory(digest); {
	case err == nil:
		return &objectReader{ctx: ctx, vault: v, dir: d, sum: sha256.New()}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, v.broken(digest, err)
	}
	f, err := v.open(digest, plainExt)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("vault %s has no object %s: it was removed, or this is another installation's data_dir", v.dir, digest)
	case err != nil:
		return nil, fmt.Errorf("vault %s: object %s: %w", v.dir, digest, err)
	}
	dec, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("vault: object %s: %w", digest, err), f.Close())
	}
	return &verifying{ctx: ctx, file: f, dec: dec, sum: sha256.New(), digest: digest}, nil
}

// verifying hashes what is read and compares at the end.
type verifying struct {
	ctx    context.Context // of the Open that made it
	file   *os.File
	dec    *zstd.Decoder
	sum    hash.Hash
	digest string
	done   error
}

// Read implements io.Reader.
func (r *verifying) Read(p []byte) (int, error) {
	if r.done != nil {
		return 0, r.done
	}
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.dec.Read(p)
	r.sum.Write(p[:n])
	switch {
	case err == nil:
	case errors.Is(err, io.EOF) && hex.EncodeToString(r.sum.Sum(nil)) == r.digest:
		r.done = io.EOF
	case errors.Is(err, io.EOF):
		r.done = r.damaged(errors.New("its bytes have another digest"))
	default:
		r.done = r.damaged(err)
	}
	return n, r.done
}

func (r *verifying) damaged(err error) error {
	return fmt.Errorf("vault: object %s is damaged (%w): restore it from a backup", r.digest, err)
}

// Close implements io.Closer.
func (r *verifying) Close() error {
	r.dec.Close()
	return r.file.Close()
}

// contextReader stops reading when the run does.
type contextReader struct {
	ctx  context.Context
	next io.Reader
}

// Read implements io.Reader.
func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.next.Read(p)
}

// onlyWriter hides ReadFrom, by which the encoder would read past the hash.
type onlyWriter struct{ io.Writer }

func isDigest(s string) bool {
	return len(s) == hex.EncodedLen(sha256.Size) && strings.Trim(s, "0123456789abcdef") == ""
}

func notDigest(s string) error {
	return fmt.Errorf("vault: %q is no digest: 64 lower-case hex digits", clip(s))
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
