package lookup

import (
	"bufio"
	"container/heap"
	"errors"
	"io"
	"os"
	"sort"
	"sync"
)

// blockSize is how much of a file is read for most look-ups.
const blockSize = 4 << 10

// runs is a file of sorted runs of records, one after the other.
type runs struct {
	file *os.File // nil if nothing was written
	ends []int64
}

// write adds a sorted arena.
func (r *runs) write(a *arena) error {
	var end int64
	if n := len(r.ends); n > 0 {
		end = r.ends[n-1]
	}
	w := bufio.NewWriterSize(r.file, 256<<10)
	for _, at := range a.refs {
		n, err := w.Write(a.record(at))
		if err != nil {
			return err
		}
		end += int64(n)
	}
	r.ends = append(r.ends, end)
	return w.Flush()
}

func (r *runs) close() error {
	if r.file == nil {
		return nil
	}
	f := r.file
	r.file = nil
	return f.Close()
}

// merge sorts all runs into one file, using at most the given memory or what
// the longest records need.
func (r *runs) merge(to *os.File, memory int64) (*file, error) {
	var h byRecord
	buffer := min(max(memory/2/int64(len(r.ends)), blockSize), 256<<10)
	var begin int64
	for _, end := range r.ends {
		c := &cursor{file: r.file, offset: begin, end: end, buffer: make([]byte, buffer)}
		if err := c.next(); err == nil {
			h = append(h, c)
		} else if !errors.Is(err, io.EOF) {
			return nil, err
		}
		begin = end
	}
	heap.Init(&h)
	f := &file{File: to, target: max(blockSize, 64*begin/memory)}
	w := bufio.NewWriterSize(to, 256<<10)
	for len(h) > 0 {
		c := h[0]
		f.note(c.record.hash(), len(c.raw))
		if _, err := w.Write(c.raw); err != nil {
			return nil, err
		}
		switch err := c.next(); {
		case err == nil:
			heap.Fix(&h, 0)
		case errors.Is(err, io.EOF):
			heap.Pop(&h)
		default:
			return nil, err
		}
	}
	return f, w.Flush()
}

// byRecord is a heap of cursors, the one at the least record first.
type byRecord []*cursor

func (h byRecord) Len() int           { return len(h) }
func (h byRecord) Less(i, j int) bool { return compare(h[i].record, h[j].record) < 0 }
func (h byRecord) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byRecord) Push(x any)        { *h = append(*h, x.(*cursor)) }
func (h *byRecord) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// file is a file of sorted records. It is cut into blocks, and no hash is in two.
type file struct {
	*os.File
	blocks  []block
	size    int64
	last    uint64 // hash of the last record
	target  int64  // bytes of a block, unless its last hash takes more
	buffers sync.Pool
}

type block struct {
	hash   uint64 // of its first record
	offset int64
}

// note takes notice of the next record. A block ends before what would make it
// too long: two neighbours are longer than target, and what is long delays only
// who looks for it. With the target of merge, blocks take at most half of the memory.
func (f *file) note(hash uint64, size int) {
	n := len(f.blocks)
	if n == 0 || hash != f.last && f.size+int64(size)-f.blocks[n-1].offset > f.target {
		f.blocks = append(f.blocks, block{hash, f.size})
	}
	f.size += int64(size)
	f.last = hash
}

// find reads the block that a hash belongs to.
func (f *file) find(hash uint64, name []byte) ([]Hit, error) {
	i := sort.Search(len(f.blocks), func(i int) bool { return f.blocks[i].hash > hash }) - 1
	if i < 0 {
		return nil, nil
	}
	end := f.size
	if i+1 < len(f.blocks) {
		end = f.blocks[i+1].offset
	}
	buffer, ok := f.buffers.Get().(*[]byte)
	if !ok {
		buffer = new([]byte)
		*buffer = make([]byte, min(4*f.target, f.size))
	}
	defer f.buffers.Put(buffer)
	c := cursor{file: f.File, offset: f.blocks[i].offset, end: end, buffer: *buffer}
	return c.find(f.blocks[i].hash, hash, name)
}
