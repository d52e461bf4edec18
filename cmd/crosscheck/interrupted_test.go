package main

import (
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

func TestInterruptedAuditIsToldOnce(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(t, "crosscheck.yaml", "version: 1\nentity: E\nsystem: S\nsources: {demo: true}\nsinks: {console: {}}\n")
	l, err := ledger.Open(t.Context(), h.ledger())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Begin(t.Context(), time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 0} {
		out, err := h.command(t.Context(), nil, "audit", "-q", "--control", "NET-002").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if n := strings.Count(string(out), "an audit that began at 2026-11-21T08:00:00Z was interrupted: nothing of it was recorded"); n != want {
			t.Errorf("audit %d says it %d times, want %d:\n%s", i, n, want, out)
		}
	}
}
