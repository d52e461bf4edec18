package audit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// TestLaidOverAtRandom compares merged snapshots with a model, through spills of all sizes.
func TestLaidOverAtRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		c := &changing{origin: home, names: map[string]string{}, denied: map[string]bool{}}
		name := func() string { return "pass " + strings.Repeat("x", rnd.IntN(40)) }
		key := func() string { return fmt.Sprintf("%s/%02d", []string{"T", "L"}[rnd.IntN(2)], rnd.IntN(30)) }
		for range rnd.IntN(30) {
			c.names[key()] = name()
		}
		a, _ := audited(t, time.Hour, c)
		want := maps.Clone(c.names)
		need := audit.Need{Origin: home}
		if rnd.IntN(2) == 0 {
			need.Types = []string{"L"}
		}
		for range rnd.IntN(30) { // what happened since
			if k := key(); rnd.IntN(2) == 0 {
				delete(c.names, k)
			} else {
				c.names[k] = name()
			}
		}
		for range 1 + rnd.IntN(20) {
			need.Resources = append(need.Resources, home+"/"+key())
		}
		for _, k := range slices.Concat(slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(c.names))) {
			if slices.Contains(need.Resources, home+"/"+k) || len(need.Types) > 0 && strings.HasPrefix(k, "L/") {
				delete(want, k)
				if now, ok := c.names[k]; ok {
					want[k] = now
				}
			}
		}
		run := again(t, a, audit.Scope{Resources: need.Resources}, need)
		got := map[string]string{}
		checkDocuments(t, a, run.Snapshots[0])
		err := audit.Documents(t.Context(), a.Vault, run.Snapshots[0].Digest, func(line []byte) error {
			h, err := audit.ParseHead(line)
			got[strings.TrimPrefix(h.ID, home+"/")] = h.Name
			return err
		})
		if diff := cmp.Diff(got, want); diff != "" || err != nil {
			t.Fatalf("seed %d: %v (-got +want):\n%s", seed, err, diff)
		}
		for _, s := range run.Snapshots[0].Types {
			var n int64
			for k := range want {
				if strings.HasPrefix(k, s.Type+"/") {
					n++
				}
			}
			if n != s.Listed {
				t.Errorf("seed %d: %d of %s listed, want %d", seed, s.Listed, s.Type, n)
			}
		}
	}
}

// TestDiskFullWhileLayingOver ends the run: that is no source's failure.
func TestDiskFullWhileLayingOver(t *testing.T) {
	t.Parallel()
	c := estate()
	a, _ := audited(t, time.Hour, c)
	full := errors.New("no space left")
	a.Vault = brokenVault{a.Vault, full}
	_, err := a.Run(t.Context(), audit.Order{Trigger: audit.Reaudit, Overlay: true, Scope: audit.Scope{Resources: []string{home + "/T/a"}}, Needs: []audit.Need{{Origin: home, Resources: []string{home + "/T/a"}}}})
	if !errors.Is(err, full) {
		t.Errorf("Run() = %v", err)
	}
}

type brokenVault struct {
	audit.Vault
	err error
}

func (b brokenVault) PutLines(context.Context, io.Reader, string) (string, error) { return "", b.err }
