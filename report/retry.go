// Package report delivers what is on record: the outbox that retries, and below
// it a folder for each sink.
package report

import (
	"errors"
	"math/rand/v2"
	"time"
)

// permanent marks an error that no retry cures.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error that no retry cures: a refused credential, a
// document that is too large. The delivery waits for a person then.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// IsPermanent tells whether no retry cures an error. Of several joined ones all must be so.
func IsPermanent(err error) bool {
	if many, ok := err.(interface{ Unwrap() []error }); ok { // a wrapper of one is asked below
		for _, e := range many.Unwrap() {
			if !IsPermanent(e) {
				return false
			}
		}
		return len(many.Unwrap()) > 0
	}
	var p permanent
	if errors.As(err, &p) {
		return true
	}
	if one := errors.Unwrap(err); one != nil {
		return IsPermanent(one)
	}
	return false
}

// later marks an error with the time for which a server asks to be left alone.
type later struct {
	error
	after time.Duration
}

func (l later) Unwrap() error { return l.error }

// RetryAfter marks an error with the time for which a server asks to be left alone.
func RetryAfter(err error, after time.Duration) error { return later{err, after} }

// The waits between tries: the first, and the longest. A delivery that fails for
// giveUp is refused: whoever looks after the sink has had a week. One that was
// tried fewer times waited for us, not for the sink.
const (
	firstWait   = 5 * time.Second
	longestWait = 15 * time.Minute
	giveUp      = 7 * 24 * time.Hour
	fewest      = 20
)

// wait is how long a delivery waits after so many tries: twice as long each
// time, and anything from half of that on, so that many do not come back
// together. A server that asks for longer is given it, up to a day.
func wait(tries int, err error) time.Duration {
	d := longestWait
	if tries < 16 {
		d = min(d, firstWait<<max(tries-1, 0))
	}
	d = d/2 + rand.N(d/2+1) //nolint:gosec // nobody gains by guessing when
	var l later
	if errors.As(err, &l) {
		d = max(d, min(l.after, 24*time.Hour))
	}
	return d
}
