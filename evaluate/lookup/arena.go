package lookup

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"sort"
)

// Chunks of an arena double from the first size to the last.
const firstChunk, lastChunk = 16 << 10, 1 << 20

// arena holds records in memory. They are few allocations, without pointers
// that the garbage collector would have to follow.
type arena struct {
	chunks [][]byte
	used   int // chunks in use
	bytes  int64
	refs   []ref
}

// ref says where in an arena a record begins.
type ref struct {
	hash          uint64
	chunk, offset uint32
}

const refSize = 16

// size is how many bytes the arena keeps for what is in it.
func (a *arena) size() int64 { return a.bytes + int64(cap(a.refs))*refSize }

// add copies a record with its length.
func (a *arena) add(record []byte) {
	if a.used == 0 || len(record) > cap(a.chunks[a.used-1])-len(a.chunks[a.used-1]) {
		a.next(len(record))
	}
	c := &a.chunks[a.used-1]
	a.refs = append(a.refs, ref{hash: content(record).hash(), chunk: uint32(a.used - 1), offset: uint32(len(*c))}) //nolint:gosec // few chunks, each under 4 GiB
	*c = append(*c, record...)
}

// next begins a chunk that has room for a record.
func (a *arena) next(size int) {
	if a.used < len(a.chunks) && size > cap(a.chunks[a.used]) { // not that one
		a.chunks = slices.Delete(a.chunks, a.used, len(a.chunks))
	}
	if a.used == len(a.chunks) {
		want := min(max(int(a.bytes), firstChunk), lastChunk)
		a.chunks = append(a.chunks, make([]byte, 0, max(want, size)))
	}
	a.bytes += int64(cap(a.chunks[a.used]))
	a.used++
}

// reset empties an arena for reuse, and lets go of what it will not need below a limit.
func (a *arena) reset(limit int64) {
	var kept int64
	for i := range a.chunks {
		if kept += int64(cap(a.chunks[i])); kept > limit {
			clear(a.chunks[i:])
			a.chunks = a.chunks[:i]
			break
		}
		a.chunks[i] = a.chunks[i][:0]
	}
	if a.used, a.bytes = 0, 0; int64(cap(a.refs))*refSize > limit {
		a.refs = nil
	}
	a.refs = a.refs[:0]
}

// content is a record without its length, for records that we wrote to memory.
func content(record []byte) body {
	size, n := binary.Uvarint(record)
	return body(record[n : uint64(n)+size]) //nolint:gosec // n is positive
}

// record is a record with its length.
func (a *arena) record(r ref) []byte {
	from := a.chunks[r.chunk][r.offset:]
	size, n := binary.Uvarint(from)
	return from[: uint64(n)+size : uint64(n)+size] //nolint:gosec // n is positive
}

func (a *arena) sort() {
	slices.SortFunc(a.refs, func(x, y ref) int {
		if c := cmp.Compare(x.hash, y.hash); c != 0 {
			return c
		}
		return compare(content(a.record(x)), content(a.record(y)))
	})
}

// first is where in a sorted arena records with a hash, or one beyond it, begin.
// Hashes are spread evenly, so that it is near where it would be among equal steps.
func (a *arena) first(hash uint64) int {
	guess, _ := bits.Mul64(hash, uint64(len(a.refs)))
	low, high := int(guess), int(guess) //nolint:gosec // less than len(a.refs)
	for step := 64; low > 0 && a.refs[low-1].hash >= hash; step *= 2 {
		high, low = low, max(low-step, 0)
	}
	for step := 64; high < len(a.refs) && a.refs[high].hash < hash; step *= 2 {
		low, high = high, min(high+step, len(a.refs))
	}
	return low + sort.Search(high-low, func(i int) bool { return a.refs[low+i].hash >= hash })
}

// find returns the hits of a sorted arena.
func (a *arena) find(hash uint64, name []byte) ([]Hit, error) {
	var out []Hit
	for i := a.first(hash); i < len(a.refs) && a.refs[i].hash == hash; i++ {
		r := content(a.record(a.refs[i]))
		if !r.named(name) {
			continue
		}
		h, err := r.hit()
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}
