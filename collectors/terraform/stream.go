package terraform

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
)

// maxDepth bounds nesting: Terraform's own files stay far below it, and
// whatever walks a value later can recurse.
const maxDepth = 500

// stream reads one JSON document token by token, so that no more of it than
// one resource instance is held. It refuses what encoding/json lets pass: a key
// that stands twice in one object, text that is no UTF-8, nesting without end, a
// second value.
type stream struct {
	dec   *json.Decoder
	depth int
}

func newStream(r io.Reader) *stream {
	dec := json.NewDecoder(transform.NewReader(r, encoding.UTF8Validator))
	dec.UseNumber()
	return &stream{dec: dec}
}

// syntaxError says what is wrong with a document as JSON, and where.
type syntaxError struct {
	offset int64
	what   string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s (byte %d)", e.what, e.offset) }

func (s *stream) wrong(format string, args ...any) error {
	return &syntaxError{s.dec.InputOffset(), fmt.Sprintf(format, args...)}
}

func (s *stream) token() (json.Token, error) {
	tok, err := s.dec.Token()
	var bad *json.SyntaxError
	switch {
	case err == nil:
		return tok, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, io.ErrUnexpectedEOF
	case errors.Is(err, encoding.ErrInvalidUTF8):
		return nil, s.wrong("not UTF-8: it stops being so after this byte")
	case errors.As(err, &bad):
		return nil, s.wrong("not valid JSON: %s", bad.Error()) // its own offset leaves brackets out
	}
	return nil, err
}

// end makes sure that nothing follows the document.
func (s *stream) end() error {
	_, err := s.dec.Token()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil || errors.As(err, new(*json.SyntaxError)) {
		err = s.wrong("something follows the JSON document")
	}
	return err
}

func kindOfToken(tok json.Token) string {
	switch tok := tok.(type) {
	case json.Delim:
		if tok == '{' {
			return "an object"
		}
		return "an array"
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	}
	return "a string"
}

// object reads an object and calls field with each key; field must read the
// value. null counts as an object without keys.
func (s *stream) object(field func(key string) error) error {
	tok, err := s.token()
	switch {
	case err != nil:
		return err
	case tok == nil:
		return nil
	case tok != json.Delim('{'):
		return s.wrong("want an object, got %s", kindOfToken(tok))
	}
	return s.fields(field)
}

func (s *stream) fields(field func(key string) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for s.dec.More() {
		tok, err := s.token()
		if err != nil {
			return err
		}
		key, ok := tok.(string)
		if !ok {
			return s.wrong("want a key, got %s", kindOfToken(tok))
		}
		if seen[key] {
			return s.wrong("an object has the same key twice")
		}
		seen[key] = true
		if err := field(key); err != nil {
			return err
		}
	}
	return s.leave()
}

// array reads an array and calls item for each element; item must read it.
// null counts as an empty array.
func (s *stream) array(item func() error) error {
	tok, err := s.token()
	switch {
	case err != nil:
		return err
	case tok == nil:
		return nil
	case tok != json.Delim('['):
		return s.wrong("want an array, got %s", kindOfToken(tok))
	}
	return s.items(item)
}

func (s *stream) items(item func() error) error {
	if err := s.enter(); err != nil {
		return err
	}
	for s.dec.More() {
		if err := item(); err != nil {
			return err
		}
	}
	return s.leave()
}

func (s *stream) enter() error {
	if s.depth++; s.depth > maxDepth {
		return s.wrong("nested deeper than %d levels", maxDepth)
	}
	return nil
}

func (s *stream) leave() error {
	s.depth--
	_, err := s.token()
	return err
}

// value reads one value whole, numbers as json.Number.
func (s *stream) value() (any, error) {
	tok, err := s.token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('{'):
		m := map[string]any{}
		return m, s.fields(func(key string) (err error) {
			m[key], err = s.value()
			return err
		})
	case json.Delim('['):
		a := []any{}
		return a, s.items(func() error {
			v, err := s.value()
			a = append(a, v)
			return err
		})
	}
	return tok, nil
}

// skip reads one value and keeps nothing of it.
func (s *stream) skip() error {
	tok, err := s.token()
	if err != nil {
		return err
	}
	switch tok {
	case json.Delim('{'):
		return s.fields(func(string) error { return s.skip() })
	case json.Delim('['):
		return s.items(s.skip)
	}
	return nil
}

// record reads one object whole.
func (s *stream) record() (map[string]any, error) {
	v, err := s.value()
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, s.wrong("want an object, got %T", v)
	}
	return m, nil
}

// scalar reads one value and renders it as text; of an object or array nothing is kept.
func (s *stream) scalar() (string, error) {
	tok, err := s.token()
	if err != nil {
		return "", err
	}
	switch tok := tok.(type) {
	case json.Delim:
		if tok == '{' {
			return "", s.fields(func(string) error { return s.skip() })
		}
		return "", s.items(s.skip)
	case string:
		return tok, nil
	case json.Number:
		return tok.String(), nil
	case bool:
		return fmt.Sprint(tok), nil
	}
	return "", nil
}
