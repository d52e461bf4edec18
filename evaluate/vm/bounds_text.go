package vm

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// exponent is the largest number after an e in a text, without its sign.
func exponent(s string) int {
	most := 0
	for i := strings.IndexAny(s, "eE"); i >= 0; {
		rest := strings.TrimLeft(s[i+1:], "+-")
		digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
		if digits != "" {
			n, err := strconv.Atoi(digits)
			if err != nil {
				return math.MaxInt >> 8
			}
			most = max(most, n)
		}
		next := strings.IndexAny(s[i+1:], "eE")
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return most
}

// formatted is at most how long sprintf makes its text: all arguments quoted or
// in hexadecimal, once for each verb where verbs may choose, and every width.
func formatted(m *Machine, a []*Value) int {
	const widest = 1000000 // width or precision, of which fmt refuses larger ones
	f, e := a[0].s, m.extent(a[1])
	if !strings.ContainsAny(f, "*[123456789") {
		return times(len(f)+e.text+16*e.values, 10)
	}
	verbs, stars := strings.Count(f, "%"), strings.Count(f, "*")
	n := times(e.text+16*e.values, 10)
	if strings.Contains(f, "[") {
		n = times(n, verbs)
	}
	n += len(f) + times(stars, widest)
	for i := 0; i < len(f); i++ {
		width := 0
		for ; i < len(f) && f[i] >= '0' && f[i] <= '9'; i++ {
			width = min(10*width+int(f[i]-'0'), widest)
		}
		n += width
	}
	return n
}

// replaced: nothing, which is between any two bytes, can be replaced too.
func replaced(m *Machine, a []*Value) {
	m.room(times(len(a[0].s)+1, len(a[2].s)+1))
}

func replacedN(m *Machine, a []*Value) {
	if a[0].kind != kObject || a[1].kind != kString {
		return
	}
	keys, vals := m.members(a[0])
	longest, most, all := 0, 0, 0
	for i := range keys {
		longest, most, all = max(longest, len(keys[i].s)), max(most, len(vals[i].s)), all+len(keys[i].s)
	}
	if m.room(times(len(a[1].s)+1, most+1)) && m.room(times(all, 2048)) {
		m.afford(times(len(a[1].s)+1, longest+1)>>6 + times(all, 16))
	}
}

// template: a loop runs as often as there are values, or as a number says. What can
// call itself, or makes texts of any length, has no bound.
func template(m *Machine, a []*Value) {
	for _, word := range []string{"template", "define", "block", "print", "html", "js", "urlquery", "call"} {
		if strings.Contains(a[0].s, word) {
			m.fail(ErrBytes)
			return
		}
	}
	e := m.extent(a...)
	n := times(times(strings.Count(a[0].s, "{{")+1, 8), e.text+16*e.values)
	for range strings.Count(a[0].s, "range") {
		n = times(n, e.values+largest(a[0].s)+m.largestIn(a[1]))
	}
	if m.room(n) {
		m.afford(n >> 4)
	}
}

// largest is the largest number written in a text.
func largest(s string) int {
	most := 0
	for _, digits := range strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		n, err := strconv.Atoi(digits)
		if err != nil {
			return math.MaxInt >> 8
		}
		most = max(most, n)
	}
	return most
}

// largestIn is the largest number in a value.
func (m *Machine) largestIn(v *Value) int {
	most := 0
	switch v.kind {
	case kNumber:
		return largest(v.s)
	case kArray, kSet:
		for _, e := range m.elements(v) {
			most = max(most, m.largestIn(e))
		}
	case kObject:
		_, vals := m.members(v)
		for _, e := range vals {
			most = max(most, m.largestIn(e))
		}
	}
	return most
}

// indented: every value may stand on a line of its own.
func indented(m *Machine, a []*Value) {
	e, options := m.extent(a[0]), m.extent(a[1])
	if m.room(times(e.values+e.depths, options.text+8)) {
		m.afford(times(e.values+e.depths, options.text+8) >> 6)
	}
}

// yamlAliases: an alias stands for all that its anchor has, other aliases among
// it. Of a*b*c… with a+b+c… aliases the most is 3^(n/3), and the parser itself
// stops at some point.
func yamlAliases(m *Machine, a []*Value) {
	e := m.extent(a...)
	factor := 1
	if anchors, aliases := marks(a[0].s, '&'), marks(a[0].s, '*'); anchors > 0 && aliases > 0 {
		factor = int(min(math.Pow(1.5, float64(aliases)), 1<<22))
	}
	if m.room(times(times(e.text, 64), factor)) {
		m.afford(times(times(e.text, 8), factor))
	}
}

// marks counts where a character begins a word.
func marks(s string, c byte) int {
	n := 0
	for i := range len(s) - 1 {
		if s[i] == c && (i == 0 || strings.IndexByte(" \t\n[{,:-", s[i-1]) >= 0) && strings.IndexByte(" \t\n*&/.", s[i+1]) < 0 {
			n++
		}
	}
	return n
}

// patchCopies: each copy may double the document, and each operation walk over it.
func patchCopies(m *Machine, a []*Value) {
	if a[1].kind != kArray {
		return
	}
	e, ops := m.extent(a...), m.elements(a[1])
	size := e.text + 64*e.values
	for _, op := range ops {
		if kind := m.Field(op, "op"); kind != nil && kind.s == "copy" {
			size = times(size, 2)
		}
	}
	if m.room(size) {
		m.afford(times(len(ops), size>>8))
	}
}

// globsMatch: finding what two expressions have in common backtracks at each repetition.
func globsMatch(m *Machine, a []*Value) {
	stars := strings.Count(a[0].s, "*") + strings.Count(a[0].s, "+") + strings.Count(a[1].s, "*") + strings.Count(a[1].s, "+")
	m.afford(times(len(a[0].s)+len(a[1].s), 1<<min(stars, 40)))
}

// globMatched: what stands between two stars is tried wherever the text has it, and
// then what stands before and after it in what is left.
func globMatched(m *Machine, a []*Value) {
	pattern, text := a[0].s, a[2].s
	ways := times(len(text)+1, 1+strings.Count(pattern, ","))
	if strings.Contains(pattern, "*") {
		for part := range strings.SplitSeq(pattern, "*") {
			ways = times(ways, m.places(text, part))
		}
	}
	m.afford(ways >> 4)
}

// places is how often a part of a glob can be in a text, and one more.
func (m *Machine) places(text, part string) int {
	if part == "" {
		return 1
	}
	if strings.ContainsAny(part, `?[{,}]\`) {
		return len(text) + 1
	}
	n := 1
	for i := strings.Index(text, part); i >= 0 && m.afford(1+len(part)>>longText); i = strings.Index(text, part) {
		n++
		text = text[i+1:]
	}
	return n
}

// cidrExpanded: every address of a network.
func cidrExpanded(m *Machine, a []*Value) {
	prefix, err := netip.ParsePrefix(a[0].s)
	if err != nil { // as OPA's parser, or in one of the forms that only that takes
		address, bits, found := strings.Cut(a[0].s, "/")
		unspecified := netip.IPv6Unspecified()
		if !strings.Contains(address, ":") {
			unspecified = netip.IPv4Unspecified()
		}
		n, err := strconv.Atoi(bits)
		if !found || err != nil || n < 0 || n > unspecified.BitLen() {
			return
		}
		prefix = netip.PrefixFrom(unspecified, n)
	}
	n := 1 << min(prefix.Addr().BitLen()-prefix.Bits(), 40)
	if m.room(times(n, 160)) {
		m.afford(times(n, 16))
	}
}
