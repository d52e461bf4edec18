package audit_test

import (
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit/audittest"
)

// TestVaultInMemory holds the suite against the vault that tests share, and
// audit.Blocks against one that has no blocks.
func TestVaultInMemory(t *testing.T) {
	t.Parallel()
	audittest.VaultSuite(t, &audittest.Vault{})
}
