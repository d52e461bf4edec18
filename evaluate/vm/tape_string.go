package vm

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// validUTF8 replaces each invalid byte by U+FFFD, as encoding/json does.
func validUTF8(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}

// unicode goes on with a string at its first byte that is no ASCII.
func (d *tape) unicode(start, i int) (s string, end int) {
	for ; i < len(d.raw); i++ {
		switch c := d.raw[i]; {
		case c == '"':
			s = unsafe.String(unsafe.SliceData(d.raw[start:]), i-start)
			if !utf8.ValidString(s) {
				s = validUTF8(s)
			}
			return s, i + 1
		case c == '\\':
			return d.escaped(start)
		case c < 0x20:
			return "", d.bad(errSyntax)
		}
	}
	return "", d.bad(errSyntax)
}

// escaped reads a string that has escapes, from after its opening quote.
func (d *tape) escaped(start int) (s string, end int) {
	raw := d.raw
	out := d.room()
	from := len(out)
	for i := start; i < len(raw); {
		if n := plain(raw[i:]); n > 0 {
			out = append(out, raw[i:i+n]...)
			i += n
			continue
		}
		switch c := raw[i]; {
		case c == '"':
			d.texts = out
			return unsafe.String(unsafe.SliceData(out[from:]), len(out)-from), i + 1
		case c == '\\':
			var n int
			var err error
			if out, n, err = unescape(out, raw[i+1:]); err != nil {
				return "", d.bad(err)
			}
			i += 1 + n
		case c < 0x20:
			return "", d.bad(errSyntax)
		case c < 0x80:
			out = append(out, c)
			i++
		default:
			r, n := utf8.DecodeRune(raw[i:])
			out = utf8.AppendRune(out, r)
			i += n
		}
	}
	return "", d.bad(errSyntax)
}

// room is where texts without their escapes are written: one after another, in
// what served the document before, so that few are allocated.
func (d *tape) room() []byte {
	if len(d.texts) == 0 && cap(d.texts) < len(d.raw) { // escapes are longer than what they stand for
		d.texts = make([]byte, 0, len(d.raw))
	}
	return d.texts
}

// plain is the number of bytes, of a multiple of eight, that a string begins with
// and that need no look.
func plain(raw []byte) int {
	i := 0
	for i+8 <= len(raw) && unusual(binary.LittleEndian.Uint64(raw[i:])) == 0 {
		i += 8
	}
	return i
}

// unescape appends what the escape after a backslash stands for, and tells its length.
func unescape(out, rest []byte) ([]byte, int, error) {
	if len(rest) == 0 {
		return nil, 0, errSyntax
	}
	switch c := rest[0]; c {
	case '"', '\\', '/':
		return append(out, c), 1, nil
	case 'b':
		return append(out, '\b'), 1, nil
	case 'f':
		return append(out, '\f'), 1, nil
	case 'n':
		return append(out, '\n'), 1, nil
	case 'r':
		return append(out, '\r'), 1, nil
	case 't':
		return append(out, '\t'), 1, nil
	case 'u':
		r := hex4(rest[1:])
		if r < 0 {
			return nil, 0, errSyntax
		}
		n := 5
		if utf16.IsSurrogate(r) {
			low := rune(-1)
			if len(rest) > 6 && rest[5] == '\\' && rest[6] == 'u' {
				low = hex4(rest[7:])
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				n += 6
			}
		}
		return utf8.AppendRune(out, r), n, nil
	}
	return nil, 0, errSyntax
}

// hex4 reads four hex digits, or gives -1.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}
