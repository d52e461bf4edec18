package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
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
