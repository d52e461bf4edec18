package kubernetes

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v2"
)

// The limits of one document. Kubernetes takes at most 3 MiB an object; what is
// larger are lists, and JSON costs less memory to read than YAML.
const (
	maxYAML = 4 << 20
	maxJSON = 32 << 20
)

// part is a piece of a file between two separators: one document, or a few JSON values.
type part struct {
	text  []byte
	begin int // line of text in the file
	line  int // line of the first that holds anything
	start int // offset of that line
	json  bool
}

// splitter cuts a file at its document separators, so that one document is in memory.
type splitter struct {
	r    *bufio.Reader
	line int    // being read
	held []byte // a separator that was read, and belongs to the next part
	done bool
}

func newSplitter(r io.Reader) *splitter {
	return &splitter{r: bufio.NewReaderSize(r, 64<<10), line: 1}
}

// next returns the next part that holds anything, or io.EOF.
func (s *splitter) next() (part, error) {
	p := part{text: s.held, begin: s.line}
	if s.held != nil {
		p.begin--
	}
	s.held = nil
	empty, begins := true, true // so far: the line, and the reading of it
	for !s.done {
		chunk, err := s.r.ReadSlice('\n')
		switch s.done = errors.Is(err, io.EOF); {
		case err != nil && !s.done && !errors.Is(err, bufio.ErrBufferFull):
			return p, err
		case s.line == 1 && begins:
			chunk = bytes.TrimPrefix(chunk, []byte("\xef\xbb\xbf"))
		}
		if begins && separates(chunk) && p.line > 0 && err == nil {
			s.held = bytes.Clone(chunk)
			s.line++
			return p, p.check()
		}
		if empty {
			empty = p.look(chunk, begins, s.line)
		}
		p.text = append(p.text, chunk...)
		if limit := p.limit(); len(p.text) > limit {
			return p, fmt.Errorf("is over %d MiB: split it into documents of one object each, or give a list as JSON (up to %d MiB)", limit>>20, maxJSON>>20)
		}
		if begins = err == nil; begins {
			empty = true
			s.line++
		}
	}
	if p.line == 0 {
		return p, io.EOF
	}
	return p, p.check()
}

// look notes where content begins. It tells whether the line is blank as yet.
func (p *part) look(chunk []byte, begins bool, line int) bool {
	trimmed := bytes.TrimSpace(chunk)
	switch {
	case len(trimmed) == 0:
		return true
	case p.line > 0 || trimmed[0] == '#' || begins && (chunk[0] == '%' || separates(chunk)):
		return false
	}
	p.line, p.start, p.json = line, len(p.text), trimmed[0] == '{'
	return false
}

// separates tells whether a line ends one document and begins another.
func separates(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	rest = bytes.TrimSpace(rest)
	return ok && (len(rest) == 0 || rest[0] == '#')
}

func (p *part) limit() int {
	if p.json {
		return maxJSON
	}
	return maxYAML
}

func (p *part) check() error {
	if !utf8.Valid(p.text) || bytes.IndexByte(p.text, 0) >= 0 {
		return errors.New("is not UTF-8 text: save it as UTF-8")
	}
	return nil
}

// objects yields each value of a part, or why it cannot be read. An error of yield ends it.
func (p *part) objects(yield func(any, error) error) error {
	if !p.json {
		return p.yaml(yield)
	}
	values, err := jsonValues(p.text[p.start:], p.line)
	if errors.As(err, new(*json.SyntaxError)) && len(p.text) <= maxYAML && !p.surelyJSON() {
		return p.yaml(yield)
	}
	for _, v := range values {
		if err := yield(v, nil); err != nil {
			return err
		}
	}
	if err != nil {
		return yield(nil, err)
	}
	return nil
}

// surelyJSON tells an object of JSON from one of YAML, whose keys have no quotes.
func (p *part) surelyJSON() bool {
	text := bytes.TrimSpace(p.text[p.start:])
	text = bytes.TrimLeft(text[1:], " \t\r\n")
	return len(text) == 0 || text[0] == '"' || text[0] == '}'
}

func (p *part) yaml(yield func(any, error) error) error {
	dec := yaml.NewDecoder(bytes.NewReader(p.text))
	dec.SetStrict(true)
	for {
		var v any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return yield(nil, p.explain(err))
		}
		value, err := (&expansion{}).value(v, 0)
		if err := yield(value, err); err != nil {
			return err
		}
	}
}

var (
	lineNumber = regexp.MustCompile(`\bline (\d+)`)
	// quotedValue matches the values that the parser quotes: any may be a secret.
	quotedValue = regexp.MustCompile("(?s) ?(`.*`|anchor '.*'|invalid map key: .*)")
)

// explain makes a YAML error short, counts its lines from the beginning of the
// file, leaves the values of the file out and says what to do about templates.
func (p *part) explain(err error) error {
	bare := quotedValue.ReplaceAllStringFunc(err.Error(), func(m string) string {
		switch {
		case strings.HasPrefix(m, " anchor"):
			return " anchor (a value that begins with * needs quotes)"
		case strings.HasPrefix(m, " invalid map key"):
			return " invalid map key: keys are plain text"
		}
		return ""
	})
	lines := strings.Split(strings.TrimPrefix(bare, "yaml: "), "\n")
	if len(lines) > 4 {
		lines = append(lines[:4], fmt.Sprintf("and %d more", len(lines)-4))
	}
	text := lineNumber.ReplaceAllStringFunc(strings.Join(lines, " "), func(m string) string {
		n, _ := strconv.Atoi(strings.TrimPrefix(m, "line "))
		return fmt.Sprintf("line %d", n+p.begin-1)
	})
	switch {
	case strings.Contains(text, "already set in map"):
		text += ": a key may be given once"
	case strings.Contains(text, "excessive aliasing"):
		text += ": write the values out"
	case bytes.Contains(p.text, []byte("{{")):
		text += ": a template is not YAML yet; render it first, for instance with `helm template`"
	}
	return errors.New("is not YAML: " + text)
}
