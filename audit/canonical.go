package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Canonical renders a value as canonical JSON: object keys sorted by bytes,
// numbers as their literal, no HTML escapes, no white space, no newline. Two
// equal values give equal bytes.
func Canonical(v any) ([]byte, error) {
	if plain(v) {
		return appendValue(nil, v)
	}
	var buf bytes.Buffer
	if err := encode(&buf, v); err != nil {
		return nil, err
	}
	// Structs render in field order: go through a map, which encoding/json sorts.
	generic, err := DecodeJSON(buf.Bytes())
	if err != nil {
		return nil, err
	}
	buf.Reset()
	if err := encode(&buf, generic); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

func encode(buf *bytes.Buffer, v any) error {
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// plain tells whether v is built only of what encoding/json renders canonically.
func plain(v any) bool {
	switch v := v.(type) {
	case nil, bool, string, json.Number, map[string]string, []string, int, int64:
		return true
	case map[string]any:
		for _, e := range v {
			if !plain(e) {
				return false
			}
		}
		return true
	case []any:
		for _, e := range v {
			if !plain(e) {
				return false
			}
		}
		return true
	}
	return false
}

// DecodeJSON reads exactly one JSON value, numbers as json.Number.
func DecodeJSON(b []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

// DecodeDocument is DecodeJSON of what a source said. It refuses what DecodeJSON
// passes over, so that nobody who reads the same bytes sees another document: text
// that is no UTF-8, and an object with a key twice, of which encoding/json takes the last.
func DecodeDocument(b []byte) (any, error) {
	if at := invalidUTF8(b); at >= 0 {
		return nil, fmt.Errorf("byte %d is not UTF-8", at)
	}
	v, err := DecodeJSON(b)
	if err == nil {
		err = uniqueKeys(b)
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// invalidUTF8 is where b stops being UTF-8, or -1.
func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	i := 0
	for {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
}

// uniqueKeys refuses JSON with an object that has a key twice.
func uniqueKeys(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var keys []map[string]bool // of the objects that are open; nil for an array
	atKey := false
	for {
		t, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		in := len(keys) - 1
		switch {
		case t == json.Delim('{'):
			keys, atKey = append(keys, map[string]bool{}), true
			continue
		case t == json.Delim('['):
			keys, atKey = append(keys, nil), false
			continue
		case t == json.Delim('}'), t == json.Delim(']'):
			keys = keys[:in]
		case atKey:
			key, _ := t.(string)
			if keys[in][key] {
				return fmt.Errorf("the key %.100q is there twice in one object", key)
			}
			keys[in][key], atKey = true, false
			continue
		}
		atKey = len(keys) > 0 && keys[len(keys)-1] != nil
	}
}

// decodeStrict reads exactly one JSON object whose keys are all fields of v.
func decodeStrict(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

// Digest is the hex SHA-256 of b.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	var text [2 * sha256.Size]byte
	hex.Encode(text[:], sum[:])
	return string(text[:])
}

// DigestOf is the digest of v's canonical JSON.
func DigestOf(v any) (string, error) {
	b, err := Canonical(v)
	if err != nil {
		return "", err
	}
	return Digest(b), nil
}
