package vm

import (
	"math"
	"math/big"
	"math/bits"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// bound ends the call if a builtin of OPA's could make more of its arguments, or
// take longer over them, than the call has left: it could not be stopped half way.
type bound func(m *Machine, a []*Value)

// bounds are for the deterministic builtins that do more than in proportion to
// their arguments, or much more per byte than the step that every 16 bytes cost.
// The rest, those that take texts apart, compare, encode, hash or pick members, are
// in proportion. So is arithmetic, on numbers that are as long as they may be here.
var bounds = map[string]bound{
	// Numbers: what is made depends on values, not on sizes.
	"numbers.range":      numberRange,
	"numbers.range_step": numberRange,
	"bits.lsh":           leftShift,
	"product":            productOf,
	"sort":               sorted,
	"units.parse":        exponentOf,
	"units.parse_bytes":  exponentOf,

	// Texts that grow, and searches that begin anew at each byte.
	"indexof":                   pairwise(0, 1, 6),
	"indexof_n":                 pairwise(0, 1, 6),
	"split":                     growing(64),
	"strings.split_n":           growing(64),
	"substring":                 growing(8),
	"replace":                   replaced,
	"strings.replace_n":         replacedN,
	"strings.render_template":   template,
	"internal.template_string":  growing(4),
	"json.marshal_with_options": indented,
	"time.format":               zoned(growing(32)),

	// What depends on the machine's own time zone.
	"time.add_date": zoned(nil),
	"time.clock":    zoned(nil),
	"time.date":     zoned(nil),
	"time.diff":     zoned(nil),
	"time.parse_ns": zoneParsed,
	"time.weekday":  zoned(nil),

	// Parsers, by what a byte can become, and how slow they are. Those that descend
	// recursively without a limit of their own get short texts only.
	"json.unmarshal":    growing(64),
	"yaml.unmarshal":    yamlAliases,
	"yaml.is_valid":     yamlAliases,
	"json.patch":        patchCopies,
	"rego.parse_module": growing(1024),
	"object.subset":     allPairs(4),

	"graphql.is_valid":         short(1 << 12),
	"graphql.parse":            short(1 << 12),
	"graphql.parse_and_verify": short(1 << 12),
	"graphql.parse_query":      short(1 << 12),
	"graphql.parse_schema":     short(1 << 12),
	"graphql.schema_is_valid":  short(1 << 12),
	"json.match_schema":        short(1 << 20),
	"json.verify_schema":       short(1 << 20),

	// Expressions: the program and the time to run it.
	"regex.is_valid":                            func(m *Machine, a []*Value) { m.parsable(a[0].s) },
	"re_match":                                  expressionOf(0, 1),
	"regex.match":                               expressionOf(0, 1),
	"regex.find_n":                              searchesOf(0, 1, 2),
	"regex.find_all_string_submatch_n":          searchesOf(0, 1, 2),
	"regex.split":                               searchesOf(0, 1, -1),
	"regex.replace":                             regexReplaced,
	"regex.template_match":                      expressionOf(0, 1),
	"regex.globs_match":                         globsMatch,
	"glob.match":                                globMatched,
	"net.cidr_expand":                           cidrExpanded,
	"net.cidr_contains_matches":                 allPairs(-5),
	"net.cidr_merge":                            growing(64),
	"graph.reachable":                           reachable,
	"graph.reachable_paths":                     reachablePaths,
	"walk":                                      walked,
	"object.union_n":                            growing(64),
	"crypto.x509.parse_certificates":            power(2, 10),
	"crypto.x509.parse_rsa_private_key":         power(3, 18),
	"crypto.x509.parse_keypair":                 power(3, 18),
	"crypto.parse_private_keys":                 power(3, 18),
	"crypto.x509.parse_certificate_request":     power(2, 10),
	"crypto.x509.parse_and_verify_certificates": power(2, 10),
	"crypto.x509.parse_and_verify_certificates_with_options": power(2, 10),
	"io.jwt.decode_verify": timed(power(2, 10)),
	"io.jwt.verify_rs256":  power(2, 10),
	"io.jwt.verify_rs384":  power(2, 10),
	"io.jwt.verify_rs512":  power(2, 10),
	"io.jwt.verify_ps256":  power(2, 10),
	"io.jwt.verify_ps384":  power(2, 10),
	"io.jwt.verify_ps512":  power(2, 10),
	"io.jwt.verify_es256":  power(2, 10),
	"io.jwt.verify_es384":  power(2, 10),
	"io.jwt.verify_es512":  power(2, 10),
	"io.jwt.verify_eddsa":  power(2, 10),
}

// room ends the call if it may not make so many bytes more.
func (m *Machine) room(n int) bool {
	if n < 0 || int64(n) > m.bytes {
		m.fail(ErrBytes)
	}
	return m.err == nil
}

// afford takes steps for work that cannot be stopped, or ends the call if there
// are not as many left.
func (m *Machine) afford(n int) bool {
	if n < 0 || int64(n) > m.steps+m.budget {
		m.fail(ErrSteps)
	}
	m.step(n)
	return m.err == nil
}

// times multiplies, and stays at the largest number there is.
func times(a, b int) int {
	if a > 0 && b > math.MaxInt/a {
		return math.MaxInt
	}
	return a * b
}

// extent is how large values are.
type extent struct {
	values int // scalars and containers
	reckon int // steps to compare each number once
	text   int // bytes of strings and numbers
	depths int // the sum of how deep each value lies
}

func (m *Machine) extent(list ...*Value) extent {
	var e extent
	for _, v := range list {
		m.measure(v, 1, &e)
	}
	return e
}

func (m *Machine) measure(v *Value, depth int, e *extent) {
	e.values++
	e.text += len(v.s)
	if v.kind == kNumber {
		e.reckon += NumberCost(v.s)
	}
	e.depths += depth
	if m.step(1); v.kind < kArray || m.steps < 0 && m.stop() {
		return
	}
	switch v.kind {
	case kArray, kSet:
		for _, x := range m.elements(v) {
			m.measure(x, depth+1, e)
		}
	case kObject:
		keys, vals := m.members(v)
		for i := range keys {
			m.measure(keys[i], depth+1, e)
			m.measure(vals[i], depth+1, e)
		}
	}
}

// growing is for what makes up to n bytes of each byte, and takes as long as a
// parser does.
func growing(n int) bound {
	return func(m *Machine, a []*Value) {
		e := m.extent(a...)
		if m.room(times(e.text+16*e.values, n)) {
			m.afford(e.text)
		}
	}
}

// short is for what may take quadratic time.
func short(limit int) bound {
	return func(m *Machine, a []*Value) {
		e := m.extent(a...)
		n := e.text + 8*e.values
		if n > limit {
			m.fail(ErrBytes)
			return
		}
		m.afford(times(n, n) >> 8)
	}
}

// power is for what takes time that grows with a power of the size: keys and
// signatures.
func power(n, shift int) bound {
	return func(m *Machine, a []*Value) {
		e := m.extent(a...)
		steps := 1
		for range n {
			steps = times(steps, e.text)
		}
		m.afford(steps >> shift)
	}
}

// timed is for what judges by the machine's moment.
func timed(b bound) bound {
	return func(m *Machine, a []*Value) {
		if m.Time.IsZero() {
			m.fail(errTime)
			return
		}
		b(m, a)
	}
}

// pairwise is for what may compare each byte of a text with each of another.
func pairwise(i, j, shift int) bound {
	return func(m *Machine, a []*Value) { m.afford(times(len(a[i].s), len(a[j].s)) >> shift) }
}

// allPairs is for what compares each value of one argument with each of another.
func allPairs(shift int) bound {
	return func(m *Machine, a []*Value) {
		n := times(m.extent(a[0]).values, m.extent(a[1]).values)
		if shift < 0 {
			n = times(n, 1<<-shift)
		} else {
			n >>= shift
		}
		m.afford(n)
	}
}

// bigInt is an integer of any size, or nil: then OPA's builtin ends in an error.
func bigInt(v *Value) *big.Int {
	if v.kind != kNumber {
		return nil
	}
	i, err := builtins.NumberToInt(ast.Number(v.s))
	if err != nil {
		return nil
	}
	return i
}

// clamped is an integer, or the largest there is.
func clamped(i *big.Int) int {
	if !i.IsInt64() {
		return math.MaxInt
	}
	return int(i.Int64())
}

func numberRange(m *Machine, a []*Value) {
	from, to := bigInt(a[0]), bigInt(a[1])
	if from == nil || to == nil {
		return
	}
	n := new(big.Int).Sub(to, from)
	n.Abs(n)
	if len(a) > 2 {
		if by := bigInt(a[2]); by != nil && by.Sign() > 0 {
			n.Quo(n, by)
		}
	}
	each := len(a[0].s) + len(a[1].s) + 128
	// OPA's fast path makes room for as many as the upper end, whatever the step.
	if m.room(times(clamped(n), each)) {
		m.afford(times(clamped(n), each>>5))
	}
}

func leftShift(m *Machine, a []*Value) {
	if by := bigInt(a[1]); by != nil && by.Sign() > 0 {
		n := clamped(by) >> 1
		if m.room(n) {
			m.afford(n >> 4)
		}
	}
}

// productOf: each number makes the product longer.
func productOf(m *Machine, a []*Value) {
	if a[0].kind != kArray && a[0].kind != kSet {
		return
	}
	n := 0
	for _, e := range m.elements(a[0]) {
		n += len(e.s) + exponent(e.s)
	}
	if n > 8*maxDigits { // the result would be refused
		m.fail(ErrBytes)
		return
	}
	m.afford(times(n, n) >> 10)
}

// sorted: each is compared with as many as the logarithm of all.
func sorted(m *Machine, a []*Value) {
	e := m.extent(a[0])
	m.afford(times(e.values+e.text>>longText+e.reckon, bits.Len(uint(e.values))))
}

func exponentOf(m *Machine, a []*Value) {
	for _, v := range a {
		if m.room(times(exponent(v.s), 4)) {
			m.afford(exponent(v.s))
		}
	}
}
