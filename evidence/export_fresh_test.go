package evidence

import (
	"fmt"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// CheckFresh holds documents against what a run says was read again.
func CheckFresh(run audit.Run, s audit.Snapshot, lines ...[]byte) error {
	if err := checkFresh(run, s); err != nil {
		return err
	}
	f := newFreshness(s)
	for _, line := range lines {
		h, err := audit.ParseHead(line)
		if err != nil {
			return err
		}
		if err := f.document(h, line); err != nil {
			return err
		}
	}
	if id, ok := f.missing(); ok {
		return fmt.Errorf("%s is missing", id)
	}
	return nil
}
