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
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return meta, cut(err)
		}
		switch key {
		case "kind":
			err = dec.Decode(&name)
		case "metadata":
			err = dec.Decode(&meta)
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
		var object map[string]any
		if err := dec.Decode(&object); err != nil {
			return err
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
