package evaluate

import (
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Clock measures how long decisions take. Both are set, or neither.
type Clock struct {
	Now     func() time.Time
	Decided func(decisions int, took time.Duration) // told of each block of documents that a worker decided
}

// clocked decides a block, and tells how long its decisions took.
func (c Clock) clocked(block func() ([]audit.Verdict, error)) ([]audit.Verdict, error) {
	if c.Now == nil || c.Decided == nil {
		return block()
	}
	started := c.Now()
	made, err := block()
	n := 0
	for _, v := range made {
		n += len(v.Decisions)
	}
	if err == nil && n > 0 {
		c.Decided(n, c.Now().Sub(started))
	}
	return made, err
}
