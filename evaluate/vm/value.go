package vm

import "strconv"

// kind of a value. The order is that in which Rego sorts values of different types.
type kind uint8

const (
	kNull kind = iota
	kFalse
	kTrue
	kNumber
	kString
	kArray
	kObject
	kSet
	kEstate // data.estate and its parts, which are asked by key and never held
)

// Value is any value: a node of a document's tape, a constant of the policy, or
// one made while evaluating. It is valid until the machine that made it parses
// its next document. Booleans are kinds of their own, so that most comparisons
// end at the kind.
type Value struct {
	kind kind
	dead bool       // on the tape, an object's key that a later one replaces
	n    int32      // of a container on the tape: elements or members; of kEstate: steps below data.estate
	at   int32      // of a container on the tape: its own index
	end  int32      // of a container on the tape: the index after its last descendant
	s    string     // of a string its text, of a number its literal
	c    *composite // of a container: its members; on the tape nil until they are needed
}

// composite holds the members of a container that is not, or not only, on the tape.
type composite struct {
	keys   []*Value           // elements of arrays and sets, keys of objects
	vals   []*Value           // values of objects
	index  map[uint64][]int32 // hash of a key → where it stands; nil until it pays
	sorted bool

	written bool // written out with a member that is no constant: see writtenOut
	base    bool // of data, which OPA may go down by path: see otherwise
}

var (
	vNull  = &Value{kind: kNull}
	vFalse = &Value{kind: kFalse}
	vTrue  = &Value{kind: kTrue}
	small  = smallInts()
)

// smallInts are the numbers that indexes and counts mostly are.
func smallInts() (out [1024]Value) {
	for i := range out {
		out[i] = Value{kind: kNumber, s: strconv.Itoa(i)}
	}
	return out
}

func boolean(b bool) *Value {
	if b {
		return vTrue
	}
	return vFalse
}

// True tells whether the value is true.
func (v *Value) True() bool { return v != nil && v.kind == kTrue }

// False tells whether the value is false.
func (v *Value) False() bool { return v != nil && v.kind == kFalse }

// Text is the text of a string; ok is false for any other value. It may alias
// the document's line.
func (v *Value) Text() (text string, ok bool) {
	if v == nil || v.kind != kString {
		return "", false
	}
	return v.s, true
}

// IsObject tells whether the value is an object.
func (v *Value) IsObject() bool { return v != nil && v.kind == kObject }

// Elements are those of an array, or of a set in no particular order; ok is
// false for any other value.
func (m *Machine) Elements(v *Value) (list []*Value, ok bool) {
	if v == nil || v.kind != kArray && v.kind != kSet {
		return nil, false
	}
	return m.elements(v), true
}

// Members are an object's keys and values, in the order of the keys; ok is false
// for any other value.
func (m *Machine) Members(v *Value) (keys, vals []*Value, ok bool) {
	if v == nil || v.kind != kObject {
		return nil, nil, false
	}
	keys, vals = m.members(v)
	return keys, vals, true
}

// Field is the member of an object under a key, nil if there is none.
func (m *Machine) Field(v *Value, key string) *Value {
	if v == nil || v.kind != kObject {
		return nil
	}
	return m.getString(v, key)
}

// Len is the number of members of a container.
func (m *Machine) Len(v *Value) int {
	if v == nil {
		return 0
	}
	return m.length(v)
}

func (v *Value) container() bool { return v.kind == kArray || v.kind == kObject }

// next is the index on the tape after this node and all below it.
func (v *Value) next(i int) int {
	if v.container() {
		return int(v.end)
	}
	return i + 1
}
