package vm

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/util"
)

func texts(list ...*Value) bool {
	for _, v := range list {
		if v.kind != kString {
			return false
		}
	}
	return true
}

func ofTexts(holds func(a, b string) bool) native {
	return func(m *Machine, a []*Value) (*Value, bool) {
		if !texts(a...) {
			return nil, false
		}
		m.step((len(a[0].s) + len(a[1].s)) >> longText)
		return boolean(holds(a[0].s, a[1].s)), true
	}
}

// changed is a text made of another, or the same if nothing changes.
func changed(f func(string) string) native {
	return func(m *Machine, a []*Value) (*Value, bool) {
		if !texts(a...) {
			return nil, false
		}
		m.step(len(a[0].s) >> longText)
		s := f(a[0].s)
		if s == a[0].s {
			return a[0], true
		}
		return m.text(s), true
	}
}

func changedBy(f func(s, by string) string) native {
	return func(m *Machine, a []*Value) (*Value, bool) {
		if !texts(a...) {
			return nil, false
		}
		if !m.afford(times(len(a[0].s), len(a[1].s)) >> longText) { // each character with each of the set
			return nil, true
		}
		s := f(a[0].s, a[1].s)
		if len(s) == len(a[0].s) {
			return a[0], true
		}
		return m.text(s), true
	}
}

// split has one part where the delimiter is not in the text.
func split(m *Machine, a []*Value) (*Value, bool) {
	if !texts(a...) || a[1].s == "" {
		return nil, false
	}
	m.step(len(a[0].s) >> longText)
	out, rest := m.made(kArray), a[0].s
	for found := true; found && m.err == nil; {
		var part string
		part, rest, found = strings.Cut(rest, a[1].s)
		v := m.value()
		*v = Value{kind: kString, s: part} // the bytes are the text's
		m.push(out, v)
	}
	return out, true
}

// push appends to an array that is being made.
func (m *Machine) push(array, v *Value) {
	m.charge(8)
	array.c.keys = append(array.c.keys, v)
}

func concat(m *Machine, a []*Value) (*Value, bool) {
	var list []*Value
	switch {
	case a[0].kind != kString:
		return nil, false
	case a[1].kind == kArray:
		list = m.elements(a[1])
	case a[1].kind == kSet:
		list = m.ordered(a[1])
	default:
		return nil, false
	}
	n := len(a[0].s) * max(len(list)-1, 0)
	for _, e := range list {
		if e.kind != kString {
			return nil, false
		}
		n += len(e.s)
	}
	m.step(len(list))
	if len(list) == 1 {
		return list[0], true
	}
	if !m.room(n) {
		return nil, true
	}
	var b strings.Builder
	b.Grow(n)
	for i, e := range list {
		if i > 0 {
			b.WriteString(a[0].s)
		}
		b.WriteString(e.s)
	}
	return m.text(b.String()), true
}

func replace(m *Machine, a []*Value) (*Value, bool) {
	if !texts(a...) || a[1].s == "" { // OPA's takes nothing for what is between two bytes
		return nil, false
	}
	m.step(len(a[0].s) >> longText)
	n := strings.Count(a[0].s, a[1].s)
	if n == 0 {
		return a[0], true
	}
	if !m.room(len(a[0].s) + n*(len(a[2].s)-len(a[1].s))) {
		return nil, true
	}
	return m.text(strings.ReplaceAll(a[0].s, a[1].s, a[2].s)), true
}

// sprintf formats the same Go values as OPA's, but for composite ones, of which
// it formats OPA's text.
func sprintf(m *Machine, a []*Value) (*Value, bool) {
	if a[0].kind != kString || a[1].kind != kArray {
		return nil, false
	}
	if !m.room(formatted(m, a)) {
		return nil, true
	}
	list := m.elements(a[1])
	if b, ok := formatPlainly(m.formatting[:0], a[0].s, list); ok { // mostly
		if cap(b) <= keepText {
			m.formatting = b
		}
		return m.text(string(b)), true
	}
	args := make([]any, len(list))
	for i, v := range list {
		switch v.kind {
		case kString:
			args[i] = v.s
		case kNumber:
			m.step(NumberCost(v.s))
			args[i] = numberArgument(v.s)
		default:
			args[i] = m.toOPA(v).Value.String()
		}
	}
	if m.err != nil {
		return nil, true
	}
	return m.text(fmt.Sprintf(a[0].s, args...)), true
}

// keepText is the most room for a text that is kept for the next.
const keepText = 1 << 16

// formatPlainly appends what fmt makes of texts and natural numbers by %s, %d and
// %v without flags; ok is false for anything else.
func formatPlainly(b []byte, format string, args []*Value) (_ []byte, ok bool) {
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			return append(b, format...), len(args) == 0
		}
		if i+1 == len(format) || len(args) == 0 {
			return nil, false
		}
		v := args[0]
		switch verb := format[i+1]; {
		case v.kind == kString && (verb == 's' || verb == 'v'):
		case v.kind == kNumber && (verb == 'd' || verb == 'v') && natural(v.s):
		default:
			return nil, false
		}
		b = append(append(b, format[:i]...), v.s...)
		format, args = format[i+2:], args[1:]
	}
}

// natural tells whether a literal is a natural number below 10^18.
func natural(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) <= 18
}

// numberArgument is a number as OPA's sprintf takes it.
func numberArgument(s string) any {
	if strings.ContainsAny(s, ".eE") {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return f
		}
		return s
	}
	if i, ok := util.Atoi64(s); ok {
		return i
	}
	if i, ok := new(big.Int).SetString(s, 10); ok {
		return i
	}
	return s
}

func regexMatch(m *Machine, a []*Value) (*Value, bool) {
	if !texts(a...) {
		return nil, false
	}
	e, ok := m.compiled(a[0].s)
	switch {
	case m.err != nil:
		return nil, true
	case !ok: // OPA's says what is wrong with it
		return nil, false
	case !m.afford(matching(e.size, len(a[1].s))):
		return nil, true
	}
	return boolean(e.MatchString(a[1].s)), true
}
