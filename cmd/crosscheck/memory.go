package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// An audit allocates much and keeps little. Garbage is collected when the heap
// is six times what lives, or earlier, lest all memory comes to more than is
// usual; but never before the heap is twice what lives, which is Go's own
// rule: a large estate needs more memory, not all of the CPU.
const (
	garbage = 500 // percent of what lives
	usual   = 768 << 20
)

// tuneMemory sets when garbage is collected, unless the environment says so.
func tuneMemory() {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if os.Getenv(name) != "" {
			return
		}
	}
	debug.SetGCPercent(garbage)
	limit := int64(usual)
	debug.SetMemoryLimit(limit)
	afterCollections(func() {
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(sample)
		if sample[0].Value.Kind() != metrics.KindUint64 {
			return
		}
		next := max(usual, 2*int64(sample[0].Value.Uint64()))
		if next != limit {
			limit = next
			debug.SetMemoryLimit(limit)
		}
	})
}

// afterCollections has do called after each time that garbage was collected.
func afterCollections(do func()) {
	sentinel := new([64]byte) // garbage at once
	runtime.AddCleanup(sentinel, func(do func()) {
		do()
		afterCollections(do)
	}, do)
}
