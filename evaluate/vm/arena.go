package vm

import "strconv"

// arena holds the values made for one document, and is used again for the next.
type arena struct {
	values     [][]Value
	block, at  int
	composites []*composite
	used       int
}

const (
	arenaBlock = 256
	// What one document needed beyond this is given back after it.
	keepBlocks     = 4096
	keepComposites = 1 << 16
	keepMembers    = 1 << 8
)

func (a *arena) reset() {
	a.block, a.at, a.used = 0, 0, 0
	if len(a.values) > keepBlocks {
		a.values = a.values[:keepBlocks:keepBlocks]
	}
	if len(a.composites) > keepComposites {
		a.composites = a.composites[:keepComposites:keepComposites]
	}
}

// value is room for one value.
func (m *Machine) value() *Value {
	a := &m.arena
	if a.at == arenaBlock {
		a.block, a.at = a.block+1, 0
	}
	if a.block == len(a.values) {
		a.values = append(a.values, make([]Value, arenaBlock))
	}
	v := &a.values[a.block][a.at]
	a.at++
	m.charge(40)
	return v
}

// composite is an empty one.
func (m *Machine) composite() *composite {
	a := &m.arena
	if a.used == len(a.composites) {
		a.composites = append(a.composites, &composite{})
	}
	c := a.composites[a.used]
	a.used++
	m.charge(88)
	if cap(c.keys) > keepMembers || cap(c.vals) > keepMembers {
		*c = composite{}
	} else { // written one by one: pointers are dear to write while garbage is collected
		c.keys, c.vals, c.sorted, c.written, c.base = c.keys[:0], c.vals[:0], false, false, false
		if c.index != nil {
			c.index = nil
		}
	}
	return c
}

// made is an empty container.
func (m *Machine) made(k kind) *Value {
	v := m.value()
	*v = Value{kind: k, c: m.composite()}
	return v
}

func (m *Machine) text(s string) *Value {
	m.charge(len(s))
	v := m.value()
	*v = Value{kind: kString, s: s}
	return v
}

func (m *Machine) number(literal string) *Value {
	v := m.value()
	*v = Value{kind: kNumber, s: literal}
	return v
}

func (m *Machine) int(i int) *Value {
	if i >= 0 && i < len(small) {
		return &small[i]
	}
	return m.number(strconv.Itoa(i))
}
