package evidence

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"math/bits"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// maxVersions of a block follow each other before it is stored whole again.
// Version n is what differs from version n&(n-1): to read one takes no more
// steps than n has bits that are set.
const maxVersions = 32

// lineWriter stores the blocks of one object.
type lineWriter struct {
	vault    *Vault
	out      io.Writer
	at       int64 // bytes written
	files    openFiles
	like     *directory // empty if there is none
	byDigest map[string]int
	byFirst  map[string]int
	last     int // the block of like that the last one was matched with, -1 if none
	dir      directory
	sum      hash.Hash
}

// piece is one block on its way.
type piece struct {
	stored
	like    int // the block of the object before that this one probably is a later version of; -1
	content []byte
	packed  []byte // to be written; empty if the block is stored already
	done    chan struct{}
}

func (v *Vault) newLineWriter(out io.Writer, like string) *lineWriter {
	w := &lineWriter{vault: v, out: out, like: &directory{}, last: -1, sum: sha256.New()}
	if d, err := v.directory(like); err == nil { // what cannot be read helps nothing, and does no harm
		w.like = d
	}
	w.byDigest, w.byFirst = w.like.find()
	return w
}

// write stores what r gives, all but the directory, which has the digest afterwards.
func (w *lineWriter) write(ctx context.Context, r io.Reader) error {
	if err := w.put([]byte(linesMagic)); err != nil {
		return err
	}
	workers := runtime.GOMAXPROCS(0)
	g, ctx := errgroup.WithContext(ctx)
	todo, inOrder := make(chan *piece), make(chan *piece, 2*workers)
	g.Go(func() error {
		defer close(inOrder)
		defer close(todo)
		return w.cut(ctx, r, []chan *piece{inOrder, todo})
	})
	for range workers {
		g.Go(func() error {
			c, err := w.vault.codec()
			if err != nil {
				return err
			}
			defer w.vault.giveBack(c)
			for p := range todo {
				if err := w.pack(ctx, c, p); err != nil {
					return err
				}
				close(p.done)
			}
			return nil
		})
	}
	g.Go(func() error {
		for p := range inOrder {
			select {
			case <-p.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := w.add(p); err != nil {
				return err
			}
		}
		return nil
	})
	err := g.Wait()
	w.dir.digest = hex.EncodeToString(w.sum.Sum(nil))
	return err
}

// cut sends the blocks on, each with the one that it probably is a later version of.
func (w *lineWriter) cut(ctx context.Context, r io.Reader, to []chan *piece) error {
	if _, given := r.(audit.LineSource); !given {
		r = contextReader{ctx, r}
	}
	for c := audit.NewCutter(r); ; {
		b, content, err := c.Next(ctx, w.vault.content())
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if i, ok := w.byFirst[b.FirstID]; ok {
			w.last = i
		}
		p := &piece{stored: stored{Block: b}, like: w.last, content: content, done: make(chan struct{})}
		for _, c := range to {
			select {
			case c <- p:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// pack finds where a block is stored already, or makes what is to be written.
func (w *lineWriter) pack(ctx context.Context, c *codec, p *piece) error {
	sum := sha256.Sum256(p.content)
	p.Digest = hex.EncodeToString(sum[:])
	if i, ok := w.byDigest[p.Digest]; ok && w.vault.sound(&w.files, c, w.like.blocks[i].places) {
		p.version, p.places = w.like.blocks[i].version, w.like.blocks[i].places
		return nil
	}
	buf := w.vault.buffer()
	var err error
	if p.packed, err = w.delta(ctx, c, p, buf); err != nil || len(p.packed) > 0 {
		return err
	}
	p.version, p.places = 0, nil
	p.packed = c.pack(p.content, buf)
	return nil
}

// delta makes what differs from an earlier version, nothing if that is not clearly less than the whole.
func (w *lineWriter) delta(ctx context.Context, c *codec, p *piece, buf []byte) ([]byte, error) {
	if p.like < 0 || p.Size > maxDelta {
		return nil, nil
	}
	old := &w.like.blocks[p.like]
	steps := len(old.places) - bits.TrailingZeros(^uint(old.version))
	if old.version+1 >= maxVersions || steps < 1 {
		return nil, nil
	}
	base := w.vault.earlier(ctx, &w.files, c, old.places[:steps])
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case len(base) > maxDelta || len(base) == 0:
		return nil, nil
	}
	packed, err := c.packDelta(p.content, base, buf)
	if err != nil || int64(len(packed)) > old.places[0].length/2 {
		return nil, err
	}
	p.version, p.places = old.version+1, slices.Clone(old.places[:steps])
	return packed, nil
}

// earlier gives an earlier version of a block; nothing if it cannot be read: then the block is stored anew.
func (v *Vault) earlier(ctx context.Context, files *openFiles, c *codec, places []place) []byte {
	base, err := v.assemble(ctx, files, c, places, c.base[:0])
	if err != nil {
		return nil
	}
	c.base = base
	return base
}

// add writes what is new of a block, and notes where it is.
func (w *lineWriter) add(p *piece) error {
	w.sum.Write(p.content)
	if len(p.packed) > 0 {
		p.places = append(p.places, place{offset: w.at, length: int64(len(p.packed))})
		if err := w.put(p.packed); err != nil {
			return err
		}
		w.vault.buffers.Put(&p.packed)
	}
	w.vault.blocks.Put(&p.content)
	w.dir.size += int64(p.Size)
	w.dir.blocks = append(w.dir.blocks, p.stored)
	return nil
}

func (w *lineWriter) put(b []byte) error {
	n, err := w.out.Write(b)
	w.at += int64(n)
	return err
}

// wrote tells whether anything of the object was not stored already.
func (w *lineWriter) wrote() bool { return w.at > int64(len(linesMagic)) }

// shifted moves the places in the object itself: its bytes come after others.
func (d *directory) shifted(by int64) {
	for i := range d.blocks {
		for k := range d.blocks[i].places {
			if p := &d.blocks[i].places[k]; p.object == "" {
				p.offset += by
			}
		}
	}
}
