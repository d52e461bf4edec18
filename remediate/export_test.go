package remediate

import (
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// RepairApproved does what is approved, without settling what others began: as
// if every other process had begun just now.
func (e *Engine) RepairApproved(t *testing.T) error {
	t.Helper()
	list, err := e.cfg.Ledger.Repairs(t.Context(), audit.RepairQuery{States: []audit.RepairState{audit.RepairApproved}})
	for _, r := range list {
		if _, err := e.repair(t.Context(), r); err != nil {
			return err
		}
	}
	return err
}
