package vm

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"unicode/utf8"
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
	pos   int
	wild  bool // there are numbers for which a float64 is too small
}

// parse reads exactly one JSON value.
func (d *tape) parse(raw []byte) (*Value, error) {
	if cap(d.nodes) > keepNodes {
		d.nodes = nil
	}
	if cap(d.texts) > keepTexts {
		d.texts = nil
	}
	d.texts = d.texts[:0]
	d.nodes, d.raw, d.pos, d.wild = d.nodes[:0], raw, 0, false
	d.space()
	if err := d.value(0); err != nil {
		return nil, err
	}
	d.space()
	if d.pos != len(raw) {
		return nil, errSyntax
	}
	return &d.nodes[0], nil
}

func (d *tape) space() {
	for d.pos < len(d.raw) {
		switch d.raw[d.pos] {
		case ' ', '\n', '\t', '\r':
			d.pos++
		default:
			return
		}
	}
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

func (d *tape) value(depth int) error {
	switch {
	case d.pos >= len(d.raw):
		return errSyntax
	case len(d.nodes) >= maxNodes:
		return errNodes
	}
	switch d.raw[d.pos] {
	case '{':
		return d.object(depth + 1)
	case '[':
		return d.array(depth + 1)
	case '"':
		s, err := d.str()
		d.leaf(kString, s)
		return err
	case 't':
		return d.literal("true", kTrue)
	case 'f':
		return d.literal("false", kFalse)
	case 'n':
		return d.literal("null", kNull)
	default:
		s, err := d.number()
		d.leaf(kNumber, s)
		return err
	}
}

func (d *tape) literal(s string, k kind) error {
	if len(d.raw)-d.pos < len(s) || string(d.raw[d.pos:d.pos+len(s)]) != s {
		return errSyntax
	}
	d.pos += len(s)
	d.push(Value{kind: k})
	return nil
}

// open begins a container; empty is true if it ends at once.
func (d *tape) open(k kind, depth int, closing byte) (at int, empty bool, err error) {
	if depth > maxDepth {
		return 0, false, errDepth
	}
	d.pos++
	at = len(d.nodes)
	d.push(Value{kind: k, at: int32(at), end: int32(at + 1)})
	d.space()
	if d.pos < len(d.raw) && d.raw[d.pos] == closing {
		d.pos++
		return at, true, nil
	}
	return at, false, nil
}

// more reads what comes after an element: a comma, or the end of the container.
func (d *tape) more(closing byte) (bool, error) {
	d.space()
	if d.pos >= len(d.raw) {
		return false, errSyntax
	}
	c := d.raw[d.pos]
	d.pos++
	switch c {
	case ',':
		d.space()
		return true, nil
	case closing:
		return false, nil
	}
	return false, errSyntax
}

func (d *tape) array(depth int) error {
	at, empty, err := d.open(kArray, depth, ']')
	n := int32(0)
	for more := !empty; more && err == nil; n++ {
		if err = d.value(depth); err == nil {
			more, err = d.more(']')
		}
	}
	if err != nil {
		return err
	}
	d.nodes[at].n, d.nodes[at].end = n, int32(len(d.nodes))
	return nil
}

func (d *tape) object(depth int) error {
	at, empty, err := d.open(kObject, depth, '}')
	keys := keySet{tape: d, at: at}
	for more := !empty; more && err == nil; {
		if err = d.key(&keys); err != nil {
			break
		}
		if err = d.value(depth); err == nil {
			more, err = d.more('}')
		}
	}
	if err != nil {
		return err
	}
	d.nodes[at].n, d.nodes[at].end = keys.n, int32(len(d.nodes))
	return nil
}

func (d *tape) key(keys *keySet) error {
	if d.pos >= len(d.raw) || d.raw[d.pos] != '"' {
		return errSyntax
	}
	k, err := d.str()
	if err != nil {
		return err
	}
	d.space()
	if d.pos >= len(d.raw) || d.raw[d.pos] != ':' {
		return errSyntax
	}
	d.pos++
	d.space()
	keys.add(k)
	d.leaf(kString, k)
	return nil
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// unusual has the high bit set of the first of eight bytes that needs a look: a
// quote, a backslash, a control or a non-ASCII byte.
func unusual(x uint64) uint64 {
	quote, slash := x^(ones*'"'), x^(ones*'\\')
	return ((x-ones*0x20)&^x | (quote-ones)&^quote | (slash-ones)&^slash | x) & highs
}

// str reads a string whose opening quote is at pos, eight bytes at a time while
// nothing in them needs a look: no quote, backslash, control or non-ASCII byte.
func (d *tape) str() (string, error) {
	raw := d.raw
	start := d.pos + 1
	i := start
	ascii := true
	for {
		if i+8 <= len(raw) {
			m := unusual(binary.LittleEndian.Uint64(raw[i:]))
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) >> 3
		} else if i >= len(raw) {
			return "", errSyntax
		}
		switch c := raw[i]; {
		case c == '"':
			d.pos = i + 1
			s := unsafe.String(unsafe.SliceData(raw[start:]), i-start)
			if !ascii && !utf8.ValidString(s) {
				return validUTF8(s), nil
			}
			return s, nil
		case c == '\\':
			return d.escaped(start)
		case c < 0x20:
			return "", errSyntax
		default:
			ascii = ascii && c < 0x80
			i++
		}
	}
}

// number reads a number's literal by JSON's grammar.
func (d *tape) number() (string, error) {
	raw, i := d.raw, d.pos
	digits := func() bool {
		from := i
		for i < len(raw) && raw[i]-'0' <= 9 {
			i++
		}
		return i > from
	}
	if raw[i] == '-' {
		i++
	}
	if i < len(raw) && raw[i] == '0' {
		i++
	} else if !digits() {
		return "", errSyntax
	}
	if i < len(raw) && raw[i] == '.' {
		if i++; !digits() {
			return "", errSyntax
		}
	}
	plain := i-d.pos < 300
	if i < len(raw) && (raw[i] == 'e' || raw[i] == 'E') {
		plain = false
		if i++; i < len(raw) && (raw[i] == '+' || raw[i] == '-') {
			i++
		}
		if !digits() {
			return "", errSyntax
		}
	}
	s := unsafe.String(unsafe.SliceData(raw[d.pos:]), i-d.pos)
	if !plain {
		ok, wild := sound(s)
		if !ok {
			return "", errNumber
		}
		d.wild = d.wild || wild
	}
	d.pos = i
	return s, nil
}
