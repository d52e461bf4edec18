package evaluate_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// dice are the choices of a test that tries what nobody thought of. The same
// seed makes the same choices.
type dice struct{ *rand.Rand }

func seeded(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 7))} }

func pick[T any](d dice, from []T) T { return from[d.IntN(len(from))] }

// words are keys and strings that documents and controls share, so that they meet.
var words = []string{"a", "a", "a", "a", "b", "b", "b", "c", "c", "a/b", "m~n", "0", ""}

// value is any JSON value, at most some levels deep.
func (d dice) value(depth int) any {
	n := 14
	if depth <= 0 {
		n = 7
	}
	switch d.IntN(n) {
	case 0:
		return nil
	case 1:
		return true
	case 2:
		return false
	case 3:
		return json.Number(strconv.Itoa(d.IntN(4) - 1))
	case 4:
		return json.Number(pick(d, []string{"1.0", "1.5", "1e2", "12345678901234567890"}))
	case 5, 6:
		return pick(d, words)
	case 7, 8, 9:
		out := make([]any, d.IntN(4))
		for i := range out {
			out[i] = d.value(depth - 1)
		}
		return out
	}
	out := map[string]any{}
	for range d.IntN(5) {
		out[pick(d, words)] = d.value(depth - 1)
	}
	return out
}

// mutate changes a copy of a value somewhere: it drops, replaces, retypes,
// repeats or adds.
func (d dice) mutate(v any) any {
	switch x := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(x))
		var keys []string
		for k, m := range x {
			out[k] = m
			keys = append(keys, k)
		}
		slices.Sort(keys)
		if len(keys) == 0 || d.IntN(8) == 0 {
			out[pick(d, words)] = d.value(2)
			return out
		}
		switch k := pick(d, keys); d.IntN(8) {
		case 0:
			delete(out, k)
		case 1:
			out[k] = d.retype(out[k])
		case 2:
			out[k] = out[pick(d, keys)]
		default:
			out[k] = d.mutate(out[k])
		}
		return out
	case []any:
		out := slices.Clone(x)
		if len(out) == 0 {
			return []any{d.value(2)}
		}
		switch i := d.IntN(len(out)); d.IntN(6) {
		case 0:
			return slices.Delete(out, i, i+1)
		case 1:
			return append(out, pick(d, out))
		case 2:
			out[i] = d.retype(out[i])
		default:
			out[i] = d.mutate(out[i])
		}
		return out
	}
	return d.retype(v)
}

// retype makes another kind of value of one.
func (d dice) retype(v any) any {
	switch d.IntN(5) {
	case 0:
		return []any{v}
	case 1:
		return map[string]any{pick(d, words): v}
	case 2:
		return nil
	}
	return d.value(2)
}

// fills are what may stand where there is a gap: each is put there in turn, and
// absent removes what is there.
func (d dice) fills(original any, others []any, n int) []any {
	out := []any{absent{}, original, nil, map[string]any{}, []any{}, "", true, json.Number("0")}
	for range n {
		out = append(out, d.value(3), d.mutate(d.mutate(original)))
		if len(others) > 0 {
			out = append(out, pick(d, others))
		}
	}
	return out
}

type absent struct{}

// standing is what stands at a pointer of a document.
func standing(r audit.Resource, pointer string) any {
	var v any = map[string]any{"data": r.Data}
	for _, step := range keysOf(pointer) {
		switch x := v.(type) {
		case map[string]any:
			m, ok := x[step]
			if !ok {
				return absent{}
			}
			v = m
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(x) {
				return absent{}
			}
			v = x[i]
		default:
			return absent{}
		}
	}
	return v
}

// keysOf are the keys of a JSON pointer.
func keysOf(pointer string) []string {
	out := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, s := range out {
		out[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(s)
	}
	return out
}

// put makes a value stand at a pointer below /data, or removes what does. What
// is not there on the way is made; false if something else is in the way.
func put(r *audit.Resource, pointer string, v any) bool {
	root := map[string]any{"data": r.Data}
	ok := putAt(root, keysOf(pointer), v)
	r.Data = root["data"]
	return ok
}

func putAt(at any, keys []string, v any) bool {
	last := len(keys) == 1
	switch x := at.(type) {
	case map[string]any:
		if _, gone := v.(absent); gone && last {
			delete(x, keys[0])
			return true
		}
		if last {
			x[keys[0]] = v
			return true
		}
		if x[keys[0]] == nil {
			x[keys[0]] = map[string]any{}
		}
		return putAt(x[keys[0]], keys[1:], v)
	case []any:
		i, err := strconv.Atoi(keys[0])
		if err != nil || i < 0 || i >= len(x) {
			return false
		}
		if !last {
			return putAt(x[i], keys[1:], v)
		}
		if _, gone := v.(absent); gone {
			return false
		}
		x[i] = v
		return true
	}
	return false
}
