package remediate

import (
	"sync"
	"time"
)

// The waits before what could not be told is asked again.
const (
	firstLook   = 30 * time.Second
	longestLook = time.Hour
)

// Patience has who looks often ask less and less often what became of a repair
// while that cannot be told: each time is a re-audit, and a run on record. It
// may be shared by engines; nil always asks.
type Patience struct {
	mu    sync.Mutex
	tried map[string]tried // by repair
}

type tried struct {
	times int
	next  time.Time
}

// waits tells whether it is too early to ask again.
func (p *Patience) waits(id string, now time.Time) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := p.tried[id].next.Sub(now)
	return wait > 0 && wait <= longestLook // more than that: the clock was put back
}

// note remembers whether it could be told.
func (p *Patience) note(id string, now time.Time, told bool) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if told {
		delete(p.tried, id)
		return
	}
	if p.tried == nil {
		p.tried = map[string]tried{}
	}
	t := p.tried[id]
	t.next = now.Add(min(longestLook, firstLook<<min(t.times, 10)))
	t.times++
	p.tried[id] = t
}
