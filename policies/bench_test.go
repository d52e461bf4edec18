package policies_test

import (
	"testing"

	"github.com/crosscheck-dev/crosscheck/policies"
)

// BenchmarkLoad: every command loads the library first.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := policies.Load(policies.Embedded(), nil); err != nil {
			b.Fatal(err)
		}
	}
}
