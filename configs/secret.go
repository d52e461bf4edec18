package configs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Secret is a value that is read when it is needed and is never printed,
// logged or marshalled.
type Secret struct {
	env    string
	file   string
	inline string
	at     Error // where it is configured, for errors
}

// maxSecret bounds a secret's file.
const maxSecret = 64 << 10

// hidden is all that anybody sees of a secret.
const hidden = "(secret)"

// IsZero tells whether no secret is configured.
func (s Secret) IsZero() bool { return s.env == "" && s.file == "" && s.inline == "" }

// Reveal reads the secret from where it is kept. The error names the place, never the value.
func (s Secret) Reveal() (string, error) {
	var value string
	switch {
	case s.inline != "":
		return s.inline, nil
	case s.env != "":
		if value = os.Getenv(s.env); value == "" {
			return "", s.missing(fmt.Errorf("environment variable %s is not set", s.env))
		}
	case s.file != "":
		var err error
		if value, err = readSecret(s.file); err != nil {
			return "", s.missing(err)
		}
	default:
		return "", errors.New("no secret is configured")
	}
	return value, nil
}

// missing says where the secret is configured that cannot be read.
func (s Secret) missing(err error) error {
	at := s.at
	at.Message, at.cause = err.Error(), err
	return &at
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	value := strings.TrimRight(string(b), "\r\n")
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", path, err)
	case len(b) > maxSecret:
		return "", fmt.Errorf("%s holds more than %d bytes: expected one secret", path, maxSecret)
	case value == "":
		return "", fmt.Errorf("%s is empty: expected one secret", path)
	}
	return value, nil
}

// String implements fmt.Stringer.
func (Secret) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return hidden }

// Format implements fmt.Formatter, which no verb gets around.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(hidden) }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalYAML implements yaml.Marshaler.
func (Secret) MarshalYAML() (any, error) { return hidden, nil }

func (d *decoder) secret(into *Secret) read {
	return func(n *yaml.Node, field string) {
		into.at = Error{File: d.file, Line: max(n.Line, 1), Field: field}
		if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" && n.Value != "" {
			into.inline = n.Value
			d.warnings = append(d.warnings, fmt.Sprintf("%s:%d: %s: the secret is written in the file: use {env: NAME} or {file: PATH}", d.file, n.Line, field))
			return
		}
		if n.Kind != yaml.MappingNode {
			d.fail(n, field, "expected {env: NAME} or {file: PATH}, got %s", kind(n))
			return
		}
		before := len(d.errs)
		d.object(n, field, map[string]read{"env": d.text(&into.env), "file": d.path(&into.file)})
		if (into.env == "") == (into.file == "") && len(d.errs) == before {
			d.fail(n, field, "expected one of env and file")
		}
	}
}
