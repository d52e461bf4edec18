package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/testdata/estate"
)

// scaled is the recorded estate again and again: in every copy names, ids and
// addresses are others, and the same ones wherever they are named, so that what
// is looked up is found in the copy that looks. Copy 0 is the estate itself.
type scaled struct {
	copies  int
	groups  int // how many sets of origins the copies share, so that a large estate has large origins
	origins []template
	marks   []mark
	pairs   map[string]int                 // first two numbers of each address → their place
	version func(number, document int) int // nil: every document is as it was recorded
}

// template is one recorded origin.
type template struct {
	snapshot  audit.Snapshot
	documents []document
}

// document is a line cut at what differs between copies.
type document struct {
	number int
	typ    string
	id     []segment
	line   []segment
}

// segment is a literal, or the mark of that number where the literal is nil.
type segment struct {
	literal []byte
	mark    int
}

// mark is something that differs between copies, as the estate itself has it.
type mark struct {
	kind markKind
	text string // as it stands within a JSON string
}

type markKind int

const (
	suffixed markKind = iota // a name: gets the copy's number behind it
	hexed                    // an id: prefix, and hex digits
	address                  // an IPv4 address
	network                  // the beginning of an IPv6 address
	account                  // of AWS: one for each group
	named                    // a configured origin's name: one for each group
	counted                  // a number, in a string
	digits                   // a number by itself
	revision                 // what changes when a document does
)

// newScaled copies the recorded estate until there are about n resources.
func newScaled(n int) (*scaled, error) {
	fsys, err := estate.Recorded()
	if err != nil {
		return nil, err
	}
	snapshots, docs, err := readRecorded(fsys)
	if err != nil {
		return nil, fmt.Errorf("recorded estate: %w", err)
	}
	m := &marker{index: map[mark]int{}, names: namesOf(docs), pairs: map[string]int{}}
	s := &scaled{pairs: m.pairs}
	number := 0
	for i, snap := range snapshots {
		t := template{snapshot: snap}
		t.snapshot.Calls = nil // they are for auditors to read, and as long as the rest
		for _, r := range docs[i] {
			d, err := m.document(r)
			if err != nil {
				return nil, fmt.Errorf("resource %s: %w", r.ID, err)
			}
			d.number = number
			number++
			t.documents = append(t.documents, d)
		}
		s.origins = append(s.origins, t)
	}
	s.marks, s.copies, s.groups = m.marks, max(1, n/number), 16
	return s, m.check()
}

func readRecorded(fsys fs.FS) ([]audit.Snapshot, [][]audit.Resource, error) {
	b, err := fs.ReadFile(fsys, "snapshots.json")
	if err != nil {
		return nil, nil, err
	}
	var list recording
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, nil, err
	}
	var snapshots []audit.Snapshot
	var docs [][]audit.Resource
	for _, e := range list.Snapshots {
		f, err := fsys.Open(e.File)
		if err != nil {
			return nil, nil, err
		}
		z, err := zstd.NewReader(f)
		if err != nil {
			return nil, nil, errors.Join(err, f.Close())
		}
		var list []audit.Resource
		err = audit.Lines(context.Background(), z, func(line []byte) error {
			r, err := audit.ParseResource(line)
			list = append(list, r)
			return err
		})
		z.Close()
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, nil, err
		}
		snapshots, docs = append(snapshots, e.Snapshot), append(docs, list)
	}
	return snapshots, docs, nil
}

// namesOf are the names by which documents tell of one another.
func namesOf(docs [][]audit.Resource) map[string]bool {
	out := map[string]bool{}
	for _, list := range docs {
		for _, r := range list {
			switch kind := r.Type[strings.LastIndexByte(r.Type, '/')+1:]; kind {
			case "Namespace", "Node", "Pod", "Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job", "CronJob",
				"AWS::S3::Bucket", "dcim.device", "virtualization.virtualmachine":
				out[r.Name] = true
			}
			if data, ok := r.Data.(map[string]any); ok && r.Source == audit.Terraform {
				if at, ok := data["address"].(string); ok {
					out[at] = true
				}
				if values, ok := data["values"].(map[string]any); ok {
					if bucket, ok := values["bucket"].(string); ok && bucket != "" {
						out[bucket] = true
					}
				}
			}
		}
	}
	delete(out, "")
	return out
}

// parts are the origins of all groups.
func (s *scaled) parts() []part {
	var out []part
	sets := min(s.groups, s.copies)
	for g := range sets {
		for _, t := range s.origins {
			p := part{snapshot: t.snapshot, write: func(yield func(string, []byte) error) error { return s.write(t, g, sets, yield) }}
			p.origin = originOf(t.snapshot.Origin, g)
			p.snapshot.Gaps = slices.Clone(t.snapshot.Gaps)
			for i := range p.snapshot.Gaps {
				p.snapshot.Gaps[i].Origin = p.origin
			}
			out = append(out, p)
		}
	}
	return out
}

