package vm

import "unicode/utf8"

func count(m *Machine, a []*Value) (*Value, bool) {
	switch a[0].kind {
	case kArray, kObject, kSet:
		return m.int(m.length(a[0])), true
	case kString:
		m.step(len(a[0].s) >> longText)
		return m.int(utf8.RuneCountInString(a[0].s)), true
	}
	return nil, false
}

// member tells whether a value is in a collection: x in xs.
func member(m *Machine, a []*Value) (*Value, bool) {
	switch a[1].kind {
	case kSet:
		return boolean(m.find(a[1].c, a[0]) >= 0), true
	case kArray:
		return boolean(m.among(m.elements(a[1]), a[0])), true
	case kObject:
		_, vals := m.members(a[1])
		return boolean(m.among(vals, a[0])), true
	}
	return vFalse, a[1].kind != kEstate
}

func (m *Machine) among(list []*Value, v *Value) bool {
	for i, e := range list {
		if m.equal(e, v) {
			m.step(i)
			return true
		}
	}
	m.step(len(list))
	return false
}

// memberWithKey tells whether a value is in a collection under a key: k, x in xs.
func memberWithKey(m *Machine, a []*Value) (*Value, bool) {
	key, v, in := a[0], a[1], a[2]
	switch in.kind {
	case kSet:
		return boolean(m.find(in.c, key) >= 0 && m.equal(key, v)), true
	case kArray, kObject:
		got := m.get(in, key)
		return boolean(got != nil && m.equal(v, got)), true
	}
	return vFalse, in.kind != kEstate
}

func arrayConcat(m *Machine, a []*Value) (*Value, bool) {
	if a[0].kind != kArray || a[1].kind != kArray {
		return nil, false
	}
	x, y := m.elements(a[0]), m.elements(a[1])
	if !m.room(8 * (len(x) + len(y))) {
		return nil, true
	}
	m.charge(8 * (len(x) + len(y)))
	m.step((len(x) + len(y)) >> 2)
	out := m.made(kArray)
	out.c.keys = append(append(out.c.keys, x...), y...)
	return out, true
}

// objectGet takes the member of an object under a key, or at a path.
func objectGet(m *Machine, a []*Value) (*Value, bool) {
	if a[0].kind != kObject {
		return nil, false
	}
	path := a[1:2]
	if a[1].kind == kArray {
		path = m.elements(a[1])
	}
	v := a[0]
	for _, key := range path {
		if v = m.get(v, key); v == nil {
			return a[2], true
		}
	}
	return v, true
}

func objectKeys(m *Machine, a []*Value) (*Value, bool) {
	if a[0].kind != kObject {
		return nil, false
	}
	keys, _ := m.members(a[0])
	return m.setOf(keys, true), true
}

// setOf is a set of values that are known to differ.
func (m *Machine) setOf(list []*Value, sorted bool) *Value {
	m.charge(8 * len(list))
	m.step(len(list) >> 2)
	out := m.made(kSet)
	out.c.keys, out.c.sorted = append(out.c.keys, list...), sorted
	return out
}

func union(m *Machine, a []*Value) (*Value, bool) {
	switch {
	case a[0].kind != kSet || a[1].kind != kSet:
		return nil, false
	case len(a[0].c.keys) == 0:
		return a[1], true
	case len(a[1].c.keys) == 0:
		return a[0], true
	}
	out := m.setOf(a[0].c.keys, false)
	m.step(len(a[1].c.keys))
	for _, e := range a[1].c.keys {
		m.addToSet(out, e)
		if m.err != nil {
			break
		}
	}
	return out, true
}

// intersection takes its elements from the smaller set, as OPA's does: equal
// numbers may be written differently.
func intersection(m *Machine, a []*Value) (*Value, bool) {
	if a[0].kind != kSet || a[1].kind != kSet {
		return nil, false
	}
	from, in := a[0], a[1]
	if len(in.c.keys) < len(from.c.keys) {
		from, in = in, from
	}
	return m.choose(from, in, true), true
}

// minus is the difference of two numbers or of two sets.
func minus(m *Machine, a []*Value) (*Value, bool) {
	if a[0].kind == kSet && a[1].kind == kSet {
		return m.choose(a[0], a[1], false), true
	}
	return arithmetic(func(x, y int64) (int64, bool) { return x - y, true })(m, a)
}

// choose is the set of the elements that are in another set, or are not.
func (m *Machine) choose(from, in *Value, are bool) *Value {
	out := m.made(kSet)
	m.step(len(from.c.keys))
	for _, e := range from.c.keys {
		if (m.find(in.c, e) >= 0) == are {
			m.charge(8)
			out.c.keys = append(out.c.keys, e)
		}
	}
	out.c.sorted = from.c.sorted
	return out
}
