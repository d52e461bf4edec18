package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// moment is when the first night of every generated estate was collected.
var moment = time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)

// part is one generated origin: write yields its documents in order of their
// ids, the same at every call. A line is the caller's only until yield returns.
type part struct {
	origin   string
	snapshot audit.Snapshot // what the recording says of it; counts and times are filled in
	write    func(yield func(typ string, line []byte) error) error
}

// tally is what is told of a part once it is written.
type tally struct {
	resources, bytes int64
	types            map[string]int64
}

// each writes a part and counts what it writes.
func (p part) each(yield func(typ string, line []byte) error) (tally, error) {
	t := tally{types: map[string]int64{}}
	err := p.write(func(typ string, line []byte) error {
		t.resources++
		t.bytes += int64(len(line)) + 1
		t.types[typ]++
		return yield(typ, line)
	})
	return t, err
}

// snapshotOf completes what is said of a part.
func (p part) snapshotOf(t tally, digest string, at time.Time) audit.Snapshot {
	s := p.snapshot
	s.Origin, s.Digest, s.Resources, s.Bytes, s.Recorded = p.origin, digest, t.resources, t.bytes, true
	s.Started, s.Ended = at.Add(-time.Minute), at
	s.Documents = nil
	listed := map[string]audit.TypeCount{}
	for _, c := range s.Types {
		listed[c.Type] = c
	}
	for _, typ := range slices.Sorted(maps.Keys(t.types)) {
		s.Documents = append(s.Documents, audit.TypeCount{Type: typ, Listed: t.types[typ]})
		if _, ok := listed[typ]; !ok {
			listed[typ] = audit.TypeCount{Type: typ, Completeness: audit.Listed, Basis: "generated"}
		}
	}
	s.Types = nil
	for _, typ := range slices.Sorted(maps.Keys(listed)) {
		c := listed[typ]
		c.Listed = t.types[typ]
		s.Types = append(s.Types, c)
	}
	return s
}

// memory holds parts for deciding them again and again: it is an audit.Vault.
type memory struct {
	snapshots []audit.Snapshot
	objects   map[string][]byte
	blocks    map[string][]audit.Block
	lines     [][]byte
	bytes     int64
	each      *memory // the first document of each type of each origin
}

