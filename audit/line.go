package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep encoding/json lets arrays and objects nest.
const maxDepth = 10000

var errNotCanonical = errors.New("resource document: not in canonical form")

// ParseLine reads a line that must be a resource document in canonical form: to
// the byte what Resource.Line renders. It builds no values: the resource has
// what names it, Line gives the line itself, and Values the rest. ParseLine
// keeps line, which the caller must not change.
func ParseLine(line []byte) (Resource, error) {
	at, ok := canonicalFields(line)
	if !ok {
		return Resource{}, errNotCanonical
	}
	r := Resource{Data: rendered(line)}
	var err error
	if r.ID, err = text(at[idField].of(line)); err != nil {
		return Resource{}, fmt.Errorf("resource document: %w", err)
	}
	for _, f := range []struct {
		into  *string
		from  int
		start int // where in the id it is expected
	}{{&r.Origin, originField, 0}, {&r.Source, sourceField, 0}, {&r.Name, nameField, len(r.ID)}} {
		if *f.into, err = textIn(r.ID, f.start, at[f.from].of(line)); err != nil {
			return Resource{}, fmt.Errorf("resource document: %w", err)
		}
	}
	if r.Type, err = textIn(r.ID, len(r.Origin)+1, at[typeField].of(line)); err != nil {
		return Resource{}, fmt.Errorf("resource document: %w", err)
	}
	if err := r.consistent(); err != nil {
		return Resource{}, err
	}
	return r, nil
}

// canonicalFields is fields for a line that must be canonical.
func canonicalFields(line []byte) (out [len(fieldPrefixes)]span, ok bool) {
	i := 0
	for f, prefix := range fieldPrefixes {
		if len(line)-i < len(prefix) || string(line[i:i+len(prefix)]) != prefix {
			return out, false
		}
		i += len(prefix)
		var end int
		switch f {
		case dataField:
			end = canonicalValue(line, i, 2)
		case gapsField, tagsField:
			end = canonicalObject(line, i, 2, true)
		case redactedField:
			end = canonicalSet(line, i)
		default:
			end = canonicalString(line, i)
		}
		if end < 0 {
			return out, false
		}
		out[f] = span{i, end}
		i = end
	}
	return out, i == len(line)-1 && line[i] == '}'
}

// canonicalValue returns where the canonical value at i ends, or -1. depth is
// how deep it would nest if it were an object.
func canonicalValue(b []byte, i, depth int) int {
	if i >= len(b) || depth > maxDepth+1 {
		return -1
	}
	switch b[i] {
	case '"':
		return canonicalString(b, i)
	case '{':
		return canonicalObject(b, i, depth, false)
	case '[':
		return canonicalArray(b, i, depth)
	case 't':
		return literal(b, i, "true")
	case 'f':
		return literal(b, i, "false")
	case 'n':
		return literal(b, i, "null")
	}
	return number(b, i)
}

func canonicalArray(b []byte, i, depth int) int {
	if i++; depth > maxDepth || i >= len(b) {
		return -1
	}
	if b[i] == ']' {
		return i + 1
	}
	for {
		if i = canonicalValue(b, i, depth+1); i < 0 || i >= len(b) {
			return -1
		}
		switch b[i] {
		case ',':
			i++
		case ']':
			return i + 1
		default:
			return -1
		}
	}
}

// canonicalObject wants keys that are sorted and unique; ofStrings also that every value is a string.
func canonicalObject(b []byte, i, depth int, ofStrings bool) int {
	if depth > maxDepth || i+1 >= len(b) || b[i] != '{' {
		return -1
	}
	if i++; b[i] == '}' {
		return i + 1
	}
	var last []byte
	for {
		end := canonicalString(b, i)
		if end < 0 || end >= len(b) || b[end] != ':' {
			return -1
		}
		key := b[i:end]
		if last != nil && !ascending(last, key) {
			return -1
		}
		last = key
		if ofStrings {
			i = canonicalString(b, end+1)
		} else {
			i = canonicalValue(b, end+1, depth+1)
		}
		if i < 0 || i >= len(b) {
			return -1
		}
		switch b[i] {
		case ',':
			i++
		case '}':
			return i + 1
		default:
			return -1
		}
	}
}

// canonicalSet wants an array of strings that are sorted and unique.
func canonicalSet(b []byte, i int) int {
	if i+1 >= len(b) || b[i] != '[' {
		return -1
	}
	if i++; b[i] == ']' {
		return i + 1
	}
	var last []byte
	for {
		end := canonicalString(b, i)
		if end < 0 || end >= len(b) || last != nil && !ascending(last, b[i:end]) {
			return -1
		}
		last = b[i:end]
		switch i = end; b[i] {
		case ',':
			i++
		case ']':
			return i + 1
		default:
			return -1
		}
	}
}

// ascending compares two canonical strings, quotes included, by the bytes that they stand for.
func ascending(x, y []byte) bool {
	x, y = x[1:len(x)-1], y[1:len(y)-1]
	if len(x) > 0 && len(y) > 0 && x[0] != y[0] && x[0] != '\\' && y[0] != '\\' { // mostly
		return x[0] < y[0]
	}
	if bytes.IndexByte(x, '\\') < 0 && bytes.IndexByte(y, '\\') < 0 {
		return bytes.Compare(x, y) < 0
	}
	var a, b string
	errA := json.Unmarshal([]byte(`"`+string(x)+`"`), &a)
	errB := json.Unmarshal([]byte(`"`+string(y)+`"`), &b)
	return errA == nil && errB == nil && a < b
}

// canonicalString returns where the string at i ends, or -1 if encoding/json
// would write it in another way.
func canonicalString(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	for i = nextSpecial(b, i+1); i < len(b); i = nextSpecial(b, i) {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			n := canonicalEscape(b[i:])
			if n == 0 {
				return -1
			}
			i += n
		case c < 0x20:
			return -1
		default:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 || r == '\u2028' || r == '\u2029' {
				return -1
			}
			i += n
		}
	}
	return -1
}

// canonicalEscape is the length of the escape at the beginning of b, 0 if encoding/json writes no such escape.
func canonicalEscape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if strings.IndexByte(`"\bfnrt`, b[1]) >= 0 {
		return 2
	}
	if len(b) < 6 || b[1] != 'u' {
		return 0
	}
	switch hex := string(b[2:6]); hex {
	case "2028", "2029":
		return 6
	case "0008", "0009", "000a", "000c", "000d":
		return 0
	default:
		if hex[:2] == "00" && (hex[2] == '0' || hex[2] == '1') && strings.IndexByte("0123456789abcdef", hex[3]) >= 0 {
			return 6
		}
	}
	return 0
}

func literal(b []byte, i int, want string) int {
	if len(b)-i < len(want) || string(b[i:i+len(want)]) != want {
		return -1
	}
	return i + len(want)
}

// number returns where the number at i ends, or -1.
func number(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b) || b[i] < '0' || b[i] > '9':
		return -1
	case b[i] == '0':
		i++
	default:
		i = digits(b, i)
	}
	if i < len(b) && b[i] == '.' {
		from := i + 1
		if i = digits(b, from); i == from {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		from := i
		if i = digits(b, from); i == from {
			return -1
		}
	}
	return i
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}
