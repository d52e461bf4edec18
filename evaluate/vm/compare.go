package vm

import "hash/maphash"

// seed is one for all machines: they share the indexes of constants.
var seed = maphash.MakeSeed()

// longText: one more step is counted for each 256 bytes of texts.
const longText = 8

// hash is the same for equal values, whatever they are made of.
func (m *Machine) hash(v *Value) uint64 {
	if m.steps < 0 && m.stop() {
		return 0
	}
	switch v.kind {
	case kString:
		m.step(len(v.s) >> longText)
		return maphash.String(seed, v.s)
	case kNumber:
		return hashNumber(v.s)
	case kArray:
		h := uint64(5)
		m.step(m.length(v))
		for _, e := range m.elements(v) {
			h = h*31 + m.hash(e)
		}
		return h
	case kSet:
		h := uint64(7)
		m.step(m.length(v))
		for _, e := range v.c.keys {
			h += m.hash(e)
		}
		return h
	case kObject:
		h := uint64(11)
		m.step(m.length(v))
		keys, vals := m.members(v)
		for i := range keys {
			h += m.hash(keys[i]) * (m.hash(vals[i]) | 1)
		}
		return h
	}
	return uint64(v.kind)
}

// equal is Rego's ==. It costs a step for each value it looks at.
func (m *Machine) equal(a, b *Value) bool {
	if a == b {
		return true
	}
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case kString:
		if len(a.s) != len(b.s) {
			return false
		}
		m.step(len(a.s) >> longText)
		return a.s == b.s
	case kNumber:
		return m.compareNumbers(a.s, b.s) == 0
	case kArray, kObject, kSet:
		n := m.length(a)
		if m.step(n); m.steps < 0 && m.stop() {
			return false
		}
		if n != m.length(b) {
			return false
		}
		if m.wild && a.kind != kArray {
			return m.compare(a, b) == 0
		}
		return m.equalMembers(a, b)
	case kEstate:
		m.fail(errUnbound)
		return false
	}
	return true
}

func (m *Machine) equalMembers(a, b *Value) bool {
	switch a.kind {
	case kArray:
		x, y := m.elements(a), m.elements(b)
		for i := range x {
			if !m.equal(x[i], y[i]) {
				return false
			}
		}
	case kSet:
		for _, e := range a.c.keys {
			if m.find(b.c, e) < 0 {
				return false
			}
		}
	default:
		keys, vals := m.members(a)
		for i, k := range keys {
			if other := m.get(b, k); other == nil || !m.equal(vals[i], other) {
				return false
			}
		}
	}
	return true
}

// compare is Rego's order over all values.
func (m *Machine) compare(a, b *Value) int {
	if a == b {
		return 0
	}
	if a.kind != b.kind {
		return order(a.kind, b.kind)
	}
	switch a.kind {
	case kString:
		m.step(min(len(a.s), len(b.s)) >> longText)
		return order(a.s, b.s)
	case kNumber:
		return m.compareNumbers(a.s, b.s)
	case kArray:
		return m.compareLists(m.elements(a), m.elements(b))
	case kSet:
		return m.compareLists(m.ordered(a), m.ordered(b))
	case kObject:
		return m.compareObjects(a, b)
	case kEstate:
		m.fail(errUnbound)
	}
	return 0
}

func (m *Machine) compareLists(a, b []*Value) int {
	if m.step(min(len(a), len(b))); m.steps < 0 && m.stop() {
		return 0
	}
	for i := range min(len(a), len(b)) {
		if c := m.compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return order(len(a), len(b))
}

func (m *Machine) compareObjects(a, b *Value) int {
	ak, av := m.members(a)
	bk, bv := m.members(b)
	if m.step(min(len(ak), len(bk))); m.steps < 0 && m.stop() {
		return 0
	}
	for i := range min(len(ak), len(bk)) {
		if c := m.compare(ak[i], bk[i]); c != 0 {
			return c
		}
		if c := m.compare(av[i], bv[i]); c != 0 {
			return c
		}
	}
	return order(len(ak), len(bk))
}
