package vm

import (
	"fmt"
	"strconv"
)

// ask takes a step below data.estate. The third, with a key, is a look-up.
func (m *Machine) ask(v, key *Value) *Value {
	if key.kind != kString {
		switch {
		case v.n < 2:
			m.fail(errUnbound)
		case key.kind >= kNumber:
			m.fail(errPath)
		}
		return nil // entries have strings as keys
	}
	switch v.n {
	case 0:
		return m.below(1, key)
	case 1:
		return m.below(2, v.c.keys[0], key)
	}
	return m.hits(v, key.s)
}

// hits looks a key up in data.estate.<source>.<kind>.
func (m *Machine) hits(v *Value, key string) *Value {
	if m.Estate == nil {
		return nil
	}
	hits, err := m.Estate(m, v.c.keys[0].s, v.c.keys[1].s, key)
	if err != nil {
		m.fail(&EstateError{Err: err})
	}
	return hits
}

// markBase marks what belongs to the base document.
func markBase(v *Value) {
	if v.c == nil {
		return
	}
	v.c.base = true
	for _, list := range [][]*Value{v.c.keys, v.c.vals} {
		for _, e := range list {
			markBase(e)
		}
	}
}

// otherwise ends the call where a step into the base document may lead elsewhere for
// OPA: down a path that is all written out it goes by the text of its keys, 443 for
// "443" of an object and "0" for the first of an array, and elsewhere by their type.
// It is asked then.
func (m *Machine) otherwise(v *Value, kind kind, text string) {
	if v.c == nil || !v.c.base {
		return
	}
	_, err := strconv.Atoi(text)
	switch {
	case kind > kString, // OPA fails
		v.kind == kObject && kind == kNumber && m.getString(v, text) != nil,
		v.kind == kArray && (kind == kString && err == nil || kind == kNumber && err != nil):
		m.fail(errPath)
	}
}

// below is what is n steps below data.estate, along keys.
func (m *Machine) below(n int32, keys ...*Value) *Value {
	v := m.made(kEstate)
	v.n, v.c.keys = n, append(v.c.keys, keys...)
	return v
}

// EstateError says that a look-up could not be answered: nothing can be decided
// then, by any engine.
type EstateError struct{ Err error }

func (e *EstateError) Error() string { return fmt.Sprintf("looking up the estate: %v", e.Err) }

// Unwrap gives the cause.
func (e *EstateError) Unwrap() error { return e.Err }

// Hits makes the array that a look-up is answered with: of each hit an object
// {id, origin, value}. values are canonical JSON, and must stay as they are until
// the next document.
func (m *Machine) Hits(ids, origins []string, values [][]byte) (*Value, error) {
	out := m.made(kArray)
	out.c.base = true
	for i := range ids {
		m.step(256 + len(values[i])>>2)
		if m.steps < 0 && m.stop() {
			break
		}
		v, err := m.parseValue(values[i])
		if err != nil {
			return nil, err
		}
		hit := m.made(kObject)
		hit.c.keys = append(hit.c.keys, keyID, keyOrigin, keyValue)
		hit.c.vals = append(hit.c.vals, m.text(ids[i]), m.text(origins[i]), v)
		hit.c.sorted, hit.c.base = true, true
		out.c.keys = append(out.c.keys, hit)
	}
	out.c.sorted = true
	return out, nil
}

var (
	keyID     = &Value{kind: kString, s: "id"}
	keyOrigin = &Value{kind: kString, s: "origin"}
	keyValue  = &Value{kind: kString, s: "value"}
)

// Holds tells whether a look-up could be answered with a value.
func (m *Machine) Holds(value []byte) error {
	_, err := m.parseValue(value)
	return err
}

// parseValue reads JSON that is not the document, off the tape.
func (m *Machine) parseValue(raw []byte) (*Value, error) {
	d := &m.aside
	d.texts = nil // those of values read before are still in use
	v, err := d.parse(raw)
	m.wild = m.wild || d.wild
	if err != nil {
		return nil, err
	}
	return m.detach(d, v), nil
}

// detach copies a value from a tape that will not be kept.
func (m *Machine) detach(d *tape, v *Value) *Value {
	out := m.value()
	*out = Value{kind: v.kind, s: v.s}
	if !v.container() {
		return out
	}
	out.c = m.composite()
	out.c.base = true
	for i := int(v.at) + 1; i < int(v.end); {
		e := &d.nodes[i]
		if v.kind == kArray {
			out.c.keys = append(out.c.keys, m.detach(d, e))
			i = e.next(i)
			continue
		}
		val := &d.nodes[i+1]
		if !e.dead {
			out.c.keys, out.c.vals = append(out.c.keys, m.detach(d, e)), append(out.c.vals, m.detach(d, val))
		}
		i = val.next(i + 1)
	}
	return out
}
