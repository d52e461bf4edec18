package lookup_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/crosscheck-dev/crosscheck/evaluate/lookup"
)

const small = 64 << 10 // bytes of memory, so that there is much to write

type name struct{ source, kind, key string }

// model is what an index must answer like.
type model map[name][]lookup.Hit

func modelOf(entries []lookup.Entry) model {
	m := model{}
	for _, e := range entries {
		n := name{e.Source, e.Kind, e.Key}
		m[n] = append(m[n], lookup.Hit{ID: e.ID, Origin: e.Origin, Value: e.Value})
	}
	for _, hits := range m {
		slices.SortFunc(hits, func(a, b lookup.Hit) int {
			return cmp.Or(cmp.Compare(a.ID, b.ID), bytes.Compare(a.Value, b.Value), cmp.Compare(a.Origin, b.Origin))
		})
	}
	return m
}

// randomEntries are of every shape that adapters may come up with.
func randomEntries(r *rand.Rand, n int) []lookup.Entry {
	kinds := []string{"ip", "device", "ipp", "i", "", "zone.a"}
	odd := []string{"", " ", "10.0.4.7", "ünï©ødé/日本", "\x00", "a\x00b", "a|b", strings.Repeat("long", 300), "\xff\xfe"}
	out := make([]lookup.Entry, n)
	for i := range out {
		origin := fmt.Sprintf("aws/%012d/eu-west-%d", r.IntN(5), r.IntN(3))
		e := lookup.Entry{
			Source: []string{"aws", "netbox", "awsi"}[r.IntN(3)], Kind: kinds[r.IntN(len(kinds))],
			ID: fmt.Sprintf("%s/T/%d", origin, r.IntN(n)), Origin: origin, Value: value(r),
		}
		switch r.IntN(4) {
		case 0:
			e.Key = odd[r.IntN(len(odd))]
		case 1:
			e.Source, e.Kind, e.Key = "netbox", "ip", "everybody's"
		default:
			e.Key = fmt.Sprintf("10.%d.%d.%d", r.IntN(2), r.IntN(40), r.IntN(40))
		}
		if r.IntN(20) == 0 {
			e.Origin = "recorded/elsewhere" // not what the id begins with
		}
		out[i] = e
	}
	return out
}

func value(r *rand.Rand) []byte {
	size := r.IntN(100)
	switch r.IntN(500) {
	case 0:
		size = r.IntN(1 << 20)
	case 1, 2:
		size = r.IntN(20 << 10)
	}
	b, err := json.Marshal(map[string]string{"v": strings.Repeat(string(rune('a'+r.IntN(26))), size)})
	if err != nil {
		panic(err)
	}
	return b
}

