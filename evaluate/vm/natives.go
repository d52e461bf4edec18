package vm

import "strings"

// native is our version of a builtin. ok is false for arguments that it does not
// cover, which OPA's own then gets; v is nil where the builtin is undefined, or
// the call has failed.
type native func(m *Machine, args []*Value) (v *Value, ok bool)

// natives are the builtins that controls use for every resource. What of OPA's
// they are not certainly equal to, errors among it, they leave to it.
var natives = map[string]native{
	"equal":             compared(func(m *Machine, a, b *Value) bool { return m.equal(a, b) }),
	"neq":               compared(func(m *Machine, a, b *Value) bool { return !m.equal(a, b) }),
	"gt":                compared(func(m *Machine, a, b *Value) bool { return m.compare(a, b) > 0 }),
	"gte":               compared(func(m *Machine, a, b *Value) bool { return m.compare(a, b) >= 0 }),
	"lt":                compared(func(m *Machine, a, b *Value) bool { return m.compare(a, b) < 0 }),
	"lte":               compared(func(m *Machine, a, b *Value) bool { return m.compare(a, b) <= 0 }),
	"is_array":          isKind(kArray),
	"is_boolean":        isKind(kFalse, kTrue),
	"is_null":           isKind(kNull),
	"is_number":         isKind(kNumber),
	"is_object":         isKind(kObject),
	"is_set":            isKind(kSet),
	"is_string":         isKind(kString),
	"startswith":        ofTexts(strings.HasPrefix),
	"endswith":          ofTexts(strings.HasSuffix),
	"contains":          ofTexts(strings.Contains),
	"lower":             changed(strings.ToLower),
	"upper":             changed(strings.ToUpper),
	"trim_space":        changed(strings.TrimSpace),
	"trim":              changedBy(strings.Trim),
	"trim_left":         changedBy(strings.TrimLeft),
	"trim_right":        changedBy(strings.TrimRight),
	"trim_prefix":       changedBy(strings.TrimPrefix),
	"trim_suffix":       changedBy(strings.TrimSuffix),
	"split":             split,
	"concat":            concat,
	"replace":           replace,
	"sprintf":           sprintf,
	"regex.match":       regexMatch,
	"count":             count,
	"internal.member_2": member,
	"internal.member_3": memberWithKey,
	"array.concat":      arrayConcat,
	"object.get":        objectGet,
	"object.keys":       objectKeys,
	"and":               intersection,
	"or":                union,
	"minus":             minus,
	"plus":              arithmetic(func(x, y int64) (int64, bool) { return x + y, true }),
	"mul":               arithmetic(func(x, y int64) (int64, bool) { return x * y, within(x, 31) && within(y, 31) }),
	"rem":               arithmetic(remainder),
	"abs":               rounded(func(x int64) int64 { return max(x, -x) }),
	"ceil":              rounded(itself),
	"floor":             rounded(itself),
	"round":             rounded(itself),
}

func compared(holds func(m *Machine, a, b *Value) bool) native {
	return func(m *Machine, a []*Value) (*Value, bool) { return boolean(holds(m, a[0], a[1])), true }
}

func isKind(kinds ...kind) native {
	return func(_ *Machine, a []*Value) (*Value, bool) {
		return boolean(a[0].kind == kinds[0] || a[0].kind == kinds[len(kinds)-1]), a[0].kind != kEstate
	}
}

// arithmetic is exact on integers that are far from overflowing.
func arithmetic(op func(x, y int64) (int64, bool)) native {
	return func(m *Machine, a []*Value) (*Value, bool) {
		x, ok := integerOf(a[0])
		if !ok {
			return nil, false
		}
		y, ok := integerOf(a[1])
		if !ok {
			return nil, false
		}
		z, ok := op(x, y)
		if !ok {
			return nil, false
		}
		return m.int(int(z)), true
	}
}

// rounded is what a unary operation does to small integers.
func rounded(op func(x int64) int64) native {
	return func(m *Machine, a []*Value) (*Value, bool) {
		x, ok := integerOf(a[0])
		if !ok || !within(x, 31) {
			return nil, false
		}
		return m.int(int(op(x))), true
	}
}

func itself(x int64) int64 { return x }

func remainder(x, y int64) (int64, bool) {
	if y == 0 {
		return 0, false
	}
	return x % y, true
}

// integerOf is a number that is written as a plain integer.
func integerOf(v *Value) (int64, bool) {
	if v.kind != kNumber {
		return 0, false
	}
	return plainInt(v.s)
}

// within tells whether a number is below 2^bits either way.
func within(x int64, bits int) bool { return x < 1<<bits && x > -1<<bits }
