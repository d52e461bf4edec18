package audit

import (
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"unicode/utf8"
)

// span is a part of a line: one JSON value.
type span struct{ from, to int }

func (s span) of(line []byte) []byte { return line[s.from:s.to] }

// The nine keys of a resource document, as each begins in its canonical form.
var fieldPrefixes = [...]string{
	`{"data":`, `,"gaps":`, `,"id":`, `,"name":`, `,"origin":`, `,"redacted":`, `,"source":`, `,"tags":`, `,"type":`,
}

// Places of the keys in fieldPrefixes.
const (
	dataField = iota
	gapsField
	idField
	nameField
	originField
	redactedField
	sourceField
	tagsField
	typeField
)

// fields finds the nine values of a resource document whose keys are in their
// canonical order. Within values it only counts brackets and quotes.
func fields(line []byte) (out [len(fieldPrefixes)]span, ok bool) {
	i := 0
	for f, prefix := range fieldPrefixes {
		if len(line)-i < len(prefix) || string(line[i:i+len(prefix)]) != prefix {
			return out, false
		}
		i += len(prefix)
		end := skipValue(line, i)
		if end < 0 {
			return out, false
		}
		out[f] = span{i, end}
		i = end
	}
	return out, i == len(line)-1 && line[i] == '}'
}

// skipValue returns where the value at i ends, or -1. It does not check the value.
func skipValue(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			if i = skipString(b, i); i < 0 || depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return i
			}
			if depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return -1
}

// skipString returns where the string whose quote is at i ends, or -1.
func skipString(b []byte, i int) int {
	for i = nextSpecial(b, i+1); i < len(b); i = nextSpecial(b, i) {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
		i++
	}
	return -1
}

// nextSpecial returns where, from i on, the next byte is that a JSON string
// does not hold as it is, or that is not ASCII; len(b) if there is none.
func nextSpecial(b []byte, i int) int {
	const low, high = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		// The lowest byte that is marked is special; those above it may be marked by a borrow.
		if m := (w | (w - 0x20*low) | ((w ^ '"'*low) - low) | ((w ^ '\\'*low) - low)) & high; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return i
		}
	}
	return len(b)
}

// text reads a JSON string, its quotes included.
func text(raw []byte) (string, error) {
	if n := len(raw); n >= 2 && raw[0] == '"' && raw[n-1] == '"' {
		inner := raw[1 : n-1]
		if nextSpecial(inner, 0) == len(inner) {
			return string(inner), nil
		}
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

// texts reads an object of strings, as encoding/json does.
func texts(raw []byte) (map[string]string, error) {
	out := map[string]string{}
	if string(raw) == "{}" {
		return out, nil
	}
	i := 0
	for i < len(raw)-1 && (raw[i] == '{' && i == 0 || raw[i] == ',' && i > 0) {
		key, colon := plainString(raw, i+1)
		if colon < 0 || colon >= len(raw) || raw[colon] != ':' {
			break
		}
		value, end := plainString(raw, colon+1)
		if end < 0 {
			break
		}
		out[string(key)] = string(value)
		i = end
	}
	if i > 0 && i == len(raw)-1 && raw[i] == '}' {
		return out, nil
	}
	clear(out)
	err := json.Unmarshal(raw, &out)
	return out, err
}

// plainString gives the string at i if it is plain ASCII without escapes, and
// where it ends; -1 if not.
func plainString(b []byte, i int) (s []byte, end int) {
	if i >= len(b) || b[i] != '"' {
		return nil, -1
	}
	end = nextSpecial(b, i+1)
	if end >= len(b) || b[end] != '"' {
		return nil, -1
	}
	return b[i+1 : end], end + 1
}
