package ledger_test

import (
	"path/filepath"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
)

// TestAsked: the message that asked for a repair is found, whatever its key is.
func TestAsked(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	ask := func(sink, id string, state audit.RepairState, key, note string) {
		t.Helper()
		a := audit.Announcement{Kind: audit.OfRepair, Key: key, At: audittest.Moment, Repair: &audit.Repair{ID: id, State: state}}
		if err := l.Announce(t.Context(), a, []string{sink}); err != nil {
			t.Fatal(err)
		}
		for _, d := range due(t, l, sink, audittest.Moment) {
			if d.Subject == key {
				if err := d.Keep(t.Context(), note); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	ask("slack", "r1", audit.RepairRequested, "a", "of r1")
	ask("slack", "r1", audit.RepairVerified, "b", "done")
	ask("slack", "r2", audit.RepairRequested, "c", "of r2")
	ask("other", "r3", audit.RepairRequested, "d", "elsewhere")
	ask("slack", "r4", audit.RepairSuggested, "e", "only suggested")
	for id, want := range map[string]string{"r1": "of r1", "r2": "of r2", "r3": "", "r4": "", "none": ""} {
		if got, err := l.Asked(t.Context(), "slack", id); got != want || err != nil {
			t.Errorf("Asked(%s) = %q, %v, want %q", id, got, err, want)
		}
	}
}
