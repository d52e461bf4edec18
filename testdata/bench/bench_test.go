package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/collectors/recorded"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// What was generated when the numbers of docs/benchmarks.md were set. Numbers
// taken on other bytes cannot be compared with them.
const (
	clustersDigest = "c10bfd369652b31db051e9049c10e37935cef97930981531c632756279ae9efd"
	scaledDigest   = "8da7b8b7e534e0e3c2607107454b99148a0db602abc7d6ab2ea087d3f3fc07f7"
)

func digest(t *testing.T, parts []part) string {
	t.Helper()
	sum := sha256.New()
	for _, p := range parts {
		_, err := p.each(func(_ string, line []byte) error {
			sum.Write(line)
			sum.Write([]byte("\n"))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func scale(t *testing.T, copies int) *scaled {
	t.Helper()
	s, err := newScaled(0)
	if err != nil {
		t.Fatal(err)
	}
	s.copies = copies
	return s
}

func TestTheSameSeedGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	for range 2 {
		if got := digest(t, (&clusters{seed: seed, n: 500}).parts()); got != clustersDigest {
			t.Errorf("clusters: %s, want %s", got, clustersDigest)
		}
		if got := digest(t, scale(t, 20).parts()); got != scaledDigest {
			t.Errorf("scaled estate: %s, want %s", got, scaledDigest)
		}
	}
}

// TestDocuments: every line is a resource, canonical, in order, and no two have one id.
func TestDocuments(t *testing.T) {
	t.Parallel()
	one := func(int) int { return 3 }
	later := scale(t, 3)
	later.version = func(number, _ int) int { return number }
	estates := map[string][]part{
		"clusters":       (&clusters{seed: seed, n: 1000}).parts(),
		"later clusters": (&clusters{seed: seed, n: 300, version: one}).parts(),
		"workloads":      (&clusters{seed: seed, n: 300, workloads: true}).parts(),
		"scaled":         scale(t, 20).parts(),
		"later scaled":   later.parts(),
	}
	for name, parts := range estates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, p := range parts {
				last := ""
				_, err := p.each(func(_ string, line []byte) error {
					r, err := audit.ParseResource(line)
					if err != nil {
						return err
					}
					again, err := r.Line()
					if err != nil {
						return err
					}
					if !bytes.Equal(line, again) {
						return fmt.Errorf("not canonical: %s", line)
					}
					if r.Origin != p.origin || r.ID <= last {
						return fmt.Errorf("%s of %s follows %s in %s", r.ID, r.Origin, last, p.origin)
					}
					last = r.ID
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestSizes: from some hundred bytes to some hundred thousand, and about three thousand on average.
func TestSizes(t *testing.T) {
	t.Parallel()
	m, err := hold((&clusters{seed: seed, n: 4000}).parts())
	if err != nil {
		t.Fatal(err)
	}
	small, large := len(m.lines[0]), 0
	for _, line := range m.lines {
		small, large = min(small, len(line)), max(large, len(line))
	}
	mean := int(m.bytes) / len(m.lines)
	if small > 700 || large < 80_000 || large > 250_000 || mean < 2500 || mean > 3500 {
		t.Errorf("from %d to %d bytes, %d on average", small, large, mean)
	}
}

func TestLibraries(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{1: 40, variants: 200} {
		lib, err := policies.Load(newLibrary(n).FS(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(lib.Catalog.Controls); got != want {
			t.Errorf("%d controls, want %d", got, want)
		}
		for _, typ := range workloads {
			var apply int
			for _, c := range lib.Catalog.Controls {
				if slices.Contains(c.AppliesTo, typ) {
					apply++
				}
			}
			if want := 14 * n; apply != want {
				t.Errorf("%d controls apply to %s, want %d", apply, typ, want)
			}
		}
	}
	if _, err := policies.Load(indexed.FS(), nil); err != nil {
		t.Error(err)
	}
}

// TestRecordingsAreRead: what is written is what the collector of recordings reads.
func TestRecordingsAreRead(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "recording")
	parts := scale(t, 2).parts()
	if _, err := record(dir, parts, moment); err != nil {
		t.Fatal(err)
	}
	if err := restamp(dir, moment.AddDate(0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	c, err := recorded.New(recorded.Config{FS: os.DirFS(dir)})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(c.Origins()); got != len(parts) {
		t.Errorf("%d origins, want %d", got, len(parts))
	}
	for _, origin := range c.Origins() {
		w := &countingWriter{}
		col, err := c.Collect(t.Context(), audit.Request{Origin: origin}, w)
		if err != nil {
			t.Error(err)
		}
		listed := int64(0)
		for _, typ := range col.Types {
			listed += typ.Listed
		}
		if w.n == 0 || listed != w.n || !col.Ended.Equal(moment.AddDate(0, 0, 1)) {
			t.Errorf("%s: %d documents, %d listed, at %s", origin, w.n, listed, col.Ended)
		}
	}
}

type countingWriter struct{ n int64 }

func (w *countingWriter) Write(audit.Resource) error { w.n++; return nil }

// TestOneInAHundredChanges: a night changes about one in a hundred, and the next one others.
func TestOneInAHundredChanges(t *testing.T) {
	t.Parallel()
	const n = 20_000
	for night := 1; night <= 3; night++ {
		changed := 0
		for i := range uint64(n) {
			if changes(i, night) != changes(i, night-1) {
				changed++
			}
		}
		if changed < n/125 || changed > n/80 {
			t.Errorf("night %d: %d of %d changed", night, changed, n)
		}
	}
}

// TestRecord: the same nights have the same snapshots, and another night has others.
func TestRecord(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"estate", "clusters", "workloads"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var lists []string
			for _, night := range []string{"7", "7", "8"} {
				dir := t.TempDir()
				if err := recordNight([]string{dir, what, "800", night}); err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(filepath.Join(dir, "snapshots.json"))
				if err != nil {
					t.Fatal(err)
				}
				lists = append(lists, string(b))
			}
			if lists[0] != lists[1] || lists[0] == lists[2] {
				t.Errorf("one night twice: equal is %v; two nights: equal is %v", lists[0] == lists[1], lists[0] == lists[2])
			}
		})
	}
	for _, args := range [][]string{{}, {t.TempDir(), "other", "1", "1"}, {t.TempDir(), "estate", "x", "1"}} {
		if err := recordNight(args); err == nil {
			t.Errorf("record %q succeeded", args)
		}
	}
}

func TestProfile(t *testing.T) { // not parallel: a process has one profile
	recording, dir := t.TempDir(), t.TempDir()
	if err := recordNight([]string{recording, "estate", "800", "0"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := run(t.Context(), []string{"profile", recording, dir}, t.Output()); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"night-1.cpu", "night-1.allocs", "night-2.cpu", "night-2.allocs"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIndexedHostsAreFound(t *testing.T) {
	t.Parallel()
	if err := childIndex(context.Background(), "500"); err != nil {
		t.Error(err)
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := newLibrary(1).write(dir); err != nil {
		t.Fatal(err)
	}
	if err := childReady(t.Context(), dir); err != nil {
		t.Error(err)
	}
}

func TestGoals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		goal  goal
		value float64
		want  bool
	}{
		"at most":       {atMost(0.4), 0.4, true},
		"more":          {atMost(0.4), 0.41, false},
		"at least":      {atLeast(30), 30, true},
		"less":          {atLeast(30), 29.9, false},
		"nothing known": {atLeast(30), 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.goal.met(tt.value); got != tt.want {
				t.Errorf("met(%v) = %v, want %v", tt.value, got, tt.want)
			}
		})
	}
}
