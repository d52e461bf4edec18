package vm

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"unsafe"
)

// Bounds of one document, so that hostile ones end in an error and not in a
// machine without memory. Depth is encoding/json's.
const (
	maxDepth = 10000
	maxNodes = 8 << 20
	// What one document needed beyond this is given back after it.
	keepNodes = 1 << 20
	keepTexts = 1 << 20
)

var (
	errSyntax = errors.New("invalid JSON")
	errDepth  = errors.New("nested more than 10000 levels deep")
	errNodes  = errors.New("more than 8388608 values in one document")
)

// tape is one parsed document: its values in the order of the text, containers
// before what they hold, keys before their values. It accepts what encoding/json
// accepts, but for numbers out of range, and gives the same values; of a key that
// comes twice the last counts.
// Strings without escapes and numbers alias raw, others texts: none may be used
// once the next document is read.
type tape struct {
	nodes []Value
	raw   []byte
	texts []byte // strings without their escapes
	wild  bool   // there are numbers for which a float64 is too small
	err   error  // what is wrong with the document
}

// parse reads exactly one JSON value.
func (d *tape) parse(raw []byte) (*Value, error) {
	if cap(d.nodes) > keepNodes {
		d.nodes = nil
	}
	if cap(d.texts) > keepTexts {
		d.texts = nil
	}
	d.nodes, d.texts, d.raw, d.wild, d.err = d.nodes[:0], d.texts[:0], raw, false, nil
	end := d.value(d.space(0), 0)
	if end >= 0 && d.space(end) != len(raw) {
		d.bad(errSyntax)
	}
	if d.err != nil {
		return nil, d.err
	}
	return &d.nodes[0], nil
}

// What reads something is given where it begins, and gives where it ends: -1 if
// the document is wrong there. (To keep the position in the tape took a fifth of
// the time.)

// bad notes what is wrong.
func (d *tape) bad(err error) (end int) {
	d.err = err
	return -1
}

