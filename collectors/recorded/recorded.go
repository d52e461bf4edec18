// Package recorded plays back snapshots that Save wrote: the demo and the tests
// need no network, and what an auditor was shown can be shown again.
//
// A recording is a directory: snapshots.json lists the snapshots with all that
// was said of them, and beside it lies one zstd file of NDJSON for each.
package recorded

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Config says where the recording is.
type Config struct {
	FS fs.FS // its root holds snapshots.json; may be embedded
}

// Collector plays back the origins of one recording. What it returns is what
// the collectors said when it was recorded, times, gaps and calls included.
type Collector struct {
	fs       fs.FS
	entries  []entry
	decoders sync.Pool // of *zstd.Decoder
}

// New reads the list of snapshots, because origins must be known before anything
// is collected. The snapshots themselves are read, and checked, by Collect.
func New(cfg Config) (*Collector, error) {
	if cfg.FS == nil {
		return nil, errors.New("recorded estate: FS is required")
	}
	b, err := readList(cfg.FS)
	if err != nil {
		return nil, fmt.Errorf("recorded estate: %w", err)
	}
	entries, err := parseList(b)
	if err != nil {
		return nil, fmt.Errorf("recorded estate: %s: %w", listName, err)
	}
	return &Collector{fs: cfg.FS, entries: entries}, nil
}

// Origins implements audit.Collector.
func (c *Collector) Origins() []string {
	out := make([]string, len(c.entries))
	for i, e := range c.entries {
		out[i] = e.Origin
	}
	return out
}

// Collect implements audit.Collector. A file that is not, to the byte, what was
// recorded is an error, whatever could be read of it.
func (c *Collector) Collect(ctx context.Context, req audit.Request, w audit.SnapshotWriter) (audit.Collection, error) {
	i := slices.IndexFunc(c.entries, func(e entry) bool { return e.Origin == req.Origin })
	if i < 0 {
		return audit.Collection{}, fmt.Errorf("recorded estate has no origin %q", req.Origin)
	}
	e := c.entries[i]
	col := audit.Collection{
		Identity: e.Identity, Endpoint: e.Endpoint, Types: slices.Clone(e.Types), Exhaustive: e.Exhaustive, Answers: slices.Clone(e.Answers),
		Gaps: slices.Clone(e.Gaps), Calls: slices.Clone(e.Calls), Started: e.Started, Ended: e.Ended,
	}
	n := audit.NewNarrow(req, w)
	if !req.Whole() { // the file is read whole all the same; a writer that can seal is better used as it is
		w = n
	}
	if err := c.play(ctx, e, w); err != nil {
		return n.Settle(col, &audit.SourceError{
			Code: audit.Failed, Operation: "read " + e.File,
			Err: fmt.Errorf("%w: restore the file, or record the estate again", err),
		})
	}
	return n.Settle(col, nil)
}

// Lists implements audit.Lister.
func (c *Collector) Lists(string) bool { return true }

// play writes the documents of one file and checks that they are all that was
// recorded. Where they were recorded as they are stored, which is what Save
// does, what is stored is checked, and nothing hashed twice.
func (c *Collector) play(ctx context.Context, e entry, w audit.SnapshotWriter) error {
	sealer, asStored := w.(audit.Sealer)
	hash := sha256.New()
	sum := io.Writer(hash)
	if asStored {
		sum = io.Discard
	}
	var documents, size int64
	var last string
	var lines slab
	err := c.read(e, sum, func(r io.Reader) error {
		return audit.Lines(ctx, r, func(line []byte) error {
			documents++
			if size += int64(len(line)) + 1; size > e.Bytes {
				return fmt.Errorf("more than the %d bytes recorded", e.Bytes)
			}
			res, err := audit.ParseLine(lines.clone(line))
			if err != nil { // not as we render it: what it says counts
				asStored = false
				if res, err = audit.ParseResource(line); err != nil {
					return fmt.Errorf("line %d: %w", documents, err)
				}
			}
			asStored = asStored && (documents == 1 || last < res.ID)
			last = res.ID
			if err := w.Write(res); err != nil {
				return fmt.Errorf("line %d: %w", documents, err)
			}
			return nil
		})
	})
	switch {
	case err != nil:
		return err
	case documents != e.Resources:
		return fmt.Errorf("%d documents, %d were recorded", documents, e.Resources)
	}
	digest := ""
	switch {
	case asStored && size == e.Bytes: // nothing was left out at the ends of lines
		digest, err = sealer.Seal()
	case sealer != nil:
		err = c.read(e, hash, func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err })
	}
	if digest == "" {
		digest = hex.EncodeToString(hash.Sum(nil))
	}
	if err == nil && digest != e.Digest {
		err = fmt.Errorf("SHA-256 of the content is %s, %s was recorded", digest, e.Digest)
	}
	return err
}

