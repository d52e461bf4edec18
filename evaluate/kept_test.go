package evaluate_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate"
)

// declaringNights is an estate of which what is looked up fills several blocks.
func declaringNights(t *testing.T) *nightly {
	t.Helper()
	n := newNightly(t, nightlyLibrary(t))
	n.estateOf(600)
	for i := range n.netbox.docs {
		n.netbox.docs[i] = doc("netbox/hq", "ipam.ipaddress", fmt.Sprintf("%05d", i), fmt.Sprintf(`{"address":"10.0.%d.%d","filler":%q,"status":"active"}`, i/250, i%250, strings.Repeat("y", 2000)))
	}
	return n
}

// both audits a night with what is kept, and once more in full, and wants the same.
func (n *nightly) both(t *testing.T, what string) {
	t.Helper()
	_, got := n.run(t, audit.Order{})
	kept := n.kept(t)
	again, err := n.Auditor.Run(t.Context(), audit.Order{Trigger: audit.Schedule, Full: true})
	if err != nil {
		t.Fatal(err)
	}
	n.ledger.runs = n.ledger.runs[:len(n.ledger.runs)-1]
	if diff := cmp.Diff(strings.Split(n.all(t, again), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s: in full (-) and with what was kept (+):\n%.2000s", what, diff)
	}
	if !bytes.Equal(n.kept(t), kept) {
		t.Errorf("%s: in full something else is kept", what)
	}
}

func (n *nightly) kept(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(n.Kept)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestKept: what is kept of what blocks declare changes no decision, whatever
// has changed since or has rotted.
func TestKept(t *testing.T) {
	t.Parallel()
	n := declaringNights(t)
	n.both(t, "the first night")
	first := n.kept(t)
	n.both(t, "a quiet night")
	if !bytes.Equal(n.kept(t), first) {
		t.Error("a quiet night keeps something else")
	}
	for i := len(first) - 1; i >= 0; i -= len(first) / 9 {
		rotten := bytes.Clone(first)
		rotten[i] ^= 4
		for what, b := range map[string][]byte{"rotten": rotten, "torn": first[:i]} {
			if err := os.WriteFile(n.Kept, b, 0o600); err != nil {
				t.Fatal(err)
			}
			n.run(t, audit.Order{})
			if !bytes.Equal(n.kept(t), first) {
				t.Errorf("%s at %d: something else is kept", what, i)
			}
		}
	}
	n.netbox.docs[300] = doc("netbox/hq", "ipam.ipaddress", "00300", `{"address":"10.9.9.9","status":"retired"}`)
	n.both(t, "an address changed")
	gap("/data/address")(&n.netbox.docs[400])
	n.both(t, "an address is not known")
	n.netbox.docs = n.netbox.docs[100:500]
	n.both(t, "addresses are gone")
	if len(n.kept(t)) >= len(first) {
		t.Error("what is gone is kept")
	}
	if _, err := os.Stat(n.Kept + ".new"); err == nil {
		t.Error("a file is left behind")
	}
}

// TestKeptIsChecked: what was kept and is not what a block declares ends a run,
// but for one in full, which makes it anew.
func TestKeptIsChecked(t *testing.T) {
	t.Parallel()
	n := declaringNights(t)
	n.run(t, audit.Order{})
	good := n.kept(t)
	if err := evaluate.ForgeKept(n.Kept, func(plain []byte) []byte {
		return bytes.ReplaceAll(plain, []byte("10.0.1.7"), []byte("10.7.1.7"))
	}); err != nil {
		t.Fatal(err)
	}
	forged := n.kept(t)
	if err := evaluate.ForgeKept(n.Kept, func(plain []byte) []byte { return bytes.ReplaceAll(plain, []byte("10.0."), []byte("10.1.")) }); err != nil {
		t.Fatal(err)
	}
	_, err := n.Auditor.Run(t.Context(), audit.Order{Trigger: audit.Schedule})
	var wrong *evaluate.KeptError
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), n.Kept) || !strings.Contains(err.Error(), "--full") {
		t.Errorf("Run() = %v, want an error that names the file", err)
	}
	if _, err := n.Auditor.Run(t.Context(), audit.Order{Trigger: audit.Schedule, Full: true}); err != nil {
		t.Errorf("in full: %v", err)
	}
	if !bytes.Equal(n.kept(t), good) || bytes.Equal(good, forged) {
		t.Error("in full what is kept is not made anew")
	}
}

// TestKeptByAnotherLibrary: what was kept by one library is not used by another.
func TestKeptByAnotherLibrary(t *testing.T) {
	t.Parallel()
	n := declaringNights(t)
	run, _ := n.run(t, audit.Order{})
	files := addresses(t)
	files["lib/estate/netbox.rego"] = strings.Replace(files["lib/estate/netbox.rego"], `{"status": input.data.status}`, `{"status": "other"}`, 1)
	files["controls/rec/known.rego"] = strings.ReplaceAll(files["controls/rec/known.rego"], `"aws/T"`, `"aws/U"`)
	e := engine(t, library(t, files))
	said := func(kept string) (out []string) {
		j := audit.Judgement{AsOf: run.AsOf, Snapshots: run.Snapshots, Vault: n.Vault, Kept: kept, Carry: &audit.Carry{From: audit.Run{}, Took: func(audit.Carried) {}}}
		if err := e.Decide(t.Context(), j, func(v audit.Verdict) error {
			for _, d := range v.Decisions {
				out = append(out, fmt.Sprint(v.Resource, d.Control, d.Outcome, d.Violations, d.SliceDigest))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	got, want := said(n.Kept), said("")
	if diff := cmp.Diff(got, want); diff != "" || !strings.Contains(fmt.Sprint(want), "is other") {
		t.Errorf("with what another library kept (-) and without (+):\n%.2000s", diff)
	}
}

func FuzzDeclaration(f *testing.F) {
	f.Add([]byte("\x01\x03aws\x01k\x01x\x02id\x01o\x02{}\x01\x05aws.k\x04what"))
	f.Add([]byte{})
	f.Add([]byte("\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := evaluate.RecodeDeclaration(b)
		if err != nil {
			return
		}
		third, err := evaluate.RecodeDeclaration(again)
		if err != nil || !bytes.Equal(third, again) {
			t.Errorf("%q: %q, %v", again, third, err)
		}
	})
}
