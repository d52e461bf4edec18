package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// jsonValues reads the JSON values of a text, one after the other. Unlike
// encoding/json it refuses a key that is given twice. line is where the text begins.
func jsonValues(text []byte, line int) ([]any, error) {
	if out, ok := soundValues(text); ok {
		return out, nil
	}
	return strictValues(text, line)
}

// strictValues reads key by key, to tell what is wrong and where.
func strictValues(text []byte, line int) ([]any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	x := &strict{dec: dec}
	var out []any
	for {
		t, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		var v any
		if err == nil {
			v, err = x.value(t, 0)
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return out, explainJSON(text, line, err)
		}
		out = append(out, v)
	}
}

func explainJSON(text []byte, line int, err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("is not JSON: it ends early; the file is cut off")
	case errors.As(err, &syntax):
		at := line + bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n"))
		return fmt.Errorf("is not JSON: line %d: %w", at, err)
	}
	return err
}

type strict struct {
	dec    *json.Decoder
	values int
}

func (x *strict) value(t json.Token, depth int) (any, error) {
	if x.values++; x.values > maxValues {
		return nil, errValues
	}
	if depth > maxDepth {
		return nil, errDepth
	}
	switch t {
	case json.Delim('{'):
		return x.object(depth)
	case json.Delim('['):
		return x.array(depth)
	}
	return t, nil
}

func (x *strict) object(depth int) (any, error) {
	out := map[string]any{}
	for x.dec.More() {
		t, err := x.dec.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		if _, ok := out[key]; ok {
			return nil, fmt.Errorf("has the key %q twice: a key may be given once", key)
		}
		if t, err = x.dec.Token(); err != nil {
			return nil, err
		}
		if out[key], err = x.value(t, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := x.dec.Token()
	return out, err
}

func (x *strict) array(depth int) (any, error) {
	out := []any{}
	for x.dec.More() {
		t, err := x.dec.Token()
		if err != nil {
			return nil, err
		}
		v, err := x.value(t, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := x.dec.Token()
	return out, err
}

// soundValues is jsonValues for what nothing is wrong with, in a third of the
// time: encoding/json decodes it at once, and what it passes over is told by counting.
// ok is false where jsonValues has to say what is wrong.
func soundValues(text []byte) (out []any, ok bool) {
	values, keys := tally(text)
	if values > maxValues {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	for {
		var v any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return out, keys == 0 // else some object has a key twice
		}
		n, deep := countKeys(v, 0)
		if err != nil || deep {
			return nil, false
		}
		keys -= n
		out = append(out, v)
	}
}

// tally counts, in what is JSON, the values at most, and the keys of objects as
// often as they are given.
func tally(text []byte) (values, keys int) {
	values = 1
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ':':
			keys++
			values++
		case ',', '[', '{', '}', ']':
			values++
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		}
	}
	return values, keys
}

// countKeys counts the keys of all objects in a value. deep says that it is nested deeper than is read.
func countKeys(v any, depth int) (n int, deep bool) {
	if depth > maxDepth {
		return 0, true
	}
	in := func(e any) {
		m, d := countKeys(e, depth+1)
		n, deep = n+m, deep || d
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			in(e)
		}
	case map[string]any:
		n = len(v)
		for _, e := range v {
			in(e)
		}
	}
	return n, deep
}
