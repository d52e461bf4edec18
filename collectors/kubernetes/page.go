package kubernetes

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// maxPage bounds one answer of an API server, in bytes.
const maxPage = 1 << 30

// listMeta is what a list says of itself.
type listMeta struct {
	Continue        string `json:"continue"`
	ResourceVersion string `json:"resourceVersion"`
	Remaining       int64  `json:"remainingItemCount"`
}

// readList reads one page of a list, object by object: however large the page,
// one object is in memory. Numbers keep their literal.
func readList(r io.Reader, k kind, yield func(map[string]any) error) (listMeta, error) {
	in := &meter{r: io.LimitReader(r, maxPage), left: audit.MaxLine}
	dec := json.NewDecoder(in)
	dec.UseNumber()
	var meta listMeta
	name, items := "", false
	if err := expect(dec, json.Delim('{')); err != nil {
		return meta, err
	}
	seen := map[json.Token]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return meta, cut(err)
		}
		if seen[key] {
			return meta, fmt.Errorf("the server answered a list with %q twice", key)
		}
		seen[key] = true
		switch key {
		case "kind":
			err = dec.Decode(&name)
		case "metadata":
			err = sound(dec, &meta)
		case "items":
			items = true
			err = readItems(dec, in, k, yield)
		default:
			err = dec.Decode(new(json.RawMessage))
		}
		if err != nil {
			return meta, cut(err)
		}
	}
	if err := expect(dec, json.Delim('}')); err != nil {
		return meta, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return meta, errors.New("the server answered with more than a list")
	}
	if !items {
		return meta, fmt.Errorf("the server answered a list with an object of kind %q", name)
	}
	return meta, nil
}

func readItems(dec *json.Decoder, in *meter, k kind, yield func(map[string]any) error) error {
	open, err := dec.Token()
	if err != nil || open == nil {
		return err // "items": null is an empty list
	}
	if open != json.Delim('[') {
		return errors.New("items is not an array")
	}
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		value, err := audit.DecodeDocument(raw)
		if err != nil {
			return fmt.Errorf("an object that is no sound JSON: %w", err)
		}
		object, ok := value.(map[string]any)
		if !ok && value != nil {
			return fmt.Errorf("an object that is a %T", value)
		}
		in.left = audit.MaxLine
		if k.secret() && object["kind"] != "PartialObjectMetadata" {
			return errors.New("the server answered with more than the metadata of secrets")
		}
		if err := yield(object); err != nil {
			return err
		}
	}
	return expect(dec, json.Delim(']'))
}

// sound decodes a value in which no key is there twice.
func sound(dec *json.Decoder, v any) error {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return err
	}
	if _, err := audit.DecodeDocument(raw); err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	switch {
	case err != nil:
		return cut(err)
	case got != want:
		return fmt.Errorf("the server answered with %T, want %q", got, want.String())
	}
	return nil
}

// cut tells an answer that ended early from one that is wrong.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// meter fails when an object takes more bytes than a document may have.
type meter struct {
	r    io.Reader
	left int64
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, fmt.Errorf("one object is over %d bytes", audit.MaxLine)
	}
	n, err := m.r.Read(p)
	m.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &brokenError{err}
	}
	return n, err
}

// brokenError says that an answer broke off.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }

func (e *brokenError) Unwrap() error { return e.err }
