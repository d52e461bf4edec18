package lookup

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"strings"
)

// A record is an entry as bytes: the length of what follows as a varint, then
// the hash of its name, its name (source, kind and key, each after its length),
// its id after its length, its origin and its value. An origin that its id
// begins with, as all do, is its length doubled; any other is that plus one,
// and then itself.
//
// As each part says where it ends, no name is the beginning of another, and
// records sorted as bytes keep the entries under one name together.

const hashSize = 8

var errDamaged = errors.New("what was read is not what was written")

// size is what a record takes at most.
func (e Entry) size() int {
	return 8*binary.MaxVarintLen32 + hashSize + len(e.Source) + len(e.Kind) + len(e.Key) + len(e.ID) + len(e.Origin) + len(e.Value)
}

// append adds the record of an entry to b.
func (e Entry) append(b []byte, hash func([]byte) uint64) []byte {
	var head [128]byte
	name := appendName(head[:0], e.Source, e.Kind, e.Key)
	code, literal := 2*uint64(len(e.Origin)), ""
	if !strings.HasPrefix(e.ID, e.Origin) {
		code, literal = code+1, e.Origin
	}
	size := hashSize + len(name) + varintLen(uint64(len(e.ID))) + len(e.ID) + varintLen(code) + len(literal) + len(e.Value)
	b = binary.AppendUvarint(b, uint64(size)) //nolint:gosec // a length
	b = binary.BigEndian.AppendUint64(b, hash(name))
	b = append(b, name...)
	b = appendString(b, e.ID)
	b = binary.AppendUvarint(b, code)
	b = append(b, literal...)
	return append(b, e.Value...)
}

func appendName(b []byte, source, kind, key string) []byte {
	return appendString(appendString(appendString(b, source), kind), key)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func varintLen(n uint64) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// body is a record without its length. What it has been read from may be reused.
type body []byte

func (r body) hash() uint64 { return binary.BigEndian.Uint64(r) }

func (r body) named(name []byte) bool { return bytes.HasPrefix(r[hashSize:], name) }

// fields are the parts of a record; they share its bytes.
type fields struct {
	name, id, origin, value []byte
	begins                  bool // the id begins with the origin
}

func (r body) fields() (f fields, err error) {
	rest := []byte(r[hashSize:])
	for range 3 {
		if _, rest, err = cut(rest); err != nil {
			return f, err
		}
	}
	f.name = r[hashSize : len(r)-len(rest)]
	if f.id, rest, err = cut(rest); err != nil {
		return f, err
	}
	code, n := binary.Uvarint(rest)
	if n <= 0 {
		return f, errDamaged
	}
	rest = rest[n:]
	from, size := rest, code/2
	if f.begins = code%2 == 0; f.begins {
		from = f.id
	}
	if size > uint64(len(from)) {
		return f, errDamaged
	}
	if f.origin = from[:size]; !f.begins {
		rest = rest[size:]
	}
	f.value = rest
	return f, nil
}

// cut takes a string with its length from the front of b.
func cut(b []byte) (s, rest []byte, err error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) { //nolint:gosec // n is at most len(b)
		return nil, nil, errDamaged
	}
	b = b[n:]
	return b[:size], b[size:], nil
}

// hit is what a record says; only its value shares the record's bytes.
func (r body) hit() (Hit, error) {
	f, err := r.fields()
	if err != nil {
		return Hit{}, err
	}
	h := Hit{ID: string(f.id), Value: f.value}
	if f.begins {
		h.Origin = h.ID[:len(f.origin)]
	} else {
		h.Origin = string(f.origin)
	}
	return h, nil
}

// compare orders records by hash and name, and under one name as hits are.
func compare(a, b body) int {
	if c := cmp.Compare(a.hash(), b.hash()); c != 0 {
		return c
	}
	x, errX := a.fields()
	y, errY := b.fields()
	if errX != nil || errY != nil {
		return bytes.Compare(a, b) // who reads them is told
	}
	if c := bytes.Compare(x.name, y.name); c != 0 {
		return c
	}
	return cmp.Or(bytes.Compare(x.id, y.id), bytes.Compare(x.value, y.value), bytes.Compare(x.origin, y.origin))
}
