package vm

import (
	"math"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
)

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
func compareNumbers(a, b string) int {
	if a == b {
		return 0
	}
	if x, ok := plainInt(a); ok {
		if y, ok := plainInt(b); ok {
			return order(x, y)
		}
	}
	return ast.Compare(ast.Number(a), ast.Number(b))
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

// hashNumber is the same for all forms of one number. Those that a float64
// cannot tell apart share one.
func hashNumber(s string) uint64 {
	i, ok := plainInt(s)
	if !ok {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return 3
		}
		i = int64(f)
	}
	if i > 1<<53 || i < -1<<53 {
		return 3
	}
	return uint64(i)*0x9e3779b97f4a7c15 + 5
}

// integer is a number as an index.
func integer(v *Value) (int, bool) {
	if i, ok := plainInt(v.s); ok {
		return int(i), true
	}
	return ast.Number(v.s).Int()
}
