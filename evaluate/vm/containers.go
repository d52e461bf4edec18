package vm

import (
	"math/bits"
	"slices"
	"sort"
)

// indexFrom is the number of members from which a look-up by key uses an index.
const indexFrom = 8

func (m *Machine) length(v *Value) int {
	if v.c != nil {
		return len(v.c.keys)
	}
	return int(v.n)
}

// elements are those of an array, or of a set in no particular order.
func (m *Machine) elements(v *Value) []*Value {
	if v.c == nil {
		v.c = m.fromTape(v)
	}
	return v.c.keys
}

// members are an object's keys and values, in the order of the keys.
func (m *Machine) members(v *Value) (keys, vals []*Value) {
	if v.c == nil {
		v.c = m.fromTape(v)
	}
	m.sort(v.c)
	return v.c.keys, v.c.vals
}

// ordered are a set's elements in Rego's order.
func (m *Machine) ordered(v *Value) []*Value {
	m.sort(v.c)
	return v.c.keys
}

// fromTape gathers what a container on the tape holds.
func (m *Machine) fromTape(v *Value) *composite {
	c, nodes := m.composite(), m.doc.nodes
	m.charge(int(v.n) * 16)
	for i := int(v.at) + 1; i < int(v.end); {
		e := &nodes[i]
		if v.kind == kArray {
			c.keys = append(c.keys, e)
			i = e.next(i)
			continue
		}
		val := &nodes[i+1]
		if !e.dead {
			c.keys, c.vals = append(c.keys, e), append(c.vals, val)
		}
		i = val.next(i + 1)
	}
	c.sorted = v.kind == kArray
	return c
}

// byKey sorts the members of a set or an object.
type byKey struct {
	m *Machine
	c *composite
}

func (b byKey) Len() int           { return len(b.c.keys) }
func (b byKey) Less(i, j int) bool { return b.m.compare(b.c.keys[i], b.c.keys[j]) < 0 }
func (b byKey) Swap(i, j int) {
	b.c.keys[i], b.c.keys[j] = b.c.keys[j], b.c.keys[i]
	if len(b.c.vals) > 0 {
		b.c.vals[i], b.c.vals[j] = b.c.vals[j], b.c.vals[i]
	}
}

func (m *Machine) sort(c *composite) {
	if c.sorted {
		return
	}
	m.step(len(c.keys))
	if !slices.IsSortedFunc(c.keys, m.compare) {
		m.charge(len(c.keys) * 16)
		if len(c.vals) == 0 { // a scan of the set may be under way
			c.keys = slices.Clone(c.keys)
		}
		sort.Sort(byKey{m, c})
		c.index = nil
	}
	c.sorted = true
}

// get is the member under a key, or nil.
func (m *Machine) get(v, key *Value) *Value {
	switch v.kind {
	case kObject:
		switch {
		case key.kind == kString && (v.c == nil || v.c.sorted):
			return m.getString(v, key.s)
		case v.c == nil:
			return nil
		}
		if m.otherwise(v, key.kind, key.s); m.err != nil {
			return nil
		}
		if i := m.find(v.c, key); i >= 0 {
			return v.c.vals[i]
		}
	case kArray:
		if m.otherwise(v, key.kind, key.s); m.err != nil {
			return nil
		}
		if key.kind == kNumber {
			if i, ok := integer(key); ok && i >= 0 && i < m.length(v) {
				return m.element(v, i)
			}
		}
	case kSet:
		if m.find(v.c, key) >= 0 {
			return key // as OPA: the two may be written differently
		}
	case kEstate:
		return m.ask(v, key)
	}
	return nil
}

// element is that of an array at a valid index. Long arrays on the tape are gathered first.
func (m *Machine) element(v *Value, i int) *Value {
	if v.c == nil && v.n <= 16 {
		at := int(v.at) + 1
		for ; i > 0; i-- {
			at = m.doc.nodes[at].next(at)
		}
		return &m.doc.nodes[at]
	}
	return m.elements(v)[i]
}

