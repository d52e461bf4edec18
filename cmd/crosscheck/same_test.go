package main

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSamePack: two audits of the same estate by the same configuration, binary
// and key, from an empty ledger, leave the same bytes, whenever, wherever and on
// however many processors they are made.
func TestSamePack(t *testing.T) {
	t.Parallel()
	first, second := newHome(t), newHome(t)
	runOne := first.exits(t, []int{exitOK}, []string{"TZ=UTC", "LANG=C"}, samePack()...)
	for name, key := range tree(t, first.path(".config")) {
		second.write(t, filepath.Join(".config", name), string(key))
	}
	runTwo := second.exits(t, []int{exitOK}, []string{"TZ=Asia/Kathmandu", "LANG=de_DE.UTF-8", "GOMAXPROCS=1", "GOGC=25"}, samePack()...)
	if !bytes.Equal(runOne.stdout, runTwo.stdout) {
		t.Errorf("the first audit says %q, the second %q", runOne.stdout, runTwo.stdout)
	}
	one, two := tree(t, first.packs()), tree(t, second.packs())
	compareTrees(t, one, two)
	pdfs := 0
	for name := range one {
		if strings.HasSuffix(name, ".pdf") {
			pdfs++
		}
	}
	if len(one) < 20 || pdfs < 2 {
		t.Errorf("%d files and %d reports were compared: too few to be a pack", len(one), pdfs)
	}
	compareTrees(t, tree(t, first.path("crosscheck-data", "vault")), tree(t, second.path("crosscheck-data", "vault")))
}

// compareTrees names each file that differs, and its first byte that does.
func compareTrees(t *testing.T, one, two map[string][]byte) {
	t.Helper()
	names := slices.Sorted(maps.Keys(one))
	if other := slices.Sorted(maps.Keys(two)); !slices.Equal(names, other) {
		t.Fatalf("the files are\n%q and\n%q", names, other)
	}
	for _, name := range names {
		a, b := one[name], two[name]
		if bytes.Equal(a, b) {
			continue
		}
		at := 0
		for at < min(len(a), len(b)) && a[at] == b[at] {
			at++
		}
		t.Errorf("%s has %d and %d bytes and differs from byte %d on:\n%q\n%q", name, len(a), len(b), at, around(a, at), around(b, at))
	}
}

func around(b []byte, at int) []byte { return b[max(0, min(at-40, len(b))):min(at+40, len(b))] }
