package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

// The limits of one value read from a file. Aliases let a small document stand
// for an endless one, and nesting costs stack.
const (
	maxDepth  = 200
	maxValues = 2_000_000
	maxBytes  = 32 << 20
)

var (
	errDepth  = fmt.Errorf("is nested deeper than %d levels: no cluster would take it", maxDepth)
	errValues = fmt.Errorf("has more than %d values, or over %d MiB when its aliases are written out: split it", maxValues, maxBytes>>20)
)

// expansion turns what the YAML parser gives into JSON values as kubectl does:
// booleans and numbers are those of YAML 1.1, keys become strings.
type expansion struct{ values, bytes int }

func (x *expansion) value(v any, depth int) (any, error) {
	if x.values++; x.values > maxValues || x.bytes > maxBytes {
		return nil, errValues
	}
	if depth > maxDepth {
		return nil, errDepth
	}
	switch v := v.(type) {
	case nil, bool:
		return v, nil
	case string:
		x.bytes += len(v)
		return v, nil
	case int, int64, uint64:
		return json.Number(fmt.Sprint(v)), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, errors.New("has a number that JSON does not know: infinity, or none")
		}
		b, err := json.Marshal(v)
		return json.Number(b), err
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			var err error
			if out[i], err = x.value(e, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[any]any:
		return x.object(v, depth)
	}
	return nil, fmt.Errorf("has a value of type %T", v)
}

func (x *expansion) object(m map[any]any, depth int) (any, error) {
	out := make(map[string]any, len(m))
	for k, e := range m {
		key, err := keyOf(k)
		if err != nil {
			return nil, err
		}
		if _, ok := out[key]; ok {
			return nil, fmt.Errorf("has the key %q twice, once as a string and once as another type", key)
		}
		x.bytes += len(key)
		if out[key], err = x.value(e, depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func keyOf(k any) (string, error) {
	switch k := k.(type) {
	case string:
		return k, nil
	case bool, int, int64, uint64:
		return fmt.Sprint(k), nil
	case float64:
		return strconv.FormatFloat(k, 'g', -1, 64), nil
	}
	return "", fmt.Errorf("has a key of type %T: keys are strings", k)
}

// LooksLikeManifest tells Kubernetes objects from other YAML and JSON, Terraform's
// above all, by the members at the top of any document. The beginning of a file is enough.
func LooksLikeManifest(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	found := map[string]bool{}
	if text := bytes.TrimLeft(b, " \t\r\n"); len(text) > 0 && text[0] == '{' {
		if jsonMembers(text, found); len(found) >= 2 {
			return true
		}
		return len(found) == 0 && !json.Valid(text) && members(flowMember, text) >= 2
	}
	return members(blockMember, b) >= 2
}

var (
	blockMember = regexp.MustCompile(`(?m)^["']?(apiVersion|kind|metadata|spec)["']?[ \t]*:(?:[ \t\r]|$)`)
	flowMember  = regexp.MustCompile(`[{,]\s*(apiVersion|kind|metadata|spec)\s*:\s`)
)

func members(re *regexp.Regexp, b []byte) int {
	found := map[string]bool{}
	for _, m := range re.FindAllSubmatch(b, 64) {
		found[string(m[1])] = true
	}
	return len(found)
}

// jsonMembers notes which members of an object the top level of a JSON text has, as far as it can be read.
func jsonMembers(text []byte, found map[string]bool) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if _, err := dec.Token(); err != nil {
		return
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return
		}
		switch name, _ := key.(string); name {
		case "apiVersion", "kind", "metadata", "spec":
			found[name] = true
		}
		if err := dec.Decode(new(json.RawMessage)); err != nil {
			return
		}
	}
}