// getString is get by the text of a string.
func (m *Machine) getString(v *Value, s string) *Value {
	switch {
	case v.kind == kObject && v.c == nil && v.n <= wide:
		return m.onTape(v, s)
	case v.kind == kObject && v.c != nil && len(v.c.keys) <= indexFrom:
		for i, k := range v.c.keys {
			if k.kind == kString && k.s == s {
				return v.c.vals[i]
			}
		}
	case v.kind == kObject:
		keys, vals := m.members(v) // gathered and sorted once
		m.step(len(s) >> longText * bits.Len(uint(len(keys))))
		if i, ok := slices.BinarySearchFunc(keys, s, againstText); ok {
			return vals[i]
		}
	case v.kind == kEstate && v.n == 2:
		return m.hits(v, s)
	case v.kind == kArray:
		m.otherwise(v, kString, s)
	case v.kind == kSet || v.kind == kEstate:
		return m.get(v, &Value{kind: kString, s: s})
	}
	return nil
}

// againstText compares a key with a text, in Rego's order.
func againstText(k *Value, s string) int {
	if k.kind != kString {
		return order(k.kind, kString)
	}
	return order(k.s, s)
}

// onTape looks a key up by walking over an object's members.
func (m *Machine) onTape(v *Value, s string) *Value {
	nodes := m.doc.nodes[:v.end]
	for i := int(v.at) + 1; i+1 < len(nodes); {
		val := &nodes[i+1]
		if nodes[i].s == s && !nodes[i].dead {
			return val
		}
		i = val.next(i + 1)
	}
	return nil
}

// find is where a key stands among the members, or -1.
func (m *Machine) find(c *composite, key *Value) int {
	if len(c.keys) <= indexFrom {
		for i, k := range c.keys {
			if m.equal(k, key) && (!m.wild || m.hash(k) == m.hash(key)) {
				return i
			}
		}
		return -1
	}
	if c.index == nil {
		m.index(c)
	}
	for _, i := range c.index[m.hash(key)] {
		if m.steps < 0 && m.stop() {
			return -1
		}
		if m.equal(c.keys[i], key) {
			return int(i)
		}
	}
	return -1
}

func (m *Machine) index(c *composite) {
	m.charge(len(c.keys) * 64)
	c.index = make(map[uint64][]int32, len(c.keys))
	for i, k := range c.keys {
		h := m.hash(k)
		c.index[h] = append(c.index[h], int32(i))
	}
}

// add puts a member that is known not to be there yet. val is nil for arrays and sets.
func (m *Machine) add(c *composite, key, val *Value) {
	m.charge(24)
	c.keys = append(c.keys, key)
	if val != nil {
		c.vals = append(c.vals, val)
	}
	c.sorted = false
	if c.index != nil {
		h := m.hash(key)
		c.index[h] = append(c.index[h], int32(len(c.keys)-1))
	}
}

// insert sets a member of an object.
func (m *Machine) insert(obj, key, val *Value) {
	if i := m.find(obj.c, key); i >= 0 {
		obj.c.vals[i] = val
		return
	}
	m.add(obj.c, key, val)
}

// addToSet keeps the first of equal elements.
func (m *Machine) addToSet(set, v *Value) {
	if m.find(set.c, v) < 0 {
		m.add(set.c, v, nil)
	}
}

// upsert is a copy of v in which the value at a path is another. What is not
// there, or is no object, is made.
func (m *Machine) upsert(v *Value, path []*Value, val *Value) *Value {
	if len(path) == 0 {
		return val
	}
	out := m.made(kObject)
	if v != nil && v.kind == kObject {
		keys, vals := m.members(v)
		m.charge(len(keys) * 16)
		out.c.keys, out.c.vals, out.c.sorted = append(out.c.keys, keys...), append(out.c.vals, vals...), true
	}
	var old *Value
	if i := m.find(out.c, path[0]); i >= 0 {
		old = out.c.vals[i]
	}
	m.insert(out, path[0], m.upsert(old, path[1:], val))
	return out
}

// merge lays a base document over a virtual one: objects merge, and otherwise the base wins.
func (m *Machine) merge(base, virtual *Value) *Value {
	switch {
	case base == nil:
		return virtual
	case virtual == nil || base.kind != kObject || virtual.kind != kObject:
		return base
	}
	out := m.made(kObject)
	keys, vals := m.members(base)
	for i := range keys {
		m.add(out.c, keys[i], vals[i])
	}
	keys, vals = m.members(virtual)
	for i := range keys {
		if j := m.find(out.c, keys[i]); j >= 0 {
			out.c.vals[j] = m.merge(out.c.vals[j], vals[i])
		} else {
			m.add(out.c, keys[i], vals[i])
		}
	}
	return out
}