func (s *scaled) write(t template, group, sets int, yield func(string, []byte) error) error {
	type placed struct {
		id       string
		copy     int
		document *document
	}
	var order []placed
	var buf []byte
	for c := group; c < s.copies; c += sets {
		for i := range t.documents {
			d := &t.documents[i]
			buf = append(s.render(append(buf[:0], '"'), d.id, c, group, 0), '"')
			var id string
			if err := json.Unmarshal(buf, &id); err != nil {
				return err
			}
			order = append(order, placed{id, c, d})
		}
	}
	slices.SortFunc(order, func(a, b placed) int { return cmp.Compare(a.id, b.id) })
	for _, o := range order {
		version := 0
		if s.version != nil {
			version = s.version(o.copy, o.document.number)
		}
		buf = s.render(buf[:0], o.document.line, o.copy, group, version)
		if err := yield(o.document.typ, buf); err != nil {
			return err
		}
	}
	return nil
}

func (s *scaled) render(buf []byte, segments []segment, number, group, version int) []byte {
	for _, seg := range segments {
		if seg.literal != nil {
			buf = append(buf, seg.literal...)
			continue
		}
		m := s.marks[seg.mark]
		buf = s.renderMark(buf, m, number, group, version)
	}
	return buf
}

func (s *scaled) renderMark(buf []byte, m mark, number, group, version int) []byte {
	switch {
	case m.kind == revision:
		return strconv.AppendInt(append(buf, 'r'), int64(version), 10)
	case m.kind == account && group > 0:
		n, _ := strconv.ParseInt(m.text, 10, 64) // twelve digits
		return fmt.Appendf(buf, "%012d", n+int64(group))
	case m.kind == named && group > 0:
		return fmt.Appendf(buf, "%s-%d", m.text, group)
	case number == 0 || m.kind == account || m.kind == named:
		return append(buf, m.text...)
	case m.kind == hexed:
		return hexedFor(buf, m.text, number)
	case m.kind == address:
		pair, rest := splitAddress(m.text)
		n := number*len(s.pairs) + s.pairs[pair]
		return fmt.Appendf(buf, "%d.%d.%s", firstOctet+n/256, n%256, rest)
	case m.kind == network && m.text == "fe80::":
		return fmt.Appendf(buf, "fe80:%x::", number)
	case m.kind == network:
		return fmt.Appendf(buf, "2001:%x:", 0xdb8+number)
	case m.kind == counted, m.kind == digits:
		n, _ := strconv.ParseInt(m.text, 10, 64) // it was a number when it was marked
		return strconv.AppendInt(buf, n+int64(number)*1_000_000, 10)
	}
	return strconv.AppendInt(append(append(buf, m.text...), '-'), int64(number), 10)
}

// hexedFor keeps what is no hex digit behind the first dash, and the prefix.
func hexedFor(buf []byte, text string, number int) []byte {
	at := strings.IndexByte(text, '-') + 1
	if len(text) == 36 {
		at = 0 // a UUID
	}
	h := uint64(number)
	for _, c := range []byte(strings.ToLower(text)) {
		h = h*1099511628211 ^ uint64(c)
	}
	fresh := fmt.Sprintf("%016x%016x", mix(h, 1), mix(h, 2))
	buf = append(buf, text[:at]...)
	for i := at; i < len(text); i++ {
		if text[i] == '-' {
			buf = append(buf, '-')
			continue
		}
		buf = append(buf, fresh[(i-at)%len(fresh)])
	}
	return buf
}

var accountNumber = regexp.MustCompile(`\b\d{12}\b`)

// originOf names the origin of a group.
func originOf(origin string, group int) string {
	if group == 0 {
		return origin
	}
	if audit.SourceOf(origin) != audit.AWS {
		return fmt.Sprintf("%s-%d", origin, group)
	}
	return accountNumber.ReplaceAllStringFunc(origin, func(text string) string {
		n, _ := strconv.ParseInt(text, 10, 64) // twelve digits
		return fmt.Sprintf("%012d", n+int64(group))
	})
}

func splitAddress(text string) (pair, rest string) {
	at := strings.IndexByte(text, '.')
	at += 1 + strings.IndexByte(text[at+1:], '.')
	return text[:at], text[at+1:]
}

// cut turns a line that holds marks into segments.
func cut(line []byte) ([]segment, error) {
	var out []segment
	for len(line) > 0 {
		at := bytes.Index(line, []byte(markBegins))
		if at < 0 {
			return append(out, segment{literal: line}), nil
		}
		end := bytes.Index(line, []byte(markEnds))
		if end < at {
			return nil, errors.New("a mark that does not end")
		}
		n, err := strconv.Atoi(string(line[at+len(markBegins) : end]))
		if err != nil {
			return nil, err
		}
		if at > 0 {
			out = append(out, segment{literal: line[:at]})
		}
		out = append(out, segment{mark: n})
		line = line[end+len(markEnds):]
	}
	return out, nil
}
