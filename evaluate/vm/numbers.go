package vm

import (
	"errors"
	"hash/maphash"
	"math"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// errNumber ends what would reckon with a number that is too large to: OPA reads
// none of such an exponent either, and is slow where there are very many digits.
var errNumber = errors.New("a number that is out of range, or of more than 30000 digits")

const maxDigits = 30000 // about what OPA takes as an exponent

// sound tells whether a number can be reckoned with. wild is true of those for
// which a float64 is too small: OPA's sets and objects may hold two that are equal,
// if they are written differently.
func sound(s string) (ok, wild bool) {
	if len(s) < 300 && strings.IndexByte(s, 'e') < 0 && strings.IndexByte(s, 'E') < 0 {
		return true, false
	}
	if _, err := ast.NumberChecked(s); err != nil || len(s) > maxDigits {
		return false, false
	}
	_, err := strconv.ParseFloat(s, 64)
	return true, err != nil
}

// NumberCost is about how many steps it takes to compare a number, or to reckon with
// it: nothing for plain integers of up to 18 digits.
func NumberCost(s string) int {
	if _, ok := plainInt(s); ok {
		return 0
	}
	n := min(len(s)+exponent(s), 1<<20)
	return 16 + 4*n + n*n>>8
}

// isJSON tells whether a number is written as JSON has it. Some of OPA's builtins
// make numbers of strings, 007 and 0x1p-2 among them.
func isJSON(s string) bool {
	if s == "" {
		return false
	}
	d := tape{raw: []byte(s)}
	_, end := d.number(0)
	return end == len(s)
}

// plainInt reads a literal of up to 18 digits and nothing but digits after its sign.
func plainInt(s string) (int64, bool) {
	digits := s
	if len(s) > 0 && s[0] == '-' {
		digits = s[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	v := int64(0)
	for i := range len(digits) {
		c := digits[i] - '0'
		if c > 9 {
			return 0, false
		}
		v = v*10 + int64(c)
	}
	if len(digits) < len(s) {
		v = -v
	}
	return v, true
}

// compareNumbers orders by value, whatever the form: 1 is 1.0.
func (m *Machine) compareNumbers(a, b string) int {
	if a == b {
		return 0
	}
	if x, ok := plainInt(a); ok {
		if y, ok := plainInt(b); ok {
			return order(x, y)
		}
	}
	m.step(NumberCost(a) + NumberCost(b))
	return ast.NumberCompare(ast.Number(a), ast.Number(b))
}

func order[T int | int32 | int64 | kind | string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// hashNumber is the same for all forms of one number: its float64's, which the
// few that OPA takes for equal without their being so share too. Those for which a
// float64 is too small are hashed as they are written, as by OPA.
func hashNumber(s string) uint64 {
	var f float64
	if i, ok := plainInt(s); ok {
		f = float64(i)
	} else {
		var err error
		if f, err = strconv.ParseFloat(s, 64); err != nil {
			return maphash.String(seed, s)
		}
	}
	if f == 0 {
		f = 0 // not -0
	}
	return (math.Float64bits(f) ^ math.Float64bits(f)>>32) * 0x9e3779b97f4a7c15
}

// integer is a number as an index.
func integer(v *Value) (int, bool) {
	if i, ok := plainInt(v.s); ok {
		return int(i), true
	}
	return ast.Number(v.s).Int()
}
