package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
)

// Bounds of a block, in bytes. Below minBlock nothing is cut; from then on a
// line begins a block where the hash of its id has so many low bits zero that
// blocks come to about 256 kB, whatever the length of lines. The cuts are part of the
// vault's format: where they change, nothing that is stored is found again.
const (
	minBlock  = 96 << 10
	midBlock  = 256 << 10
	longBlock = 512 << 10
	maxBlock  = 1 << 20

	minMask, midMask, longMask = 1<<7 - 1, 1<<4 - 1, 1<<2 - 1
)

// Cutter cuts NDJSON into blocks of whole lines. Where it cuts depends on the
// ids of the lines: the same resources are cut at the same places when some of
// them have changed, come or gone.
type Cutter struct {
	sc      *bufio.Scanner // nil where lines are given
	given   LineSource
	line    []byte // cut off, but not yet given
	newline string // that line lacks
	id, typ string // of line
	err     error  // of given
	done    bool
}

// NewCutter cuts what r gives: documents, or the verdicts of a segment. Other
// lines have no id and no type. Of a LineSource the lines are taken.
func NewCutter(r io.Reader) *Cutter {
	if given, ok := r.(LineSource); ok {
		return &Cutter{given: given, newline: "\n"}
	}
	size := 256 << 10
	if held, ok := r.(*bytes.Reader); ok { // a gate has thousands of small ones
		size = min(size, held.Len()+1)
	}
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, size), MaxLine+1)
	sc.Split(wholeLines)
	return &Cutter{sc: sc}
}

// Next appends the next block to buf, and says of it all but the digest. After
// the last block it fails with io.EOF.
func (c *Cutter) Next(ctx context.Context, buf []byte) (Block, []byte, error) {
	if err := ctx.Err(); err != nil {
		return Block{}, buf, err
	}
	if c.line == nil && !c.scan() {
		return Block{}, buf, c.end()
	}
	b, from, types := Block{FirstID: c.id}, len(buf), counts{}
	for {
		buf = append(append(buf, c.line...), c.newline...)
		b.LastID = c.id
		b.Lines++
		types.add(c.typ)
		if !c.scan() {
			if err := c.end(); !errors.Is(err, io.EOF) {
				return Block{}, buf, err
			}
			break
		}
		if begins(c.id, len(buf)-from, len(c.line)+len(c.newline)) {
			break
		}
	}
	b.Size, b.Types = len(buf)-from, types.sorted()
	return b, buf, nil
}

func (c *Cutter) scan() bool {
	if c.given != nil {
		c.line, c.id, c.typ, c.err = c.given.NextLine()
		return c.err == nil
	}
	if c.line = nil; c.done || !c.sc.Scan() {
		c.done = true
		return false
	}
	c.line = c.sc.Bytes()
	id, typ := names(bytes.TrimSuffix(c.line, []byte("\n")))
	c.id = id
	if c.typ != typ { // mostly that of the line before, which needs no memory of its own
		c.typ = strings.Clone(typ)
	}
	return true
}

func (c *Cutter) end() error {
	if c.given != nil {
		return c.err
	}
	if err := c.sc.Err(); err != nil {
		return err
	}
	return io.EOF
}

// begins tells whether a line begins a block after one that has grown to size.
func begins(id string, size, next int) bool {
	switch h := hashID(id); {
	case size+next > maxBlock:
		return true
	case size < minBlock:
		return false
	case size < midBlock:
		return h&minMask == 0
	case size < longBlock:
		return h&midMask == 0
	default:
		return h&longMask == 0
	}
}

// hashID is FNV-1a, its high bits folded into the low ones.
func hashID(id string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return h ^ h>>32
}

// wholeLines is a bufio.SplitFunc that leaves the newline where it is: blocks
// are, one after another, the bytes that were read.
func wholeLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// names finds the id and type of a document, or of the resource of a stored verdict.
func names(line []byte) (id, typ string) {
	if at, ok := fields(line); ok {
		var err, terr error
		if id, err = text(at[idField].of(line)); err == nil {
			origin := at[originField]
			typ, terr = textIn(id, origin.to-origin.from-len(`""`)+1, at[typeField].of(line))
		}
		if err == nil && terr == nil {
			return id, typ
		}
		return "", ""
	}
	at := [3]span{}
	i := 0
	for f, prefix := range []string{`{"resource":`, `,"name":`, `,"type":`} {
		if len(line)-i < len(prefix) || string(line[i:i+len(prefix)]) != prefix {
			return "", ""
		}
		end := skipValue(line, i+len(prefix))
		if end < 0 {
			return "", ""
		}
		at[f] = span{i + len(prefix), end}
		i = end
	}
	id, err := text(at[0].of(line))
	typ, terr := text(at[2].of(line))
	if err != nil || terr != nil {
		return "", ""
	}
	return id, typ
}

// counts are how many lines of each type a block has; mostly there are few types, and lines of one come together.
type counts []TypeCount

func (c *counts) add(typ string) {
	for i := len(*c) - 1; i >= 0; i-- {
		if (*c)[i].Type == typ {
			(*c)[i].Listed++
			return
		}
	}
	*c = append(*c, TypeCount{Type: typ, Listed: 1})
}

func (c counts) sorted() []TypeCount {
	slices.SortFunc(c, func(x, y TypeCount) int { return strings.Compare(x.Type, y.Type) })
	return c
}
