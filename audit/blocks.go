package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// Block is a run of whole lines of an object: what can be read of it without
// the rest, and from many goroutines at once.
type Block struct {
	Digest  string      // SHA-256 of its bytes
	Size    int         // bytes, newlines included
	Lines   int         // how many
	FirstID string      // of its first line: a document's id, or the resource of a verdict
	LastID  string      // of its last line
	Types   []TypeCount // sorted; how many lines of each type. Only Type and Listed are filled

	// Read appends the bytes to buf. It fails, naming the object, if they are
	// not what Digest promises.
	Read func(ctx context.Context, buf []byte) ([]byte, error)
}

// BlockVault is a Vault that can give an object in blocks without reading it.
type BlockVault interface {
	Blocks(ctx context.Context, digest string) ([]Block, error)
}

// Blocks lists the blocks of an object, in order: one after another they are
// its bytes. Of a vault that has none the object is read, and cut; then blocks
// are best read about in order, and what is open is closed when the last one has been
// read or ctx ends. Blocks vouch for themselves, only Open vouches for the whole.
// The list is the caller's, to leave out of it what is not wanted.
func Blocks(ctx context.Context, v Vault, digest string) ([]Block, error) {
	if bv, ok := v.(BlockVault); ok {
		list, err := bv.Blocks(ctx, digest)
		if !errors.Is(err, errors.ErrUnsupported) {
			return list, err
		}
	}
	r, err := v.Open(ctx, digest)
	if err != nil {
		return nil, err
	}
	s := &stream{vault: v, digest: digest, pending: map[int][]byte{}}
	err = s.list(ctx, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if len(s.blocks) > 0 {
		context.AfterFunc(ctx, s.close)
	}
	return slices.Clone(s.blocks), nil
}

// EachLine calls yield for each line of a block's bytes, without its newline.
func EachLine(block []byte, yield func(line []byte) error) error {
	for len(block) > 0 {
		line, rest, _ := bytes.Cut(block, []byte("\n"))
		if err := yield(line); err != nil {
			return err
		}
		block = rest
	}
	return nil
}

// maxPending blocks are kept that were passed over on the way to a later one.
const maxPending = 16

// stream gives the blocks of an object that can only be read from its beginning.
type stream struct {
	vault  Vault
	digest string
	blocks []Block

	mu      sync.Mutex
	rc      io.ReadCloser
	next    int            // the block that rc gives next
	pending map[int][]byte // passed over, not yet asked for
}

func (s *stream) list(ctx context.Context, r io.Reader) error {
	var buf []byte
	for c := NewCutter(r); ; {
		b, content, err := c.Next(ctx, buf[:0])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		buf = content
		b.Digest = Digest(content)
		i := len(s.blocks)
		b.Read = func(ctx context.Context, buf []byte) ([]byte, error) { return s.read(ctx, i, buf) }
		s.blocks = append(s.blocks, b)
	}
}

func (s *stream) read(ctx context.Context, i int, buf []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.pending[i]; ok {
		delete(s.pending, i)
		return append(buf, b...), nil
	}
	if s.rc == nil || s.next > i {
		s.shut()
		rc, err := s.vault.Open(context.WithoutCancel(ctx), s.digest)
		if err != nil {
			return buf, err
		}
		s.rc, s.next = rc, 0
	}
	for s.next < i {
		b, err := s.one(ctx, nil)
		if err != nil {
			return buf, err
		}
		if s.next-1 >= i-maxPending && len(s.pending) < 2*maxPending {
			s.pending[s.next-1] = b
		}
	}
	return s.one(ctx, buf)
}

// one reads the next block.
func (s *stream) one(ctx context.Context, buf []byte) ([]byte, error) {
	b, from := s.blocks[s.next], len(buf)
	if err := ctx.Err(); err != nil {
		return buf, err
	}
	buf = append(buf, make([]byte, b.Size)...)
	if _, err := io.ReadFull(s.rc, buf[from:]); err != nil {
		s.shut()
		return buf[:from], fmt.Errorf("object %s: %w", s.digest, err)
	}
	if sum := sha256.Sum256(buf[from:]); hex.EncodeToString(sum[:]) != b.Digest {
		s.shut()
		return buf[:from], fmt.Errorf("object %s changed while it was read", s.digest)
	}
	if s.next++; s.next == len(s.blocks) {
		s.shut()
	}
	return buf, nil
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut()
}

func (s *stream) shut() {
	if s.rc != nil {
		_ = s.rc.Close()
		s.rc = nil
	}
}