// slab is room for lines one after another: a recording has many and short ones.
type slab struct{ b []byte }

func (s *slab) clone(line []byte) []byte {
	const size = 32 << 10
	if len(line) > cap(s.b)-len(s.b) {
		if len(line) > size/4 {
			return bytes.Clone(line)
		}
		s.b = make([]byte, 0, size)
	}
	from := len(s.b)
	s.b = append(s.b, line...)
	return s.b[from:len(s.b):len(s.b)]
}

// read reads the content of one file, and writes what is read to sum. It reads
// one byte more than was recorded, if there is one.
func (c *Collector) read(e entry, sum io.Writer, do func(io.Reader) error) error {
	if err := regular(c.fs, e.File); err != nil {
		return err
	}
	f, err := c.fs.Open(e.File)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	z, err := c.decoder(f)
	if err != nil {
		return err
	}
	defer c.giveBack(z)
	return do(io.TeeReader(io.LimitReader(z, e.Bytes+1), sum))
}

// decoder lends one that reads r; giveBack takes it. Each holds more than most files do.
func (c *Collector) decoder(r io.Reader) (*zstd.Decoder, error) {
	if z, ok := c.decoders.Get().(*zstd.Decoder); ok {
		return z, z.Reset(r)
	}
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
}

func (c *Collector) giveBack(z *zstd.Decoder) {
	if z.Reset(nil) == nil {
		c.decoders.Put(z)
	}
}

// readList reads snapshots.json, which must be a plain file of bounded size.
func readList(fsys fs.FS) ([]byte, error) {
	if err := regular(fsys, listName); err != nil {
		return nil, err
	}
	f, err := fsys.Open(listName)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxList+1))
	switch err := errors.Join(err, f.Close()); {
	case err != nil:
		return nil, err
	case len(b) > maxList:
		return nil, fmt.Errorf("%s is over %d bytes", listName, maxList)
	}
	return b, nil
}

// regular refuses links and everything else that is not a file of its own.
func regular(fsys fs.FS, name string) error {
	info, err := fs.Lstat(fsys, name)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", name)
	}
	return nil
}

// parseList reads snapshots.json and refuses whatever Save would not write.
func parseList(b []byte) ([]entry, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var l list
	if err := dec.Decode(&l); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	switch {
	case l.Format != format:
		return nil, fmt.Errorf("format is %q, want %q: recorded by another version", l.Format, format)
	case len(l.Snapshots) == 0:
		return nil, errors.New("no snapshot is listed")
	}
	files, origins := map[string]bool{}, map[string]bool{}
	for i, e := range l.Snapshots {
		err := e.check()
		switch {
		case err != nil:
		case files[e.File]:
			err = fmt.Errorf("file %q is listed twice", e.File)
		case origins[e.Origin]:
			err = fmt.Errorf("origin %q is listed twice", e.Origin)
		}
		if err != nil {
			return nil, fmt.Errorf("snapshot %d: %w", i+1, err)
		}
		files[e.File], origins[e.Origin] = true, true
	}
	return l.Snapshots, nil
}
