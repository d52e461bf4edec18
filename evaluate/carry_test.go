package evaluate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// night is a collector of one origin whose documents a test changes.
type night struct {
	origin string
	docs   []audit.Resource
	gaps   []audit.Gap
}

// Origins implements audit.Collector.
func (n *night) Origins() []string { return []string{n.origin} }

// Collect implements audit.Collector.
func (n *night) Collect(_ context.Context, req audit.Request, w audit.SnapshotWriter) (audit.Collection, error) {
	types := map[string]int64{}
	for _, d := range n.docs {
		if err := w.Write(d); err != nil {
			return audit.Collection{}, err
		}
		types[d.Type]++
	}
	col := audit.Collection{Identity: "me", Endpoint: "here", Gaps: n.gaps, Exhaustive: true}
	for t, k := range types {
		col.Types = append(col.Types, audit.TypeCount{Type: t, Listed: k, Completeness: audit.Listed})
	}
	return col, nil
}

// memoryLedger keeps runs in memory.
type memoryLedger struct{ runs []audit.Run }

// Begin implements audit.Ledger.
func (l *memoryLedger) Begin(context.Context, time.Time) (string, error) { return "a", nil }

// Complete implements audit.Ledger.
func (l *memoryLedger) Complete(_ context.Context, _ string, rec audit.Record) (audit.Run, error) {
	l.runs = append(l.runs, rec.Run)
	return rec.Run, nil
}

// LastComplete implements audit.Ledger.
func (l *memoryLedger) LastComplete(context.Context) (audit.Run, bool, error) {
	if len(l.runs) == 0 {
		return audit.Run{}, false, nil
	}
	return l.runs[len(l.runs)-1], true, nil
}

// nightly audits an estate night after night.
type nightly struct {
	audit.Auditor
	aws, netbox *night
	ledger      *memoryLedger
	clock       time.Time
}

func newNightly(t *testing.T, lib *policies.Library) *nightly {
	t.Helper()
	n := &nightly{aws: &night{origin: "aws/1/eu"}, netbox: &night{origin: "netbox/hq"}, ledger: &memoryLedger{}, clock: audittest.Moment}
	e := engine(t, lib)
	n.Auditor = audit.Auditor{
		Collectors: []audit.Collector{n.aws, n.netbox}, Decider: e, Engine: e.Name(), Vault: &audittest.Vault{}, Ledger: n.ledger,
		Now: func() time.Time { return n.clock }, Log: slog.New(slog.DiscardHandler), TempDir: t.TempDir(),
		Kept: filepath.Join(t.TempDir(), "declared"),
	}
	return n
}

// run audits the next night, and tells all that was decided.
func (n *nightly) run(t *testing.T, o audit.Order) (audit.Run, string) {
	t.Helper()
	n.clock = n.clock.Add(24 * time.Hour)
	o.Trigger = audit.Schedule
	run, err := n.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return run, n.all(t, run)
}

