package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Bounds of what a Scratch keeps in memory: an object, and all of them.
const (
	scratchObject = 1 << 20
	scratchTotal  = 64 << 20
)

// Scratch keeps objects for a while only, as a gate needs them: small ones in
// memory, where nobody waits for a disk, and what is too much for that in a
// folder. It may be shared by goroutines, and implements audit.Vault and audit.BlockVault.
type Scratch struct {
	rest *Vault

	mu      sync.Mutex
	size    int
	objects map[string][]byte
}

var _ audit.BlockVault = (*Scratch)(nil)

// NewScratch keeps below dir what does not fit into memory. The caller removes the folder.
func NewScratch(dir string) (*Scratch, error) {
	rest, err := NewVault(dir)
	return &Scratch{rest: rest, objects: map[string][]byte{}}, err
}

// Put implements audit.Vault.
func (s *Scratch) Put(ctx context.Context, r io.Reader) (string, error) {
	return s.keep(ctx, r, s.rest.Put)
}

// PutLines implements audit.Vault.
func (s *Scratch) PutLines(ctx context.Context, r io.Reader, like string) (string, error) {
	return s.keep(ctx, r, func(ctx context.Context, r io.Reader) (string, error) { return s.rest.PutLines(ctx, r, like) })
}

func (s *Scratch) keep(ctx context.Context, r io.Reader, put func(context.Context, io.Reader) (string, error)) (string, error) {
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(io.LimitReader(contextReader{ctx, r}, scratchObject)); err != nil {
		return "", err
	}
	if buf.Len() == scratchObject {
		return put(ctx, io.MultiReader(&buf, r))
	}
	digest := audit.Digest(buf.Bytes())
	if s.add(digest, buf.Bytes()) {
		return digest, nil
	}
	return put(ctx, &buf)
}

// add keeps an object in memory, if there is room.
func (s *Scratch) add(digest string, content []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.objects[digest]; ok {
		return true
	}
	if s.size+len(content) > scratchTotal {
		return false
	}
	s.size += len(content)
	s.objects[digest] = bytes.Clone(content) // a buffer grows in leaps
	return true
}

func (s *Scratch) get(digest string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.objects[digest]
	return content, ok
}

// Open implements audit.Vault.
func (s *Scratch) Open(ctx context.Context, digest string) (io.ReadCloser, error) {
	if content, ok := s.get(digest); ok {
		return io.NopCloser(contextReader{ctx, bytes.NewReader(content)}), nil
	}
	return s.rest.Open(ctx, digest)
}

// Blocks implements audit.BlockVault.
func (s *Scratch) Blocks(ctx context.Context, digest string) ([]audit.Block, error) {
	content, ok := s.get(digest)
	if !ok {
		return s.rest.Blocks(ctx, digest)
	}
	var out []audit.Block
	for c, at := audit.NewCutter(bytes.NewReader(content)), 0; ; {
		b, part, err := c.Next(ctx, nil)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("object %s: %w", digest, err)
		}
		part = content[at : at+len(part)]
		at += len(part)
		if b.Digest = digest; len(part) < len(content) {
			b.Digest = audit.Digest(part)
		}
		b.Read = func(ctx context.Context, buf []byte) ([]byte, error) { return append(buf, part...), ctx.Err() }
		out = append(out, b)
	}
}
