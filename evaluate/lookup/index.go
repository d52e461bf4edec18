// Package lookup holds what resources declare for others to look up, in bounded
// memory: on disk, sorted, once there is more of it than that.
package lookup

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"sync"
	"sync/atomic"
)

// Config of an index. The zero value is good.
type Config struct {
	Dir    string // where it writes what memory does not hold, default the system's
	Memory int64  // bytes it may keep, default 64 MiB, at least 64 KiB

	hash   func([]byte) uint64
	create func(dir string) (*os.File, error)
}

// Entry is what one resource declares under one key.
type Entry struct {
	Source, Kind, Key string
	ID, Origin        string // of the resource that declares it
	Value             []byte // canonical JSON
}

// Hit is one entry under a key that was looked up. Its value must not be changed.
type Hit struct {
	ID, Origin string
	Value      []byte
}

// Index answers look-ups of entries. Entries are added, by any number of
// goroutines; then it is sealed, once; then it is read, by any number of
// goroutines, until it is closed. The order of adding leaves no trace.
type Index struct {
	dir    string
	memory int64
	hash   func([]byte) uint64
	create func(dir string) (*os.File, error)

	mu      sync.Mutex // guards what follows
	filling *arena     // nil once sealed or closed
	limit   int64      // bytes of filling that make it full

	writing sync.Mutex // guards what follows; never take mu while holding it
	spare   *arena     // to be filled next
	runs    runs
	failed  error // what could not be written; nothing is looked up after that

	sealed atomic.Pointer[table] // from Seal to Close
}

// table is a sealed index: all in memory, or all in a file.
type table struct {
	memory *arena
	file   *file // nil if all is in memory
}

func (t *table) find(hash uint64, name []byte) ([]Hit, error) {
	if t.file != nil {
		return t.file.find(hash, name)
	}
	return t.memory.find(hash, name)
}

var errState = errors.New("estate index: entries are added, then it is sealed, then read, then closed")

// New makes an empty index. It writes nothing while memory suffices.
func New(cfg Config) *Index {
	x := &Index{dir: cfg.Dir, memory: max(cmp.Or(cfg.Memory, 64<<20), 64<<10), hash: cfg.hash, create: cfg.create, filling: &arena{}}
	if x.hash == nil {
		seed := maphash.MakeSeed() // so that nobody can choose keys that collide
		x.hash = func(b []byte) uint64 { return maphash.Bytes(seed, b) }
	}
	if x.create == nil {
		x.create = temporary
	}
	x.limit = x.memory * 2 / 3 // while this much is written, another third is filled
	return x
}

// Add adds entries, all that a block of resources declares at a time: they are
// encoded before others are kept waiting. What they consist of is copied. After
// an error the index is of no use but to be closed.
func (x *Index) Add(entries ...Entry) error {
	var size int
	for _, e := range entries {
		size += e.size()
	}
	block := make([]byte, 0, size)
	ends := make([]int, len(entries))
	for i, e := range entries {
		block = e.append(block, x.hash)
		ends[i] = len(block)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	begin := 0
	for _, end := range ends {
		if x.filling == nil {
			return errState
		}
		x.filling.add(block[begin:end])
		begin = end
		if x.filling.size() >= x.limit {
			if err := x.spill(); err != nil {
				return err
			}
		}
	}
	return nil
}

// spill writes what has been filled, and lets others fill the other arena
// meanwhile; who fills that one too has to wait. It is called with mu held, and
// returns with mu held.
func (x *Index) spill() error {
	defer x.mu.Lock()
	x.writing.Lock()
	defer x.writing.Unlock()
	full := x.filling
	if x.spare == nil {
		x.spare = &arena{}
	}
	x.filling, x.spare = x.spare, nil
	x.limit = x.memory / 3
	x.mu.Unlock()
	err := x.write(full)
	full.reset(x.memory / 3)
	x.spare = full
	return err
}

// write sorts an arena and writes it as a run. It is called with writing held.
func (x *Index) write(a *arena) error {
	if x.failed == nil && x.runs.file == nil {
		x.runs.file, x.failed = x.create(x.dir)
	}
	if x.failed == nil {
		a.sort()
		x.failed = x.runs.write(a)
	}
	return wrap("writing", x.failed)
}

// Seal makes the index ready to be read. Nothing is added after that.
func (x *Index) Seal() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.writing.Lock()
	defer x.writing.Unlock()
	last := x.filling
	x.filling, x.spare = nil, nil
	switch {
	case last == nil:
		return errState
	case x.failed != nil:
		return wrap("writing", x.failed)
	case x.runs.file == nil:
		last.sort()
		x.sealed.Store(&table{memory: last})
		return nil
	}
	if err := x.write(last); err != nil {
		return err
	}
	merged, err := x.create(x.dir)
	if err != nil {
		return wrap("writing", err)
	}
	f, err := x.runs.merge(merged, x.memory)
	if err != nil {
		return wrap("sorting", errors.Join(err, merged.Close()))
	}
	x.sealed.Store(&table{file: f})
	return wrap("sorting", x.runs.close())
}

// Find returns what was declared under a key, sorted by id and then by value;
// nil if nothing was. An error says that it cannot be told.
func (x *Index) Find(source, kind, key string) ([]Hit, error) {
	t := x.sealed.Load()
	if t == nil {
		return nil, errState
	}
	name := appendName(make([]byte, 0, 128), source, kind, key)
	hits, err := t.find(x.hash(name), name)
	if err != nil {
		return nil, fmt.Errorf("looking up %s.%s[%q]: %w", source, kind, key, wrap("reading", err))
	}
	return hits, nil
}

// Close lets go of memory and files. It may be called at any stage, and again.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.writing.Lock()
	defer x.writing.Unlock()
	x.filling, x.spare = nil, nil
	err := x.runs.close()
	if t := x.sealed.Swap(nil); t != nil && t.file != nil {
		err = errors.Join(err, t.file.Close())
	}
	return wrap("closing", err)
}

// temporary makes a file that has no name, so that no death of the process leaves it behind.
func temporary(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "crosscheck-estate-") // mode 0600
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s the estate index: %w", doing, err)
}
