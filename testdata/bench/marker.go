package main

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Marks stand in a document while it is rendered. No recorded text has these.
const (
	markBegins = "\ue000"
	markEnds   = "\ue001"
)

// firstOctet is where the addresses of copies begin, up to lastOctet.
const (
	firstOctet = 64
	lastOctet  = 126
)

// marker finds what differs between copies.
type marker struct {
	index map[mark]int
	marks []mark
	names map[string]bool
	pairs map[string]int
}

func (m *marker) mark(kind markKind, text string) string {
	k := mark{kind, quoted(text)}
	n, ok := m.index[k]
	if !ok {
		n = len(m.marks)
		m.index[k] = n
		m.marks = append(m.marks, k)
	}
	if kind == address {
		if pair, _ := splitAddress(text); !has(m.pairs, pair) {
			m.pairs[pair] = len(m.pairs)
		}
	}
	return markBegins + strconv.Itoa(n) + markEnds
}

// quoted is a text as it stands within a string of canonical JSON.
func quoted(text string) string {
	b, err := audit.Canonical(text)
	if err != nil {
		panic(err) // strings always render
	}
	return string(b[1 : len(b)-1])
}

func has[V any](in map[string]V, key string) bool {
	_, ok := in[key]
	return ok
}

// check sees that no copy's address is another's.
func (m *marker) check() error {
	for pair := range m.pairs {
		first, _, _ := strings.Cut(pair, ".")
		if n, err := strconv.Atoi(first); err != nil || n >= firstOctet && n <= lastOctet {
			return fmt.Errorf("the recorded estate has the address %s.…, which is one of a copy's", pair)
		}
	}
	return nil
}

// words are what is looked at in a text: addresses and names come out of one
// expression, so that neither is looked for within the other.
var words = regexp.MustCompile(`[A-Za-z0-9_][A-Za-z0-9_.-]*(/[0-9]+)?`)

var (
	dotted = regexp.MustCompile(`^(\d+\.\d+\.\d+\.\d+)(/\d+)?$`)
	awsID  = regexp.MustCompile(`(?i)\b[a-z]+(?:-[a-z]+)?-[0-9a-f]{17}\b|\b[a-z]+-[0-9a-f]{8}\b|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
	v6     = regexp.MustCompile(`\b(?:2001:db8:|fe80::)`)
)

// text marks what differs between copies in a string.
func (m *marker) text(s string) string {
	if strings.HasPrefix(s, "redacted:") {
		return s
	}
	if m.names[s] {
		return m.mark(suffixed, s)
	}
	s = v6.ReplaceAllStringFunc(s, func(prefix string) string { return m.mark(network, prefix) })
	return words.ReplaceAllStringFunc(s, m.word)
}

func (m *marker) word(w string) string {
	bare, length := w, ""
	if at := strings.IndexByte(w, '/'); at >= 0 {
		bare, length = w[:at], w[at:]
	}
	switch {
	case dotted.MatchString(w):
		return m.host(bare, length)
	case m.names[bare]:
		return m.mark(suffixed, bare) + length
	case accountNumber.MatchString(bare) && len(bare) == 12:
		return m.mark(account, bare) + length
	}
	return awsID.ReplaceAllStringFunc(w, func(id string) string { return m.mark(hexed, id) })
}

// host marks an address. What stands for everywhere, for the host itself or for
// a network larger than a copy's is no address.
func (m *marker) host(ip, length string) string {
	bits := 32
	if length != "" {
		bits, _ = strconv.Atoi(length[1:]) // digits
	}
	first, _, _ := strings.Cut(ip, ".")
	if bits < 16 && strings.HasSuffix(ip, ".0.0") || slices.Contains([]string{"0", "127", "169", "255"}, first) {
		return ip + length
	}
	return m.mark(address, ip) + length
}

// value marks all strings of a JSON value.
func (m *marker) value(v any) any {
	switch v := v.(type) {
	case string:
		return m.text(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = m.value(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) { // marks are numbered as they are met
			out[key] = m.value(v[key])
		}
		return out
	}
	return v
}

// document marks a resource: what the texts hold, its origin, its own name where
// nobody else tells of it, and a tag that tells when it was changed.
func (m *marker) document(r audit.Resource) (document, error) {
	native := strings.TrimPrefix(r.ID, r.Origin+"/"+r.Type+"/")
	out := r
	out.Data = m.value(r.Data)
	out.Tags = map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
		out.Tags[key] = m.text(r.Tags[key])
	}
	out.Tags["revision"] = m.mark(revision, "")
	out.Origin = m.origin(r.Origin)
	out.Name = m.text(r.Name)
	id := m.text(native)
	own, _ := out.Data.(map[string]any)
	switch {
	case r.Source == audit.NetBox:
		id = m.mark(counted, native)
		own["id"] = "number" + m.mark(digits, native)
	case !m.differs(id):
		id += m.mark(suffixed, "")
		if metadata, ok := own["metadata"].(map[string]any); ok && r.Source == audit.Kubernetes {
			metadata["name"] = r.Name + m.mark(suffixed, "")
			out.Name = r.Name + m.mark(suffixed, "")
		}
	}
	out.ID = out.Origin + "/" + r.Type + "/" + id
	line, err := out.Line()
	if err != nil {
		return document{}, err
	}
	d := document{typ: r.Type}
	if d.line, err = cut(m.numbers(line)); err != nil {
		return document{}, err
	}
	d.id, err = cut([]byte(quoted(out.ID)))
	return d, err
}

// differs tells whether a marked text is another in every copy.
func (m *marker) differs(text string) bool {
	segments, err := cut([]byte(text))
	return err == nil && slices.ContainsFunc(segments, func(s segment) bool {
		return s.literal == nil && m.marks[s.mark].kind != account && m.marks[s.mark].kind != named
	})
}

// origin marks an origin's account or name.
func (m *marker) origin(origin string) string {
	if audit.SourceOf(origin) == audit.AWS {
		return accountNumber.ReplaceAllStringFunc(origin, func(n string) string { return m.mark(account, n) })
	}
	source, name, _ := strings.Cut(origin, "/")
	return source + "/" + m.mark(named, name)
}

// numbers takes the quotes from around numbers that are marked.
func (m *marker) numbers(line []byte) []byte {
	for {
		at := bytes.Index(line, []byte(`"number`+markBegins))
		if at < 0 {
			return line
		}
		end := at + bytes.Index(line[at:], []byte(markEnds+`"`)) + len(markEnds)
		line = slices.Concat(line[:at], line[at+len(`"number`):end], line[end+1:])
	}
}
