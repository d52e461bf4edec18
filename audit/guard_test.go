package audit_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
)

func TestGuarded(t *testing.T) {
	t.Parallel()
	plain := errors.New("plain")
	if err := audit.Guarded(func() error { return plain })(); !errors.Is(err, plain) {
		t.Errorf("Guarded() = %v", err)
	}
	err := audit.Guarded(func() error { panic("a fault") })()
	if err == nil || !strings.HasPrefix(err.Error(), "internal error, please report it: a fault\n") || !strings.Contains(err.Error(), "guard_test.go") {
		t.Errorf("Guarded() = %v", err)
	}
}