func hold(parts []part) (*memory, error) {
	m := newMemory()
	m.each = newMemory()
	for _, p := range parts {
		var buf, firsts bytes.Buffer
		seen := map[string]bool{}
		t, err := p.each(func(typ string, line []byte) error {
			buf.Write(line)
			buf.WriteByte('\n')
			if !seen[typ] {
				seen[typ] = true
				firsts.Write(line)
				firsts.WriteByte('\n')
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("generating %s: %w", p.origin, err)
		}
		for _, x := range []struct {
			into    *memory
			content []byte
		}{{m, buf.Bytes()}, {m.each, firsts.Bytes()}} {
			if err := x.into.add(p.snapshotOf(t, "", moment), x.content); err != nil {
				return nil, err
			}
		}
		for line := range bytes.Lines(buf.Bytes()) {
			m.lines = append(m.lines, bytes.TrimSuffix(line, []byte("\n")))
		}
		m.bytes += t.bytes
	}
	return m, nil
}

func newMemory() *memory {
	return &memory{objects: map[string][]byte{}, blocks: map[string][]audit.Block{}}
}

// Blocks implements audit.BlockVault: what is held is cut once, as the vault's objects are.
func (m *memory) Blocks(_ context.Context, digest string) ([]audit.Block, error) {
	return slices.Clone(m.blocks[digest]), nil
}

// add keeps a snapshot, in order of the origins. One that does not say what it
// holds is given what it does.
func (m *memory) add(s audit.Snapshot, content []byte) error {
	s.Digest = audit.Digest(content)
	at, held := 0, []audit.TypeCount{}
	for c := audit.NewCutter(bytes.NewReader(content)); ; {
		b, part, err := c.Next(context.Background(), nil)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		from, to := at, at+len(part)
		at = to
		b.Digest = audit.Digest(part)
		b.Read = func(_ context.Context, buf []byte) ([]byte, error) { return append(buf, content[from:to]...), nil }
		m.blocks[s.Digest] = append(m.blocks[s.Digest], b)
		held = append(held, b.Types...)
	}
	if s.Documents == nil {
		s.Documents = held // a type may come more than once
	}
	m.objects[s.Digest] = content
	m.snapshots = append(m.snapshots, s)
	slices.SortFunc(m.snapshots, func(a, b audit.Snapshot) int { return cmp.Compare(a.Origin, b.Origin) })
	return nil
}

// PutLines implements audit.Vault.
func (m *memory) PutLines(ctx context.Context, r io.Reader, _ string) (string, error) {
	return m.Put(ctx, r)
}

// Put implements audit.Vault.
func (m *memory) Put(_ context.Context, r io.Reader) (string, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	digest := audit.Digest(b)
	m.objects[digest] = b
	return digest, nil
}

// Open implements audit.Vault.
func (m *memory) Open(_ context.Context, digest string) (io.ReadCloser, error) {
	b, ok := m.objects[digest]
	if !ok {
		return nil, fmt.Errorf("no object %s", digest)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// recording is what collectors/recorded reads: snapshots.json and a file for each origin.
type recording struct {
	Format    string  `json:"format"`
	Snapshots []entry `json:"snapshots"`
}

type entry struct {
	File string `json:"file"`
	audit.Snapshot
}

var unfit = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// record writes parts below dir as recorded.Save does, without a vault to take
// them from and with less effort in compressing. It returns their size, uncompressed.
func record(dir string, parts []part, at time.Time) (size int64, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	list := recording{Format: "crosscheck/recorded/1"}
	for _, p := range parts {
		e := entry{File: unfit.ReplaceAllString(p.origin, "-") + ".ndjson.zst"}
		t, digest, err := p.compress(filepath.Join(dir, e.File))
		if err != nil {
			return 0, fmt.Errorf("recording %s: %w", p.origin, err)
		}
		e.Snapshot = p.snapshotOf(t, digest, at)
		list.Snapshots = append(list.Snapshots, e)
		size += t.bytes
	}
	slices.SortFunc(list.Snapshots, func(a, b entry) int { return cmp.Compare(a.Origin, b.Origin) })
	return size, list.save(dir)
}

func (l recording) save(dir string) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "snapshots.json"), b, 0o600)
}

// recordNight writes what a night of a series is, for whoever wants to try it by
// hand: DIR estate|clusters|workloads RESOURCES NIGHT.
func recordNight(args []string) error {
	if len(args) != 4 {
		return errors.New("want record DIR estate|clusters|workloads RESOURCES NIGHT")
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return fmt.Errorf("resources: %w", err)
	}
	night, err := strconv.Atoi(args[3])
	if err != nil {
		return fmt.Errorf("night: %w", err)
	}
	var parts []part
	switch what := args[1]; what {
	case "estate":
		s, err := newScaled(n)
		if err != nil {
			return err
		}
		s.version = func(number, document int) int { return changes(uint64(number)<<32|uint64(document), night) }
		parts = s.parts()
	case "clusters", "workloads":
		parts = (&clusters{seed: seed, n: n, workloads: what == "workloads", version: func(i int) int { return changes(uint64(i), night) }}).parts()
	default:
		return fmt.Errorf("%q: want estate, clusters or workloads", what)
	}
	_, err = record(args[0], parts, moment.AddDate(0, 0, night))
	return err
}

// restamp makes a recording one of another night in which nothing changed.
func restamp(dir string, at time.Time) error {
	b, err := os.ReadFile(filepath.Join(dir, "snapshots.json"))
	if err != nil {
		return err
	}
	var l recording
	if err := json.Unmarshal(b, &l); err != nil {
		return err
	}
	for i := range l.Snapshots {
		l.Snapshots[i].Started, l.Snapshots[i].Ended = at.Add(-time.Minute), at
	}
	return l.save(dir)
}

func (p part) compress(name string) (t tally, digest string, err error) {
	f, err := os.Create(name)
	if err != nil {
		return t, "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return t, "", err
	}
	sum := sha256.New()
	w := io.MultiWriter(z, sum)
	buf := make([]byte, 0, 1<<20)
	t, err = p.each(func(_ string, line []byte) error {
		buf = append(append(buf, line...), '\n')
		if len(buf) < 1<<19 {
			return nil
		}
		_, err := w.Write(buf)
		buf = buf[:0]
		return err
	})
	if err == nil {
		_, err = w.Write(buf)
	}
	return t, hex.EncodeToString(sum.Sum(nil)), errors.Join(err, z.Close())
}
