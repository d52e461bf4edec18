package vm

import "unicode/utf8"

// AppendJSON appends a value as canonical JSON (audit.Canonical): object keys
// in order, sets as sorted arrays, numbers as their literal, no HTML escapes. It
// is for values of a call that has ended; one that JSON does not have is an error.
func (m *Machine) AppendJSON(b []byte, v *Value) ([]byte, error) {
	m.idle()
	b = m.appendValue(b, v)
	return b, m.end()
}

func (m *Machine) appendValue(b []byte, v *Value) []byte {
	m.charge(len(v.s) + 2)
	switch v.kind {
	case kNull:
		return append(b, "null"...)
	case kFalse:
		return append(b, "false"...)
	case kTrue:
		return append(b, "true"...)
	case kNumber:
		if !isJSON(v.s) {
			m.fail(errNotJSON)
		}
		return append(b, v.s...)
	case kString:
		return appendString(b, v.s)
	case kArray:
		return m.appendList(b, m.elements(v))
	case kSet:
		return m.appendList(b, m.ordered(v))
	case kObject:
		return m.appendObject(b, v)
	}
	m.fail(errUnbound)
	return b
}

func (m *Machine) appendList(b []byte, list []*Value) []byte {
	b = append(b, '[')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if b = m.appendValue(b, e); m.err != nil {
			return b
		}
	}
	return append(b, ']')
}

func (m *Machine) appendObject(b []byte, v *Value) []byte {
	keys, vals := m.members(v)
	b = append(b, '{')
	for i, k := range keys {
		if k.kind != kString { // a key that JSON does not have: OPA's own rendering
			m.fail(errNotJSON)
			return b
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, k.s)
		b = append(b, ':')
		if b = m.appendValue(b, vals[i]); m.err != nil {
			return b
		}
	}
	return append(b, '}')
}

const hexDigits = "0123456789abcdef"

// AppendString appends a JSON string as encoding/json does without HTML escapes.
func AppendString(b []byte, s string) []byte { return appendString(b, s) }

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = appendEscape(append(b, s[from:i]...), c)
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(append(b, s[from:i]...), `\ufffd`...)
			from = i + n
		case r == '\u2028' || r == '\u2029':
			b = append(append(b, s[from:i]...), `\u202`...)
			b = append(b, hexDigits[r&15])
			from = i + n
		}
		i += n
	}
	return append(append(b, s[from:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
