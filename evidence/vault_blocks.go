package evidence

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// An object of lines is a file: linesMagic, the places of its blocks one after
// another, its directory as a zstd frame, and the footer: the length of
// the frame in 4 bytes, its SHA-256, and endMagic.
const (
	linesMagic   = "crosscheck/lines/1\n"
	endMagic     = "/lines/1"
	footerSize   = 4 + sha256.Size + len(endMagic)
	maxDirectory = 1 << 30
)

// linesExt and plainExt are what the files are called of objects that PutLines and Put stored.
const linesExt, plainExt = ".lines", ".zst"

// Blocks implements audit.BlockVault.
func (v *Vault) Blocks(_ context.Context, digest string) ([]audit.Block, error) {
	if !isDigest(digest) {
		return nil, notDigest(digest)
	}
	d, err := v.directory(digest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("vault: object %s: not stored in blocks: %w", clip(digest), errors.ErrUnsupported)
	}
	if err != nil {
		return nil, v.broken(digest, err)
	}
	out := make([]audit.Block, len(d.blocks))
	for i := range d.blocks {
		b := &d.blocks[i]
		out[i] = b.Block
		out[i].Read = func(ctx context.Context, buf []byte) ([]byte, error) {
			buf, err := v.readBlock(ctx, nil, b, buf)
			if err != nil && ctx.Err() == nil {
				err = v.broken(digest, err)
			}
			return buf, err
		}
	}
	return out, nil
}

// directory reads that of an object; fs.ErrNotExist says that it is not stored as lines.
func (v *Vault) directory(digest string) (*directory, error) {
	if !isDigest(digest) {
		return nil, notDigest(digest)
	}
	f, err := v.open(digest, linesExt)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	dec, ok := v.lists.Get().(*zstd.Decoder)
	if !ok {
		if dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDirectory)); err != nil {
			return nil, err
		}
	}
	defer v.lists.Put(dec)
	return readDirectory(f, digest, dec)
}

func readDirectory(f *os.File, digest string, dec *zstd.Decoder) (*directory, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	head, foot := make([]byte, len(linesMagic)), make([]byte, footerSize)
	at := info.Size() - int64(footerSize)
	if _, err := f.ReadAt(head, 0); err != nil || string(head) != linesMagic {
		return nil, errors.Join(errors.New("it does not begin as an object of lines"), err)
	}
	if at < int64(len(linesMagic)) {
		return nil, io.ErrUnexpectedEOF
	}
	if _, err := f.ReadAt(foot, at); err != nil {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint32(foot))
	if at -= length; string(foot[footerSize-len(endMagic):]) != endMagic || at < int64(len(linesMagic)) {
		return nil, errors.New("its end is missing")
	}
	frame := make([]byte, length)
	if _, err := f.ReadAt(frame, at); err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(frame); string(sum[:]) != string(foot[4:4+sha256.Size]) {
		return nil, errors.New("its directory has another digest")
	}
	plain, err := dec.DecodeAll(frame, nil)
	if err != nil {
		return nil, err
	}
	d, err := decodeDirectory(plain)
	if err == nil && d.digest != digest {
		return nil, fmt.Errorf("it is object %s", d.digest)
	}
	return d, err
}

// readBlock appends a block's bytes, and fails if they are not those that its digest promises.
func (v *Vault) readBlock(ctx context.Context, files *openFiles, b *stored, buf []byte) ([]byte, error) {
	c, err := v.codec()
	if err != nil {
		return buf, err
	}
	defer v.giveBack(c)
	from := len(buf)
	out, err := v.assemble(ctx, files, c, b.places, buf)
	if err != nil {
		return buf, err
	}
	if sum := sha256.Sum256(out[from:]); len(out)-from != b.Size || hex.EncodeToString(sum[:]) != b.Digest {
		return buf, errors.New("a block has another digest")
	}
	return out, nil
}

