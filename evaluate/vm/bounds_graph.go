package vm

import "slices"

// walked: each value comes with its path.
func walked(m *Machine, a []*Value) {
	e := m.extent(a...)
	if m.room(times(e.depths, 192)) {
		m.afford(e.depths)
	}
}

// reachable follows a graph as OPA does: a node is in the queue once for each edge to
// it from what was reached before it, and all its edges are looked at each time.
func reachable(m *Machine, a []*Value) {
	if a[0].kind != kObject || a[1].kind != kArray && a[1].kind != kSet {
		return
	}
	queue, reached := slices.Clone(m.elements(a[1])), m.made(kSet)
	for i := 0; i < len(queue); i++ {
		edges := m.get(a[0], queue[i])
		if m.step(16); !m.room(16*len(queue)) || m.steps < 0 && m.stop() {
			return
		}
		if edges == nil {
			continue
		}
		if edges.kind == kArray || edges.kind == kSet {
			for _, n := range m.elements(edges) {
				if m.step(8); m.find(reached.c, n) < 0 {
					queue = append(queue, n)
				}
			}
		}
		m.addToSet(reached, queue[i])
	}
}

// reachablePaths counts the paths of a graph: there may be exponentially many.
func reachablePaths(m *Machine, a []*Value) {
	if a[0].kind != kObject || a[1].kind != kArray && a[1].kind != kSet {
		return
	}
	p := &paths{m: m, graph: a[0]}
	for _, root := range m.elements(a[1]) {
		p.from(root)
	}
}

// paths is the one being followed.
type paths struct {
	m     *Machine
	graph *Value
	at    []*Value
	bytes int
}

func (p *paths) from(node *Value) {
	m := p.m
	m.step(8 + len(p.at))
	p.bytes += 64 * (len(p.at) + 1)
	if !m.room(p.bytes) || m.steps < 0 && m.stop() {
		return
	}
	next := m.get(p.graph, node)
	if next == nil || next.kind != kArray && next.kind != kSet || m.among(p.at, node) {
		return
	}
	p.at = append(p.at, node)
	for _, n := range m.elements(next) {
		if m.err != nil {
			return
		}
		p.from(n)
	}
	p.at = p.at[:len(p.at)-1]
}