func (n *nightly) all(t *testing.T, run audit.Run) string {
	t.Helper()
	var b strings.Builder
	err := audit.Record{Run: run, Catalog: n.Decider.Catalog(), Vault: n.Vault}.Verdicts(t.Context(), func(v audit.Verdict) error {
		line, err := json.Marshal(v)
		b.Write(append(line, '\n'))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	counts, err := json.Marshal(run.Counts)
	if err != nil {
		t.Fatal(err)
	}
	return b.String() + string(counts)
}

// estateOf fills many blocks with machines and one with what is looked up.
func (n *nightly) estateOf(machines int) {
	filler := strings.Repeat("x", 4000)
	for i := range machines {
		ip := fmt.Sprintf("10.0.%d.%d", i/250, i%250)
		d := doc("aws/1/eu", []string{"T", "U", "V"}[i%3], fmt.Sprintf("m%05d", i), fmt.Sprintf(`{"ip":%q,"port":%d,"filler":%q}`, ip, i%5, filler))
		if i%50 == 0 {
			gap("/data/port")(&d)
		}
		n.aws.docs = append(n.aws.docs, d)
		n.netbox.docs = append(n.netbox.docs, doc("netbox/hq", "ipam.ipaddress", fmt.Sprintf("%05d", i), fmt.Sprintf(`{"address":%q,"status":"active"}`, ip)))
	}
}

func nightlyLibrary(t *testing.T) *policies.Library {
	t.Helper()
	return library(t, map[string]string{
		"lib/machine.rego": "package lib.machine\n\naddress := object.get(input.data, \"ip\", \"\")\nport := object.get(input.data, \"port\", 0)\n",
		"lib/estate/netbox.rego": `package lib.estate.netbox

estate contains {"kind": "address", "key": input.data.address, "value": {"status": input.data.status}} if {
	input.source == "netbox"
	input.type == "ipam.ipaddress"
}
`,
		"controls/net/port.rego": control("NET-001", "controls.net.port", `"aws/T", "aws/U", "aws/V"`, `import data.lib.machine

violation contains {"message": "open", "observed": machine.port, "expected": 0, "path": "/data/port"} if machine.port == 4
`),
		"controls/rec/known.rego": control("REC-001", "controls.rec.known", `"aws/U"`, `import data.lib.machine

violation contains {"message": "unknown", "observed": machine.address, "expected": "known", "path": "/data/ip"} if not data.estate.netbox.address[machine.address]
`),
		"controls/age/old.rego": control("AGE-001", "controls.age.old", `"aws/V"`, `violation contains {"message": "late", "observed": data.run.as_of, "expected": "", "path": "/data"} if data.run.as_of > "2026-11-24T00:00:00Z"
`),
	})
}

// TestCarry: what is taken over from night to night is what would have been
// decided, IDs and counts included, whatever has changed; and each outcome says
// in which run it was evaluated.
func TestCarry(t *testing.T) {
	t.Parallel()
	n := newNightly(t, nightlyLibrary(t))
	n.estateOf(600)
	carried := func(run audit.Run) (out int64) {
		for _, e := range run.Evaluated {
			out += e.Resources
		}
		return out
	}
	both := func(what string) int64 {
		t.Helper()
		run, got := n.run(t, audit.Order{})
		again, err := n.Auditor.Run(t.Context(), audit.Order{Trigger: audit.Schedule, Full: true})
		if err != nil {
			t.Fatal(err)
		}
		n.ledger.runs = n.ledger.runs[:len(n.ledger.runs)-1]
		if again.ID != run.ID || carried(again) != 0 || again.Carried != "" {
			t.Errorf("%s: in full it is run %s with %d taken over, not %s", what, again.ID, carried(again), run.ID)
		}
		if diff := cmp.Diff(strings.Split(n.all(t, again), "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("%s: in full (-) and taken over (+):\n%.2000s", what, diff)
		}
		return carried(run)
	}
	if got := both("the first night"); got != 0 {
		t.Errorf("the first night took %d over", got)
	}
	first := n.ledger.runs[0].ID
	quiet := both("a quiet night")
	if quiet == 0 {
		t.Error("a quiet night took nothing over")
	}
	if e := n.ledger.runs[1].Evaluated; len(e) != 1 || e[0].Run != first {
		t.Errorf("evaluated in %v, want all in run %s", e, first)
	}
	if both("another quiet night") == 0 || n.ledger.runs[2].Evaluated[0].Run != first && len(n.ledger.runs[2].Evaluated) == 1 {
		t.Errorf("evaluated in %v, want some still in run %s", n.ledger.runs[2].Evaluated, first)
	}
	n.aws.docs[300] = doc("aws/1/eu", n.aws.docs[300].Type, "m00300", `{"ip":"10.0.1.50","port":4}`)
	if got := both("one machine changed"); got == 0 || got >= quiet {
		t.Errorf("with one machine changed %d were taken over, %d on a quiet night", got, quiet)
	}
	n.netbox.docs = n.netbox.docs[:500]
	both("addresses are gone")
	n.netbox.gaps = []audit.Gap{{Origin: "netbox/hq", Type: "ipam.ipaddress", Code: audit.AccessDenied, Operation: "GET"}}
	both("addresses could not be read")
	n.aws.docs = n.aws.docs[10:]
	both("machines are gone")
}

// TestScopeAmongBlocks: what is in scope is found in whichever block it is, also
// where blocks are cut from a stream, as those of a pack are; and of every block
// that nothing in scope can be in none is judged.
func TestScopeAmongBlocks(t *testing.T) {
	t.Parallel()
	n := newNightly(t, nightlyLibrary(t))
	n.estateOf(600)
	run, _ := n.run(t, audit.Order{})
	blocks, err := audit.Blocks(t.Context(), n.Vault, run.Snapshots[0].Digest)
	if err != nil || len(blocks) < 4 {
		t.Fatalf("%d blocks, %v, want several", len(blocks), err)
	}
	for _, i := range []int{0, 1, 299, 598, 599} {
		want := n.aws.docs[i].ID
		j := audit.Judgement{AsOf: run.AsOf, Scope: audit.Scope{Resources: []string{want}}, Snapshots: run.Snapshots, Vault: n.Vault}
		var got []string
		err := n.Decider.Decide(t.Context(), j, func(v audit.Verdict) error { got = append(got, v.Resource); return nil })
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("judged %v, %v, want %s alone", got, err, want)
		}
	}
}

// tampered changes what the last run stored.
type tampered struct {
	audit.Vault
	digest string
}

// Open implements audit.Vault.
func (v tampered) Open(ctx context.Context, digest string) (io.ReadCloser, error) {
	rc, err := v.Vault.Open(ctx, digest)
	if err != nil || digest != v.digest {
		return rc, err
	}
	b, err := io.ReadAll(rc)
	if err := errors.Join(err, rc.Close()); err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(bytes.ReplaceAll(b, []byte(`"message":"open"`), []byte(`"message":"shut"`)))), nil
}

// TestCarryIsChecked: where the last run holds something else than is decided
// now, the share that is evaluated all the same finds it.
func TestCarryIsChecked(t *testing.T) {
	t.Parallel()
	n := newNightly(t, nightlyLibrary(t))
	n.estateOf(600)
	run, _ := n.run(t, audit.Order{})
	n.Vault = tampered{n.Vault, run.Verdicts}
	n.clock = n.clock.Add(24 * time.Hour)
	_, err := n.Auditor.Run(t.Context(), audit.Order{Trigger: audit.Schedule})
	var wrong *evaluate.CarryError
	if !errors.As(err, &wrong) || wrong.Control != "NET-001" || !strings.Contains(err.Error(), "--full") {
		t.Errorf("Run() = %v, want an error that names the control", err)
	}
}

// lost cannot give one object any more.
type lost struct {
	audit.Vault
	digest string
}

// Open implements audit.Vault.
func (v lost) Open(ctx context.Context, digest string) (io.ReadCloser, error) {
	if digest == v.digest {
		return nil, errors.New("the object is damaged")
	}
	return v.Vault.Open(ctx, digest)
}

// TestCarryWithoutTheLast: what the last run stored and cannot be read any more is not
// taken over, and all of it evaluated.
func TestCarryWithoutTheLast(t *testing.T) {
	t.Parallel()
	for name, object := range map[string]func(audit.Run) string{
		"verdicts": func(r audit.Run) string { return r.Verdicts },
		"snapshot": func(r audit.Run) string { return r.Snapshots[1].Digest },
	} {
		n := newNightly(t, nightlyLibrary(t))
		n.estateOf(300)
		run, _ := n.run(t, audit.Order{})
		n.Vault = lost{n.Vault, object(run)}
		n.netbox.docs = n.netbox.docs[:250]
		again, _ := n.run(t, audit.Order{})
		if again.Status != audit.Complete || len(again.Evaluated) > 0 {
			t.Errorf("%s: %s, %v taken over", name, again.Status, again.Evaluated)
		}
	}
}
