package configs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxBytes and maxDepth bound what a file may make us hold.
const (
	maxBytes = 4 << 20
	maxDepth = 32
)

// Error says what is wrong with one field of a file, and what was expected.
type Error struct {
	File    string
	Line    int
	Field   string // sources.aws[0].regions
	Message string
	cause   error // of a file that cannot be read
}

// Unwrap gives the cause, where there is one.
func (e *Error) Unwrap() error { return e.cause }

func (e *Error) Error() string {
	at := fmt.Sprintf("%s:%d: ", e.File, e.Line)
	if e.Field != "" {
		at += e.Field + ": "
	}
	return at + e.Message
}

// decoder turns the nodes of one file into values and gathers everything that
// is wrong, so that a person mends a file once.
type decoder struct {
	file     string
	dir      string // what relative paths are relative to
	errs     []*Error
	warnings []string
}

func (d *decoder) fail(n *yaml.Node, field, format string, args ...any) {
	d.errs = append(d.errs, &Error{File: d.file, Line: max(n.Line, 1), Field: field, Message: fmt.Sprintf(format, args...)})
}

func (d *decoder) err() error {
	slices.SortStableFunc(d.errs, func(a, b *Error) int { return a.Line - b.Line })
	out := make([]error, len(d.errs))
	for i, e := range d.errs {
		out[i] = e
	}
	return errors.Join(out...)
}

// root parses a file of exactly one document.
func (d *decoder) root(b []byte) *yaml.Node {
	top := &yaml.Node{Line: 1}
	if len(b) > maxBytes {
		d.fail(top, "", "the file has %d bytes, more than %d", len(b), maxBytes)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		d.fail(top, "", "the file is empty")
		return nil
	case err != nil:
		d.syntax(err)
		return nil
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		d.fail(top, "", "more than one YAML document: expected one")
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		d.fail(top, "", "the file is empty")
		return nil
	}
	if !d.tame(doc.Content[0], "", 0) {
		return nil
	}
	return doc.Content[0]
}

// syntax moves the line that the parser names to where all our errors have it.
func (d *decoder) syntax(err error) {
	msg := strings.TrimPrefix(strings.SplitN(err.Error(), "\n", 2)[0], "yaml: ")
	line := 1
	if rest, ok := strings.CutPrefix(msg, "line "); ok {
		number, after, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil && after != "" {
			line, msg = n, after
		}
		if strings.HasPrefix(msg, "did not find expected") {
			line++ // the parser counts lines from 0 here, and from 1 elsewhere
		}
	}
	if strings.HasPrefix(msg, "unknown anchor") {
		msg = "unknown anchor: a value that begins with * needs quotes" // and may be a secret: it is not said
	}
	d.fail(&yaml.Node{Line: line}, "", "no YAML: %s", msg)
}

// tame refuses what makes YAML hold more than it says: aliases, depth, keys
// given twice, tags of other languages.
func (d *decoder) tame(n *yaml.Node, field string, depth int) bool {
	switch {
	case depth > maxDepth:
		d.fail(n, field, "nested more than %d deep", maxDepth)
		return false
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.fail(n, field, "aliases are not supported: write the value out")
		return false
	case n.Kind == yaml.ScalarNode && !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp"}, n.ShortTag()):
		d.fail(n, field, "tag %s is not supported", clip(n.ShortTag()))
		return false
	case n.Kind == yaml.MappingNode:
		return d.tameMapping(n, field, depth)
	}
	ok := true
	for i, c := range n.Content {
		ok = d.tame(c, fmt.Sprintf("%s[%d]", field, i), depth+1) && ok
	}
	return ok
}

func (d *decoder) tameMapping(n *yaml.Node, field string, depth int) bool {
	ok := true
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			d.fail(key, field, "a key must be plain text")
			return false
		}
		at := join(field, key.Value)
		if first, twice := seen[key.Value]; twice {
			d.fail(key, at, "given twice, first in line %d", first)
			ok = false
		}
		seen[key.Value] = key.Line
		ok = d.tame(n.Content[i+1], at, depth+1) && ok
	}
	return ok
}

func join(field, key string) string {
	key = clip(key)
	if field == "" {
		return key
	}
	return field + "." + key
}

func clip(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '�'
	}, s)
}

// read takes the value of one field.
type read func(n *yaml.Node, field string)

// object reads a mapping; a key that no field has is an error.
func (d *decoder) object(n *yaml.Node, field string, fields map[string]read) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, field, "expected a mapping with %s, got %s", names(fields), kind(n))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(field, key.Value)
		switch f, ok := fields[key.Value]; {
		case ok:
			f(value, at)
		default:
			d.fail(key, at, "unknown field%s: expected %s", didYouMean(key.Value, fields), names(fields))
		}
	}
}

// list reads a sequence, each element with each.
func (d *decoder) list(each read) read {
	return func(n *yaml.Node, field string) {
		if n.Kind != yaml.SequenceNode {
			d.fail(n, field, "expected a list, got %s", kind(n))
			return
		}
		for i, c := range n.Content {
			each(c, fmt.Sprintf("%s[%d]", field, i))
		}
	}
}

// text reads a string that is not empty.
func (d *decoder) text(into *string) read {
	return func(n *yaml.Node, field string) {
		switch {
		case n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str":
			d.fail(n, field, "expected text, got %s", kind(n))
		case strings.TrimSpace(n.Value) == "":
			d.fail(n, field, "expected text, got nothing")
		default:
			*into = n.Value
		}
	}
}

// oneOf reads a word out of a list.
func (d *decoder) oneOf(into *string, words ...string) read {
	return func(n *yaml.Node, field string) {
		if n.Kind != yaml.ScalarNode || !slices.Contains(words, n.Value) {
			d.fail(n, field, "expected %s, got %s", strings.Join(words, " or "), kind(n))
			return
		}
		*into = n.Value
	}
}

func (d *decoder) flag(into *bool) read {
	return func(n *yaml.Node, field string) {
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Decode(into) != nil {
			d.fail(n, field, "expected true or false, got %s", kind(n))
		}
	}
}

// value reads anything as JSON, numbers as json.Number.
func (d *decoder) value(n *yaml.Node, field string) any {
	switch {
	case n.Kind == yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = d.value(n.Content[i+1], join(field, n.Content[i].Value))
		}
		return out
	case n.Kind == yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, c := range n.Content {
			out[i] = d.value(c, fmt.Sprintf("%s[%d]", field, i))
		}
		return out
	}
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		d.flag(&b)(n, field)
		return b
	case "!!int", "!!float":
		if !json.Valid([]byte(n.Value)) {
			d.fail(n, field, "expected a decimal number, got %s", clip(n.Value))
		}
		return json.Number(n.Value)
	}
	return n.Value
}

// kind names what a person wrote. Text is not repeated: it may be a secret in the wrong place.
func kind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null":
		return "nothing"
	case n.ShortTag() == "!!str":
		return "other text"
	}
	return fmt.Sprintf("%s (in quotes it would be text)", clip(n.Value))
}

func names(fields map[string]read) string {
	list := make([]string, 0, len(fields))
	for name := range fields {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// didYouMean names the field nearest to a misspelt one, if it is near.
func didYouMean(key string, fields map[string]read) string {
	best, least := "", min(2, max(1, len(key)/3))+1
	for _, name := range strings.Split(names(fields), ", ") {
		if n := distance(key, name); n < least && n < len(name) {
			best, least = name, n
		}
	}
	if best == "" {
		return ""
	}
	return ", did you mean " + best + "?"
}

// distance counts the letters to add, drop or replace to get from a to b.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
