package evidence_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// BenchmarkVault stores and reads a snapshot of 40,000 resources; the reference
// decodes its bytes by encoding/json. Only the ratios in one run mean anything.
func BenchmarkVault(b *testing.B) {
	n := newNights(40_000, 1)
	first := n.snapshot()
	v, _ := newVault(b)
	digest := putLines(b, v, first, "")
	n.pass(100)
	second := n.snapshot()
	bench := func(name string, run func(b *testing.B) error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(first)))
			before := processor(b)
			for b.Loop() {
				if err := run(b); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((processor(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
	bench("encoding-json", func(*testing.B) error {
		return audit.EachLine(first, func(line []byte) error {
			var doc any
			return json.Unmarshal(line, &doc)
		})
	})
	fresh := func(b *testing.B, content []byte, like string) error {
		dir := v
		if like == "" {
			dir, _ = newVault(b)
		}
		_, err := dir.PutLines(b.Context(), bytes.NewReader(content), like)
		return err
	}
	bench("first", func(b *testing.B) error { return fresh(b, first, "") })
	bench("unchanged", func(b *testing.B) error { return fresh(b, first, digest) })
	bench("changed", func(b *testing.B) error {
		b.StopTimer()
		remove(b, v, audit.Digest(second))
		b.StartTimer()
		return fresh(b, second, digest)
	})
	late := digest
	for range 30 {
		n.pass(100)
		late = putLines(b, v, n.snapshot(), late)
	}
	for name, digest := range map[string]string{"first": digest, "late": late} {
		bench("open-"+name, func(b *testing.B) error {
			r, err := v.Open(b.Context(), digest)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, r)
			return errors.Join(err, r.Close())
		})
		bench("blocks-"+name, func(b *testing.B) error {
			list, err := audit.Blocks(b.Context(), v, digest)
			if err != nil {
				return err
			}
			var g errgroup.Group
			for w := range 2 {
				g.Go(func() error {
					var buf []byte
					for i := w; i < len(list); i += 2 {
						if buf, err = list[i].Read(b.Context(), buf[:0]); err != nil {
							return err
						}
					}
					return nil
				})
			}
			return g.Wait()
		})
	}
}

// processor is the time that this process has had of all processors: what a busy machine does not blur.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