// assemble appends what places come to, the version that the last of them gives.
func (v *Vault) assemble(ctx context.Context, files *openFiles, c *codec, places []place, buf []byte) (_ []byte, err error) {
	var base []byte
	for k, p := range places {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c.raw, err = v.readPlace(files, p, c.raw); err != nil {
			return nil, err
		}
		if k == len(places)-1 {
			if buf, err = c.unpack(c.raw, base, buf); err != nil {
				return nil, rotten(p, err)
			}
			break
		}
		into := &c.versions[k%2]
		if *into, err = c.unpack(c.raw, base, (*into)[:0]); err != nil {
			return nil, rotten(p, err)
		}
		base = *into
	}
	return buf, nil
}

// rotten says which object a place is in that does not hold what it should.
func rotten(p place, err error) error {
	return fmt.Errorf("bytes %d to %d of the file of %s: %w", p.offset, p.offset+p.length, p.object, err)
}

func (v *Vault) readPlace(files *openFiles, p place, buf []byte) ([]byte, error) {
	f, done, err := files.open(v, p.object)
	if err != nil {
		return buf, fmt.Errorf("a part of it is in object %s: %w", p.object, err)
	}
	defer done()
	if int64(cap(buf)) < p.length {
		buf = make([]byte, p.length)
	}
	buf = buf[:p.length]
	if _, err := f.ReadAt(buf, p.offset); err != nil {
		return buf, rotten(p, err)
	}
	return buf, nil
}

// sound tells whether all that a block is made of is there as it was written.
func (v *Vault) sound(files *openFiles, c *codec, places []place) bool {
	for _, p := range places {
		var err error
		if c.raw, err = v.readPlace(files, p, c.raw); err != nil || soundPlace(c.raw) != nil {
			return false
		}
	}
	return true
}

// broken names the object and what helps.
func (v *Vault) broken(digest string, err error) error {
	return fmt.Errorf("vault %s: object %s is damaged (%w): restore it from a backup; the next audit stores anew what it still sees", v.dir, clip(digest), err)
}

// maxOpen files are kept open while one object is written or read.
const maxOpen = 64

// openFiles keeps the files open that parts of an object are in; nil keeps none.
type openFiles struct {
	mu    sync.Mutex
	files map[string]*os.File
}

// open gives the file of an object, and what to call when it is no longer used.
func (o *openFiles) open(v *Vault, digest string) (*os.File, func(), error) {
	if o != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if f := o.files[digest]; f != nil {
			return f, func() {}, nil
		}
	}
	f, err := v.open(digest, linesExt)
	if err != nil {
		return nil, nil, err
	}
	if o == nil || len(o.files) >= maxOpen {
		return f, func() { _ = f.Close() }, nil
	}
	if o.files == nil {
		o.files = map[string]*os.File{}
	}
	o.files[digest] = f
	return f, func() {}, nil
}

func (o *openFiles) close() {
	for _, f := range o.files {
		_ = f.Close()
	}
}

// objectReader reads an object of lines from its beginning to its end.
type objectReader struct {
	ctx   context.Context // of the Open that made it
	vault *Vault
	dir   *directory
	files openFiles
	next  int
	buf   []byte // of the last block
	rest  []byte // of buf
	sum   hash.Hash
	done  error
}

// Read implements io.Reader.
func (r *objectReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.done == nil {
			r.done = r.block()
		}
		if r.done != nil {
			return 0, r.done
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *objectReader) block() error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if r.next == len(r.dir.blocks) {
		if hex.EncodeToString(r.sum.Sum(nil)) != r.dir.digest {
			return r.vault.broken(r.dir.digest, errors.New("its bytes have another digest"))
		}
		return io.EOF
	}
	var err error
	if r.buf, err = r.vault.readBlock(r.ctx, &r.files, &r.dir.blocks[r.next], r.buf[:0]); err != nil {
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		return r.vault.broken(r.dir.digest, err)
	}
	r.next++
	r.sum.Write(r.buf)
	r.rest = r.buf
	return nil
}

// Close implements io.Closer.
func (r *objectReader) Close() error {
	r.files.close()
	return nil
}
