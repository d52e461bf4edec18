package plan

import (
	"maps"
	"slices"
	"strings"
)

// Read is one input pointer that a control can read. Whole reads depend on all
// that lies below the pointer; the others only on whether something is there.
// In a pointer `*` stands for any one key or index.
type Read struct {
	Pointer string `json:"pointer"`
	Whole   bool   `json:"whole"`
}

// Reads is what a control, or an estate rule, can read for one kind of resource.
type Reads struct {
	Input  []Read   `json:"input"`  // sorted
	Estate []string `json:"estate"` // source.kind, sorted; "*" if it cannot be told
	Time   bool     `json:"time"`   // data.run
}

// Touched returns the pointers, of those given, that bear on what is read: a
// gap at or above a read, or below a read of the whole.
func (r Reads) Touched(pointers []string) []string {
	var out []string
	for _, p := range pointers {
		if r.touches(Steps(p)) {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

// touches tells whether a hole, given by its steps, bears on what is read.
func (r Reads) touches(hole []string) bool {
	return slices.ContainsFunc(r.Input, func(read Read) bool { return read.touches(hole) })
}

func (r Read) touches(b []string) bool {
	a := Steps(r.Pointer)
	if len(b) > len(a) && !r.Whole {
		return false
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] && a[i] != "*" && b[i] != "*" {
			return false
		}
	}
	return true
}

// Steps are the parts of a JSON pointer, escaped as they are in it.
func Steps(pointer string) []string {
	if pointer == "" {
		return nil
	}
	return strings.Split(strings.TrimPrefix(pointer, "/"), "/")
}

// Merge joins two sets of reads.
func (r Reads) Merge(o Reads) Reads {
	c := newReadSet()
	for _, x := range append(slices.Clone(r.Input), o.Input...) {
		c.input[x.Pointer] = c.input[x.Pointer] || x.Whole
	}
	for _, x := range append(slices.Clone(r.Estate), o.Estate...) {
		c.estate[x] = true
	}
	c.time = r.Time || o.Time
	return c.reads()
}

type readSet struct {
	input  map[string]bool // pointer → whole
	estate map[string]bool
	time   bool
}

func newReadSet() *readSet { return &readSet{input: map[string]bool{}, estate: map[string]bool{}} }

// everything is what may be read where that cannot be told.
var everything = readSet{input: map[string]bool{"": true}, estate: map[string]bool{"*": true}, time: true}

// add takes over what another set has.
func (s *readSet) add(o *readSet) {
	for pointer, whole := range o.input {
		s.input[pointer] = s.input[pointer] || whole
	}
	for kind := range o.estate {
		s.estate[kind] = true
	}
	s.time = s.time || o.time
}

// reads drops what another read implies: below a whole read, and a mere
// presence above a longer read says nothing more.
func (s *readSet) reads() Reads {
	out := Reads{Time: s.time, Estate: slices.Sorted(maps.Keys(s.estate))}
	for _, p := range slices.Sorted(maps.Keys(s.input)) {
		if !s.implied(p) {
			out.Input = append(out.Input, Read{p, s.input[p]})
		}
	}
	return out
}

func (s *readSet) implied(p string) bool {
	for q, whole := range s.input {
		switch {
		case q == p:
		case whole && strings.HasPrefix(p, q+"/"):
			return true
		case !s.input[p] && strings.HasPrefix(q, p+"/"):
			return true
		}
	}
	return false
}
