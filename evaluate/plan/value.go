package plan

import (
	"slices"
	"strconv"
)

// value is what a local may hold: something at a place of the input or data
// document, a string that the library spells out, a collection that a rule built
// itself, or anything else. The zero value is nothing at all.
type value struct {
	places  []string // "input" or "data" and a JSON pointer
	strings []string
	elems   *value // of a collection: what its elements may be
	keys    *value // of a collection: what its keys may be
	other   bool
}

// anything is a value that neither comes from a document nor is spelt out.
var anything = value{other: true}

func (v value) join(o value) value {
	return value{
		places: union(v.places, o.places), strings: union(v.strings, o.strings),
		elems: joinOf(v.elems, o.elems), keys: joinOf(v.keys, o.keys), other: v.other || o.other,
	}
}

// equal tells whether two values stand for the same.
func (v value) equal(o value) bool {
	return v.other == o.other && slices.Equal(v.places, o.places) && slices.Equal(v.strings, o.strings) &&
		equalParts(v.elems, o.elems) && equalParts(v.keys, o.keys)
}

func equalParts(a, b *value) bool {
	return a == b || a != nil && b != nil && a.equal(*b)
}

func joinOf(a, b *value) *value {
	switch {
	case a == nil:
		return b
	case b == nil, a == b:
		return a
	}
	joined := a.join(*b)
	if joined.equal(*a) { // mostly
		return a
	}
	return new(joined)
}

func union(a, b []string) []string {
	switch {
	case len(a) == 0:
		return b
	case !slices.ContainsFunc(b, func(s string) bool { return !slices.Contains(a, s) }): // mostly
		return a
	}
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// literals are the strings that the value must be one of, if that is known.
func (v value) literals() ([]string, bool) {
	return v.strings, len(v.strings) > 0 && len(v.places) == 0 && v.elems == nil && v.keys == nil && !v.other
}

// append names the value. Two values have one name only if they are equal: what a
// function reads is remembered by the names of its arguments.
func (v *value) append(b []byte) []byte {
	if v == nil {
		return append(b, '-')
	}
	b = append(b, '(')
	for _, list := range [][]string{v.places, v.strings} {
		for _, s := range list {
			b = append(strconv.AppendQuote(b, s), ' ')
		}
		b = append(b, ';')
	}
	b = v.keys.append(v.elems.append(strconv.AppendBool(b, v.other)))
	return append(b, ')')
}
