package audit

import (
	"fmt"
	"runtime/debug"
)

// Guarded has a panic of f be an error: a goroutine that panics would end the
// process, and with it a daemon that has other things to do. The error holds
// where it was.
func Guarded(f func() error) func() error {
	return func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("internal error, please report it: %v\n%s", p, debug.Stack())
			}
		}()
		return f()
	}
}
