package evidence

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// place is where bytes are kept: in an object's file.
type place struct {
	object string // digest; empty: the object whose directory says so
	offset int64
	length int64
}

// stored is one block in a directory. Its bytes are made of its places: first a
// zstd frame, then one for each step, whose dictionary is what the one before
// gives. version counts how often it changed since it was stored whole.
type stored struct {
	audit.Block // without Read
	version     int
	places      []place
}

// directory says of an object what blocks it is made of, and where they are.
type directory struct {
	digest string // of the object
	size   int64  // bytes
	blocks []stored
}

// encode renders the directory. Types and objects are named by their place in a list.
func (d *directory) encode() []byte {
	var e, body encoder
	types, objects, ends, last := names{}, names{}, map[string]int64{}, ""
	for _, b := range d.blocks {
		body.uint(uint64(b.Size))
		body.uint(uint64(b.Lines))
		body.uint(uint64(b.version))
		body.after(last, b.FirstID)
		body.after(b.FirstID, b.LastID)
		last = b.LastID
		body.uint(uint64(len(b.Types)))
		for _, t := range b.Types {
			body.uint(types.index(t.Type))
			body.uint(uint64(t.Listed))
		}
		body.uint(uint64(len(b.places)))
		for _, p := range b.places {
			object := cmp.Or(p.object, d.digest)
			body.uint(objects.index(object))
			body.b = binary.AppendVarint(body.b, p.offset-ends[object]) // mostly 0: blocks are stored in order
			body.uint(uint64(p.length))
			ends[object] = p.offset + p.length
		}
	}
	e.raw(d.digest)
	e.uint(uint64(d.size))
	e.uint(uint64(len(objects)))
	for _, o := range objects.list() {
		e.raw(o)
	}
	e.uint(uint64(len(types)))
	for _, t := range types.list() {
		e.text(t)
	}
	e.uint(uint64(len(d.blocks)))
	for _, b := range d.blocks {
		e.raw(b.Digest)
	}
	return append(e.b, body.b...)
}

// names numbers names in the order in which they are first met.
type names map[string]uint64

func (n names) index(name string) uint64 {
	i, ok := n[name]
	if !ok {
		i = uint64(len(n))
		n[name] = i
	}
	return i
}

func (n names) list() []string {
	out := make([]string, len(n))
	for name, i := range n {
		out[i] = name
	}
	return out
}

// encoder appends to b.
type encoder struct{ b []byte }

func (e *encoder) uint(n uint64) { e.b = binary.AppendUvarint(e.b, n) }

func (e *encoder) text(s string) {
	e.uint(uint64(len(s)))
	e.b = append(e.b, s...)
}

// raw appends a digest.
func (e *encoder) raw(digest string) { e.b, _ = hex.AppendDecode(e.b, []byte(digest)) }

// after writes s as the length of what it has in common with last, and the rest.
func (e *encoder) after(last, s string) {
	n := 0
	for n < min(len(last), len(s)) && last[n] == s[n] {
		n++
	}
	e.uint(uint64(n))
	e.text(s[n:])
}

var errDirectory = errors.New("its directory makes no sense")

// decodeDirectory reads what encode wrote. Places in the object itself get its digest.
func decodeDirectory(b []byte) (*directory, error) {
	r := decoder{b: b}
	d := &directory{digest: r.raw(), size: int64(r.uint())}
	objects := make([]string, r.count(32))
	for i := range objects {
		objects[i] = r.raw()
	}
	types := make([]string, r.count(1))
	for i := range types {
		types[i] = r.text()
	}
	d.blocks = make([]stored, r.count(32))
	for i := range d.blocks {
		d.blocks[i].Digest = r.raw()
	}
	ends, last, size := make([]int64, len(objects)), "", int64(0)
	for i := range d.blocks {
		s := &d.blocks[i]
		s.Size, s.Lines, s.version = int(r.uint()), int(r.uint()), int(r.uint())
		s.FirstID = r.after(last)
		s.LastID = r.after(s.FirstID)
		last = s.LastID
		s.Types = make([]audit.TypeCount, r.count(2))
		for k := range s.Types {
			s.Types[k] = audit.TypeCount{Type: pick(&r, types), Listed: int64(r.uint())}
		}
		s.places = make([]place, r.count(3))
		for k := range s.places {
			o := r.index(len(objects))
			p := place{offset: r.int(), length: int64(r.uint())}
			if r.err == nil {
				p.object, p.offset = objects[o], p.offset+ends[o]
				ends[o] = p.offset + p.length
			}
			if p.offset < 0 || p.length < crcSize || p.length > maxStored {
				r.err = errDirectory
			}
			s.places[k] = p
		}
		if s.Size <= 0 || s.Size > maxStored || len(s.places) == 0 {
			r.err = errDirectory
		}
		size += int64(s.Size)
	}
	if r.err != nil || len(r.b) > 0 || size != d.size {
		return nil, errDirectory
	}
	return d, nil
}

// decoder takes from b; after an error it gives zeros.
type decoder struct {
	b   []byte
	err error
}

func (r *decoder) uint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > 1<<50 {
		r.err, r.b = errDirectory, nil
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *decoder) int() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.err, r.b = errDirectory, nil
		return 0
	}
	r.b = r.b[size:]
	return n
}

// count reads how many follow, each of which takes at least so many bytes.
func (r *decoder) count(each int) int {
	n := r.uint()
	if n > uint64(len(r.b)/each) {
		r.err, r.b = errDirectory, nil
		return 0
	}
	return int(n)
}

func (r *decoder) index(n int) int {
	i := r.uint()
	if i >= uint64(n) {
		r.err, r.b = errDirectory, nil
		return 0
	}
	return int(i)
}

func pick(r *decoder, list []string) string {
	if i := r.index(len(list)); r.err == nil {
		return list[i]
	}
	return ""
}

func (r *decoder) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.err, r.b = errDirectory, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *decoder) raw() string { return hex.EncodeToString(r.take(32)) }

func (r *decoder) text() string { return string(r.take(r.count(1))) }

func (r *decoder) after(last string) string {
	n := r.uint()
	if n > uint64(len(last)) {
		r.err, r.b = errDirectory, nil
		return ""
	}
	return last[:n] + r.text()
}

// find gives the blocks by their digest, and by the id that they begin with.
func (d *directory) find() (byDigest, byFirst map[string]int) {
	byDigest, byFirst = make(map[string]int, len(d.blocks)), make(map[string]int, len(d.blocks))
	for i, b := range slices.Backward(d.blocks) {
		byDigest[b.Digest], byFirst[b.FirstID] = i, i
	}
	return byDigest, byFirst
}