// build adds from several goroutines, in blocks whose buffers are reused, and seals.
func build(t testing.TB, cfg lookup.Config, entries []lookup.Entry, workers int) *lookup.Index {
	t.Helper()
	x := lookup.New(cfg)
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	var g errgroup.Group
	for w := range workers {
		g.Go(func() error {
			var buffer []byte
			for rest := entries[w*len(entries)/workers : (w+1)*len(entries)/workers]; len(rest) > 0; {
				block := slices.Clone(rest[:min(1+len(rest)%7, len(rest))])
				rest = rest[len(block):]
				buffer = buffer[:0]
				for _, e := range block {
					buffer = append(buffer, e.Value...)
				}
				from := buffer
				for i := range block {
					n := len(block[i].Value)
					block[i].Value, from = from[:n], from[n:]
				}
				if err := x.Add(block...); err != nil {
					return err
				}
				clear(buffer)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := x.Seal(); err != nil {
		t.Fatal(err)
	}
	return x
}

// same compares an index with the model, reading from several goroutines.
func same(t *testing.T, x *lookup.Index, m model) {
	t.Helper()
	asked := []name{{"aws", "ip", "absent"}, {"aws", "", "ip"}, {"", "", ""}, {"awsip", "", "10.0.4.7"}}
	for n := range m {
		asked = append(asked, n)
		asked = append(asked, name{n.source + n.kind, "", n.key}, name{n.source, n.kind + n.key, ""}, name{n.source, n.kind, n.key + "\x00"})
	}
	var g errgroup.Group
	for w := range 4 {
		g.Go(func() error {
			for i := range asked {
				n := asked[(i+w*len(asked)/4)%len(asked)]
				got, err := x.Find(n.source, n.kind, n.key)
				if err != nil {
					return err
				}
				if !slices.EqualFunc(got, m[n], equal) || (got == nil) != (m[n] == nil) {
					return fmt.Errorf("%q (-got +want):\n%.2000s", n, gocmp.Diff(got, m[n]))
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// equal is what makes cmp.Diff rare: it takes seconds for megabytes.
func equal(a, b lookup.Hit) bool {
	return a.ID == b.ID && a.Origin == b.Origin && bytes.Equal(a.Value, b.Value)
}

func TestFind(t *testing.T) {
	t.Parallel()
	configs := map[string]lookup.Config{
		"memory": {},
		"disk":   {Memory: small},
		// Whatever hash a name has, only what was declared under it may be answered.
		"one hash in memory":   lookup.Config{}.WithHash(func([]byte) uint64 { return 0 }),
		"one hash on disk":     lookup.Config{Memory: small}.WithHash(func([]byte) uint64 { return 1 << 63 }),
		"few hashes in memory": lookup.Config{}.WithHash(func(b []byte) uint64 { return uint64(len(b) % 3) }),
		"few hashes on disk":   lookup.Config{Memory: small}.WithHash(func(b []byte) uint64 { return -uint64(len(b) % 3) }),
	}
	for label, cfg := range configs {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("%s %d", label, seed), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(seed, 1))
				n := []int{0, 1, 400, 3000}[seed]
				if strings.Contains(label, "hash") {
					n /= 10
				}
				entries := randomEntries(r, n)
				m := modelOf(entries)
				cfg := cfg
				cfg.Dir = t.TempDir()
				for range 2 { // in another order
					same(t, build(t, cfg, entries, 1+r.IntN(4)), m)
					r.Shuffle(n, func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
				}
			})
		}
	}
}

// TestThreshold: nothing is written while memory suffices, and one file is left when it does not.
func TestThreshold(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		bytes, files int
	}{"nothing": {0, 0}, "below": {small / 4, 0}, "beyond": {small, 2}, "far beyond": {20 * small, 2}}
	for label, tt := range tests {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			var made []*os.File
			cfg := lookup.Config{Memory: small, Dir: t.TempDir()}.WithFiles(func(dir string) (*os.File, error) {
				f, err := lookup.Temporary(dir)
				made = append(made, f)
				return f, err
			})
			var entries []lookup.Entry
			for i := range tt.bytes / 1000 {
				id := fmt.Sprintf("netbox/hq/dcim.device/%d", i)
				entries = append(entries, lookup.Entry{Source: "netbox", Kind: "device", Key: fmt.Sprint(i), ID: id, Origin: "netbox/hq", Value: make([]byte, 900)})
			}
			x := build(t, cfg, entries, 1)
			same(t, x, modelOf(entries))
			if len(made) != tt.files {
				t.Errorf("%d files were made, want %d", len(made), tt.files)
			}
			if left, err := os.ReadDir(cfg.Dir); err != nil || len(left) > 0 {
				t.Errorf("files that can be seen: %v, %v", left, err)
			}
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			for _, f := range made {
				if _, err := f.Stat(); err == nil {
					t.Error("a file is still open")
				}
			}
		})
	}
}

// TestStages: what is asked at the wrong moment is refused, never answered by a miss.
func TestStages(t *testing.T) {
	t.Parallel()
	for label, n := range map[string]int{"memory": 3, "disk": 3000} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			x := lookup.New(lookup.Config{Dir: t.TempDir(), Memory: small})
			entries := randomEntries(rand.New(rand.NewPCG(1, 2)), n)
			refused := func(what string, err error) {
				t.Helper()
				if err == nil {
					t.Error(what + " was not refused")
				}
			}
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(x.Add(entries...))
			_, err := x.Find("aws", "ip", "k")
			refused("Find before Seal", err)
			must(x.Seal())
			refused("Add after Seal", x.Add(entries...))
			refused("Seal after Seal", x.Seal())
			must(x.Close())
			must(x.Close())
			_, err = x.Find("aws", "ip", "k")
			refused("Find after Close", err)
			refused("Add after Close", x.Add(entries[0]))
			refused("Seal after Close", x.Seal())
		})
	}
}
