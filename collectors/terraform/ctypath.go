package terraform

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// ctyPaths takes the sensitive_attributes of a raw state, lists of get_attr and
// index steps, and gives the JSON pointers into values that they lead to. A
// path that leads nowhere gives the deepest place on its way that there is:
// rather too much is replaced than too little.
func ctyPaths(v any, values map[string]any) ([]string, error) {
	if v == nil {
		return nil, nil
	}
	paths, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("want a list of paths, got %T", v)
	}
	var out []string
	for _, p := range paths {
		steps, ok := p.([]any)
		if !ok {
			return nil, fmt.Errorf("want a path as a list of steps, got %T", p)
		}
		pointer, err := ctyPath(steps, values)
		if err != nil {
			return nil, err
		}
		out = append(out, pointer)
	}
	return out, nil
}

func ctyPath(steps []any, at any) (string, error) {
	var pointer strings.Builder
	for _, step := range steps {
		key, err := ctyStep(step)
		if err != nil {
			return "", err
		}
		next, ok := descend(at, key)
		if !ok {
			// A value of dynamic type stands in the state with its type beside it.
			if inner, dynamic := dynamicValue(at); dynamic {
				if next, ok = descend(inner, key); ok {
					pointer.WriteString("/value")
				}
			}
		}
		if !ok {
			break
		}
		pointer.WriteString("/" + audit.EscapePointer(key))
		at = next
	}
	return pointer.String(), nil
}

// ctyStep gives the object key or list index of a step; "" stands for one that
// JSON has no key for, such as an element of a set.
func ctyStep(v any) (string, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return "", fmt.Errorf("want a step as an object, got %T", v)
	}
	switch kind := m["type"]; kind {
	case "get_attr":
		if name, ok := m["value"].(string); ok {
			return name, nil
		}
		return "", errors.New("a get_attr step without a name")
	case "index":
		index, _ := m["value"].(map[string]any)
		switch key := index["value"].(type) {
		case string:
			return key, nil
		case json.Number:
			return key.String(), nil
		}
		return "", nil
	default:
		return "", fmt.Errorf("a step of type %q: want get_attr or index", fmt.Sprint(kind)[:min(20, len(fmt.Sprint(kind)))])
	}
}

func descend(at any, key string) (any, bool) {
	switch at := at.(type) {
	case map[string]any:
		v, ok := at[key]
		return v, ok
	case []any:
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i >= len(at) || strconv.Itoa(i) != key {
			return nil, false
		}
		return at[i], true
	}
	return nil, false
}

func dynamicValue(at any) (any, bool) {
	m, ok := at.(map[string]any)
	if !ok || len(m) != 2 {
		return nil, false
	}
	_, typed := m["type"]
	v, ok := m["value"]
	return v, ok && typed
}

// marked gives the pointers at which a structure that mirrors the values, as
// sensitive_values and after_unknown do, says true.
func marked(v any, at string) []string {
	var out []string
	switch v := v.(type) {
	case bool:
		if v {
			out = append(out, at)
		}
	case map[string]any:
		for key, e := range v {
			out = append(out, marked(e, at+"/"+audit.EscapePointer(key))...)
		}
	case []any:
		for i, e := range v {
			out = append(out, marked(e, at+"/"+strconv.Itoa(i))...)
		}
	}
	return out
}