// space skips what stands between values.
func (d *tape) space(i int) int {
	for i < len(d.raw) && d.raw[i] <= ' ' {
		switch d.raw[i] {
		case ' ', '\n', '\t', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// push makes room for one node. Pointers into the tape hold only after parsing.
func (d *tape) push(v Value) {
	if n := len(d.nodes); n < cap(d.nodes) {
		d.nodes = d.nodes[:n+1]
		d.nodes[n] = v
		return
	}
	d.nodes = append(d.nodes, v)
}

// leaf is push for a value that holds no others: of a node that is used again
// only what may differ is written.
func (d *tape) leaf(k kind, s string) {
	n := len(d.nodes)
	if n == cap(d.nodes) {
		d.push(Value{kind: k, s: s})
		return
	}
	d.nodes = d.nodes[:n+1]
	v := &d.nodes[n]
	v.kind, v.dead, v.n, v.s = k, false, 0, s
	if v.c != nil {
		v.c = nil
	}
}

func (d *tape) value(i, depth int) (end int) {
	switch {
	case i >= len(d.raw):
		return d.bad(errSyntax)
	case len(d.nodes) >= maxNodes:
		return d.bad(errNodes)
	}
	switch d.raw[i] {
	case '"':
		s, end := d.str(i + 1)
		d.leaf(kString, s)
		return end
	case '{':
		return d.object(i+1, depth+1)
	case '[':
		return d.array(i+1, depth+1)
	case 't':
		return d.literal(i, "true", kTrue)
	case 'f':
		return d.literal(i, "false", kFalse)
	case 'n':
		return d.literal(i, "null", kNull)
	}
	s, end := d.number(i)
	d.leaf(kNumber, s)
	return end
}

func (d *tape) literal(i int, s string, k kind) (end int) {
	if len(d.raw)-i < len(s) || string(d.raw[i:i+len(s)]) != s {
		return d.bad(errSyntax)
	}
	d.leaf(k, "")
	return i + len(s)
}

// open begins a container.
func (d *tape) open(k kind) (at int) {
	at = len(d.nodes)
	d.push(Value{kind: k, at: int32(at), end: int32(at + 1)})
	return at
}

// close ends a container of n elements or members.
func (d *tape) close(at int, n int32) {
	v := &d.nodes[at]
	v.n, v.end = n, int32(len(d.nodes))
}

// after reads what comes after an element: a comma, or the end of the container.
func (d *tape) after(i int, closing byte) (end int, more bool) {
	if i = d.space(i); i < len(d.raw) {
		switch d.raw[i] {
		case ',':
			return d.space(i + 1), true
		case closing:
			return i + 1, false
		}
	}
	return d.bad(errSyntax), false
}

func (d *tape) array(i, depth int) (end int) {
	if depth > maxDepth {
		return d.bad(errDepth)
	}
	at := d.open(kArray)
	if i = d.space(i); i < len(d.raw) && d.raw[i] == ']' {
		return i + 1
	}
	n := int32(0)
	for more := true; more; n++ {
		if i = d.value(i, depth); i < 0 {
			return i
		}
		i, more = d.after(i, ']')
	}
	d.close(at, n)
	return i
}

func (d *tape) object(i, depth int) (end int) {
	if depth > maxDepth {
		return d.bad(errDepth)
	}
	at := d.open(kObject)
	if i = d.space(i); i < len(d.raw) && d.raw[i] == '}' {
		return i + 1
	}
	keys := keySet{tape: d, at: at}
	for more := true; more; {
		if i = d.key(i, &keys); i >= 0 {
			i = d.value(i, depth)
		}
		if i < 0 {
			return i
		}
		i, more = d.after(i, '}')
	}
	d.close(at, keys.n)
	return i
}

// key reads a key and the colon after it.
func (d *tape) key(i int, keys *keySet) (end int) {
	if i >= len(d.raw) || d.raw[i] != '"' {
		return d.bad(errSyntax)
	}
	k, i := d.str(i + 1)
	if i < 0 {
		return i
	}
	if i = d.space(i); i >= len(d.raw) || d.raw[i] != ':' {
		return d.bad(errSyntax)
	}
	keys.add(k)
	d.leaf(kString, k)
	return d.space(i + 1)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// unusual has the high bit set of the first of eight bytes that needs a look: a
// quote, a backslash, a control or a non-ASCII byte. What it has set above that
// may be wrong: there something may have been borrowed.
func unusual(x uint64) uint64 {
	return (x | (x - ones*0x20) | (x ^ (ones * '"') - ones) | (x ^ (ones * '\\') - ones)) & highs
}

// str reads a string from after its opening quote, eight bytes at a time while
// nothing in them needs a look.
func (d *tape) str(start int) (s string, end int) {
	raw := d.raw
	for i := start; ; {
		if i+8 <= len(raw) {
			m := unusual(binary.LittleEndian.Uint64(raw[i:]))
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) >> 3
		} else if i >= len(raw) {
			return "", d.bad(errSyntax)
		}
		switch c := raw[i]; {
		case c == '"':
			return unsafe.String(unsafe.SliceData(raw[start:]), i-start), i + 1
		case c == '\\':
			return d.escaped(start)
		case c < 0x20:
			return "", d.bad(errSyntax)
		case c >= 0x80:
			return d.unicode(start, i)
		}
		i++
	}
}

// number reads a number's literal by JSON's grammar.
func (d *tape) number(from int) (s string, end int) {
	raw, i := d.raw, from
	digits := func() bool {
		first := i
		for i < len(raw) && raw[i]-'0' <= 9 {
			i++
		}
		return i > first
	}
	if raw[i] == '-' {
		i++
	}
	if i < len(raw) && raw[i] == '0' {
		i++
	} else if !digits() {
		return "", d.bad(errSyntax)
	}
	if i < len(raw) && raw[i] == '.' {
		if i++; !digits() {
			return "", d.bad(errSyntax)
		}
	}
	plain := i-from < 300
	if i < len(raw) && (raw[i] == 'e' || raw[i] == 'E') {
		plain = false
		if i++; i < len(raw) && (raw[i] == '+' || raw[i] == '-') {
			i++
		}
		if !digits() {
			return "", d.bad(errSyntax)
		}
	}
	s = unsafe.String(unsafe.SliceData(raw[from:]), i-from)
	if !plain {
		ok, wild := sound(s)
		if !ok {
			return "", d.bad(errNumber)
		}
		d.wild = d.wild || wild
	}
	return s, i
}
