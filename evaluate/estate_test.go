package evaluate_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate"
)

// addresses is a library in which machines look up the addresses that another source declares.
func addresses(t testing.TB, extra ...string) map[string]string {
	t.Helper()
	return map[string]string{
		"lib/estate/netbox.rego": `package lib.estate.netbox

estate contains {"kind": "address", "key": input.data.address, "value": {"status": input.data.status}} if {
	input.source == "netbox"
	input.type == "ipam.ipaddress"
}

estate contains {"kind": "device", "key": input.name, "value": {}} if {
	input.source == "netbox"
	input.type == "dcim.device"
}
`,
		"lib/machine.rego": `package lib.machine

address := input.data.ip if input.source == "aws"
`,
		"controls/rec/known.rego": control("REC-001", "controls.rec.known", `"aws/T"`, `import data.lib.machine

violation contains {"message": "unknown", "observed": machine.address, "expected": "", "path": "/data/ip"} if {
	not data.estate.netbox.address[machine.address]
}

violation contains {"message": sprintf("is %s", [hit.value.status]), "observed": hit.id, "expected": "", "path": "/data/ip"} if {
	some hit in data.estate.netbox.address[machine.address]
	hit.value.status != "active"
}
`, extra...),
	}
}

func TestLookups(t *testing.T) {
	t.Parallel()
	e := engine(t, library(t, addresses(t)))
	machines := []audit.Resource{
		doc("aws/1/eu", "T", "active", `{"ip":"10.0.0.1"}`), doc("aws/1/eu", "T", "retired", `{"ip":"10.0.0.2"}`), doc("aws/1/eu", "T", "unknown", `{"ip":"10.0.0.3"}`),
	}
	known := []audit.Resource{
		doc("netbox/hq", "ipam.ipaddress", "1", `{"address":"10.0.0.1","status":"active"}`), doc("netbox/hq", "ipam.ipaddress", "2", `{"address":"10.0.0.2","status":"retired"}`),
	}
	t.Run("hit and miss", func(t *testing.T) {
		t.Parallel()
		want(t, outcomes(t, e, judgement(t, append(machines, known...)...)),
			"active REC-001 pass", "retired REC-001 fail is retired", "unknown REC-001 fail unknown")
	})
	t.Run("population gap", func(t *testing.T) {
		t.Parallel()
		for typ, miss := range map[string]string{
			"ipam.ipaddress": "unknown REC-001 not_evaluated lookup netbox.address", audit.AllTypes: "unknown REC-001 not_evaluated lookup netbox.address",
			"dcim.device": "unknown REC-001 fail unknown", "ipam.prefix": "unknown REC-001 fail unknown",
		} {
			j := judgement(t, append(machines, known...)...)
			j.Snapshots[1].Gaps = []audit.Gap{{Origin: "netbox/hq", Type: typ, Code: audit.Unproven, Operation: "GET"}}
			want(t, outcomes(t, e, j), "active REC-001 pass", "retired REC-001 fail is retired", miss)
		}
	})
	t.Run("origin that has no such type", func(t *testing.T) {
		t.Parallel()
		for answers, miss := range map[string]string{"dcim.device": "unknown REC-001 fail unknown", "ipam.ipaddress": "unknown REC-001 not_evaluated lookup netbox.address"} {
			j := judgement(t, append(machines, known...)...)
			j.Snapshots[1].Answers = []string{answers}
			j.Snapshots[1].Gaps = []audit.Gap{{Origin: "netbox/hq", Type: audit.AllTypes, Code: audit.Unreachable, Operation: "GET"}}
			want(t, outcomes(t, e, j), "active REC-001 pass", "retired REC-001 fail is retired", miss)
		}
	})
	t.Run("gap in a document", func(t *testing.T) {
		t.Parallel()
		for pointer, miss := range map[string]string{
			"/data/address": "unknown REC-001 not_evaluated lookup netbox.address", "/data": "unknown REC-001 not_evaluated lookup netbox.address",
			"/data/comments": "unknown REC-001 fail unknown",
		} {
			hole := doc("netbox/hq", "ipam.ipaddress", "3", `{"status":"active"}`, gap(pointer))
			want(t, outcomes(t, e, judgement(t, append(machines, append(known, hole)...)...)), "active REC-001 pass", "retired REC-001 fail is retired", miss)
		}
	})
	t.Run("source not among the inputs", func(t *testing.T) {
		t.Parallel()
		want(t, outcomes(t, e, judgement(t, machines...)), "active REC-001 excluded needs_estate netbox", "retired REC-001 excluded needs_estate netbox", "unknown REC-001 excluded needs_estate netbox")
	})
	t.Run("needs all", func(t *testing.T) {
		t.Parallel()
		all := engine(t, library(t, addresses(t, "#   needs_all: true")))
		j := judgement(t, append(machines, known...)...)
		j.Snapshots[1].Gaps = []audit.Gap{{Origin: "netbox/hq", Type: "ipam.ipaddress", Code: audit.Unproven, Operation: "GET"}}
		want(t, outcomes(t, all, j), "active REC-001 not_evaluated lookup netbox.address", "retired REC-001 not_evaluated lookup netbox.address", "unknown REC-001 not_evaluated lookup netbox.address")
	})
}

// TestSlices: what was looked up is recorded, with a digest that the decision's ID rests on.
func TestSlices(t *testing.T) {
	t.Parallel()
	e := engine(t, library(t, addresses(t)))
	decide := func(address string, gaps ...audit.Gap) audit.Decision {
		j := judgement(t, doc("aws/1/eu", "T", "m", `{"ip":"10.0.0.1"}`), doc("netbox/hq", "ipam.ipaddress", "1", `{"address":"`+address+`","status":"active"}`))
		j.Snapshots[1].Gaps = gaps
		var out audit.Decision
		if err := e.Decide(t.Context(), j, func(v audit.Verdict) error { out = v.Decisions[0]; return nil }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	hit, miss, other := decide("10.0.0.1"), decide("10.0.0.9"), decide("10.0.0.8")
	if got, want := hit.Slice.Lookups[0].Hits[0].ID, "netbox/hq/ipam.ipaddress/1"; got != want {
		t.Errorf("hit %s, want %s", got, want)
	}
	if hit.SliceDigest == miss.SliceDigest {
		t.Error("a hit and a miss share a slice")
	}
	if miss.SliceDigest != other.SliceDigest {
		t.Error("an entry that was not looked up changed the slice")
	}
	gapped := decide("10.0.0.1", audit.Gap{Origin: "netbox/hq", Type: "ipam.ipaddress", Code: audit.Unproven, Operation: "GET"})
	if gapped.SliceDigest == hit.SliceDigest {
		t.Error("gaps of the kind looked up left no trace in the slice")
	}
	want, err := audit.DigestOf(hit.Slice)
	if err != nil || hit.SliceDigest != want {
		t.Errorf("slice digest %s, want %s, %v", hit.SliceDigest, want, err)
	}
}

// TestHostileEstate: a document that makes an adapter declare what nobody can look up
// hides what it should have declared, and that alone.
func TestHostileEstate(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)
	files := addresses(t)
	files["lib/estate/netbox.rego"] = strings.ReplaceAll(files["lib/estate/netbox.rego"], `input.data.status`, `input.data.status_of_it`)
	for name, hostile := range map[string]string{"must be {kind, key, value}": `{"address":7,"status_of_it":"active"}`, "levels deep": `{"address":"10.0.0.9","status_of_it":` + deep + `}`} {
		for _, opa := range []bool{false, true} {
			e, err := evaluate.New(evaluate.Config{Library: library(t, files), OPA: opa})
			if err != nil {
				t.Fatal(err)
			}
			got := decisions(t, e, []audit.Resource{
				doc("aws/1/eu", "T", "known", `{"ip":"10.0.0.1"}`), doc("aws/1/eu", "T", "unknown", `{"ip":"10.0.0.2"}`),
				doc("netbox/hq", "ipam.ipaddress", "1", `{"address":"10.0.0.1","status_of_it":"active"}`), doc("netbox/hq", "ipam.ipaddress", "2", hostile),
			})
			if d := got["REC-001 aws/1/eu/T/known"]; d.Outcome != audit.Pass {
				t.Errorf("%s: what is known is %s: %v", name, d.Outcome, d.Reasons)
			}
			d := got["REC-001 aws/1/eu/T/unknown"]
			if d.Outcome != audit.NotEvaluated || !strings.Contains(fmt.Sprint(d.Reasons), "netbox/hq/ipam.ipaddress/2") || !strings.Contains(fmt.Sprint(d.Reasons), name) {
				t.Errorf("%s: what is not known is %s: %v, want not_evaluated and the resource that hides it", name, d.Outcome, d.Reasons)
			}
		}
	}
}

func TestUndeclaredKind(t *testing.T) {
	t.Parallel()
	files := addresses(t)
	files["controls/rec/known.rego"] = strings.ReplaceAll(files["controls/rec/known.rego"], "netbox.address", "netbox.adress")
	e := engine(t, library(t, files))
	if err := e.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "netbox.adress") {
		t.Errorf("Check() = %v, want an error that names the kind nothing declares", err)
	}
	j := judgement(t, doc("aws/1/eu", "T", "m", `{"ip":"10.0.0.1"}`), doc("netbox/hq", "dcim.device", "1", `{}`))
	if err := e.Decide(t.Context(), j, func(audit.Verdict) error { return nil }); err == nil || !strings.Contains(err.Error(), "netbox.adress") {
		t.Errorf("Decide() = %v: what looks up a kind that nothing declares must decide nothing", err)
	}
	if err := engine(t, library(t, addresses(t))).Check(t.Context()); err != nil {
		t.Errorf("Check() of the library as it should be: %v", err)
	}
}

// TestOrderOfReading: the order in which snapshots come leaves no trace.
func TestOrderOfReading(t *testing.T) {
	t.Parallel()
	e := engine(t, library(t, addresses(t)))
	m := doc("aws/1/eu", "T", "m", `{"ip":"10.0.0.1"}`)
	a, b := doc("netbox/a", "ipam.ipaddress", "1", `{"address":"10.0.0.1","status":"x"}`), doc("netbox/b", "ipam.ipaddress", "1", `{"address":"10.0.0.1","status":"y"}`)
	ids := func(resources ...audit.Resource) (out []string) {
		if err := e.Decide(t.Context(), judgement(t, resources...), func(v audit.Verdict) error {
			out = append(out, v.Decisions[0].SliceDigest)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if diff := cmp.Diff(ids(m, a, b), ids(b, m, a)); diff != "" {
		t.Errorf("slices depend on the order of snapshots:\n%s", diff)
	}
}

// TestEstateOnDisk: where the estate is kept leaves no trace, and no file.
func TestEstateOnDisk(t *testing.T) {
	t.Parallel()
	lib, dir := library(t, addresses(t)), t.TempDir()
	var machines, known []audit.Resource
	for i := range 2000 {
		address := fmt.Sprintf(`{"ip":"10.0.0.%04d","address":"10.0.0.%04d","status":"%s"}`, i, i/2*2, []string{"active", "retired"}[i%2])
		machines = append(machines, doc("aws/1/eu", "T", fmt.Sprintf("m%04d", i), address))
		known = append(known, doc("netbox/hq", "ipam.ipaddress", fmt.Sprintf("%04d", i), address))
	}
	j := judgement(t, append(machines, known...)...)
	decide := func(cfg evaluate.Config) (out []string, err error) {
		cfg.Library, cfg.Workers = lib, 2
		e, err := evaluate.New(cfg)
		if err != nil {
			return nil, err
		}
		err = e.Decide(t.Context(), j, func(v audit.Verdict) error {
			out = append(out, v.Resource+" "+string(v.Decisions[0].Outcome)+" "+v.Decisions[0].SliceDigest)
			return nil
		})
		return out, err
	}
	memory, err := decide(evaluate.Config{TempDir: dir + "/absent"})
	if err != nil {
		t.Fatal(err)
	}
	disk, err := decide(evaluate.Config{TempDir: dir, EstateMemory: 1})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(disk, memory); diff != "" || len(disk) != 2000 {
		t.Errorf("%d decisions on disk (-disk +memory):\n%.2000s", len(disk), diff)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
	if got, err := decide(evaluate.Config{TempDir: dir + "/absent", EstateMemory: 1}); !errors.Is(err, fs.ErrNotExist) || len(got) > 0 {
		t.Errorf("%d decisions, %v, want none and an error where the estate cannot be written", len(got), err)
	}
}

// TestUnreadableEstate: a look-up that is not answered ends the run. It is not a
// miss, nor an error of the control.
func TestUnreadableEstate(t *testing.T) {
	t.Parallel()
	line, err := doc("aws/1/eu", "T", "m", `{"ip":"10.0.0.1"}`).Line()
	if err != nil {
		t.Fatal(err)
	}
	for _, opa := range []bool{false, true} {
		e, err := evaluate.New(evaluate.Config{Library: library(t, addresses(t)), OPA: opa})
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.DecideUnreadable(t.Context(), line)
		if err == nil || !strings.Contains(err.Error(), "estate index") || len(got) > 0 {
			t.Errorf("opa %t: decided %v, %v, want nothing and an error that names the estate index", opa, got, err)
		}
	}
}

// TestExclusionByLookup: a miss that a gap could hide excludes nothing.
func TestExclusionByLookup(t *testing.T) {
	t.Parallel()
	files := addresses(t, "#   excludes: The inventory does not know it.")
	files["controls/rec/known.rego"] += `
default applies := false

applies if data.estate.netbox.address[machine.address]
`
	files["controls/rec/known.rego"] = strings.ReplaceAll(files["controls/rec/known.rego"], "not data.estate", "data.estate")
	e := engine(t, library(t, files))
	resources := []audit.Resource{
		doc("aws/1/eu", "T", "known", `{"ip":"10.0.0.1"}`), doc("aws/1/eu", "T", "unknown", `{"ip":"10.0.0.3"}`),
		doc("netbox/hq", "ipam.ipaddress", "1", `{"address":"10.0.0.1","status":"active"}`),
	}
	want(t, outcomes(t, e, judgement(t, resources...)), "known REC-001 fail unknown", "unknown REC-001 excluded not_applicable")
	j := judgement(t, resources...)
	j.Snapshots[1].Gaps = []audit.Gap{{Origin: "netbox/hq", Type: "ipam.ipaddress", Code: audit.Unproven, Operation: "GET"}}
	want(t, outcomes(t, e, j), "known REC-001 fail unknown", "unknown REC-001 not_evaluated lookup netbox.address")
}

func TestOddKinds(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{`"x[y]"`, `"a.b"`, `"A"`, `""`, `input.name`} {
		files := addresses(t)
		files["lib/estate/netbox.rego"] = strings.ReplaceAll(files["lib/estate/netbox.rego"], `"kind": "device"`, `"kind": `+kind)
		if err := engine(t, library(t, files)).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "lib/estate/netbox.rego:8") {
			t.Errorf("kind %s: Check() = %v, want an error that names file and line", kind, err)
		}
	}
}

// TestKeysOfAnotherType: OPA's store goes by the text of a key down a path that is
// written out, and its values by their type. Both engines decide as it does.
func TestKeysOfAnotherType(t *testing.T) {
	t.Parallel()
	for _, condition := range []string{
		`not data.parameters["DIS-001"].allowed[input.data.port]`,
		`x := data.parameters["DIS-001"].allowed; not x[input.data.port]`,
		`not data.parameters["DIS-001"].list[input.data.port]`,
		`some k in [input.data.port]; not data.parameters["DIS-001"].list[k]`,
		`data.estate.netbox.address[input.data.ip][0].value.ports[input.data.port]`,
		`some hit in data.estate.netbox.address[input.data.ip]; hit.value.ports[input.data.port]`,
		`data.estate.netbox.address[input.data.ip][input.data.port].value`,
		`data.estate.netbox.address[input.data.ip][_].value.list[input.data.port]`,
		`data.estate.netbox.address[input.data.port]`,
		`data.estate.netbox.address["10.0.0.1"][0].value.ports[input.data.port]`,
		`data.estate.netbox.address[input.data.ip]["0"].value.list[input.data.port]`,
	} {
		files := addresses(t)
		files["lib/estate/netbox.rego"] = strings.ReplaceAll(files["lib/estate/netbox.rego"], `{"status": input.data.status}`, `{"ports": input.data.ports, "list": input.data.list}`)
		files["controls/rec/known.rego"] = control("DIS-001", "controls.rec.known", `"aws/T"`, `violation contains {"message": "x", "observed": 1, "expected": 2, "path": "/data"} if {
	`+condition+`
}
`, `#   parameters:`, `#     allowed: {type: object, default: {"443": "https", "true": "y"}, description: "what"}`, `#     list: {type: array, default: ["a", "b"], description: "what"}`)
		lib := library(t, files)
		for _, port := range []string{`443`, `443.0`, `"443"`, `0`, `"0"`, `1`, `true`, `null`, `[1]`, `-1`, `"+1"`, `"01"`, `1.0`, `1e0`, `-0`} {
			var got [2]string
			for i, opa := range []bool{false, true} {
				e, err := evaluate.New(evaluate.Config{Library: lib, OPA: opa})
				if err != nil {
					t.Fatal(err)
				}
				d := decisions(t, e, []audit.Resource{
					doc("aws/1/eu", "T", "x", `{"ip":"10.0.0.1","port":`+port+`}`),
					doc("netbox/hq", "ipam.ipaddress", "1", `{"address":"10.0.0.1","ports":{"443":"a","0":"b"},"list":["p","q"]}`),
					doc("netbox/hq", "ipam.ipaddress", "2", `{"address":"443","ports":{},"list":[]}`),
				})["DIS-001 aws/1/eu/T/x"]
				got[i] = fmt.Sprint(d.Outcome, d.Reasons)
			}
			if got[0] != got[1] {
				t.Errorf("%s with %s: the machine says %s, OPA %s", condition, port, got[0], got[1])
			}
		}
	}
}

// TestDeclaredOutOfRange: what a resource declares and nobody can read is a gap of what
// it could declare, and ends no run.
func TestDeclaredOutOfRange(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		value string
		d     audit.Resource
		want  audit.Outcome
	}{
		"another gap":    {`{"status": input.data.status}`, doc("netbox/hq", "ipam.ipaddress", "1", `{"address":"10.0.0.1","status":"active"}`, gap("/data/x")), audit.Pass},
		"nothing hidden": {`{"status": input.data.status}`, doc("netbox/hq", "ipam.ipaddress", "1", `{"address":"10.0.0.1","status":"retired"}`), audit.Fail},
		"out of range":   {`{"status": "active", "n": input.data.n * input.data.n}`, doc("netbox/hq", "ipam.ipaddress", "1", `{"address":"10.0.0.1","n":1e20000}`), audit.NotEvaluated},
	} {
		for _, opa := range []bool{false, true} {
			files := addresses(t)
			files["lib/estate/netbox.rego"] = strings.ReplaceAll(files["lib/estate/netbox.rego"], `{"status": input.data.status}`, tt.value)
			files["controls/rec/known.rego"] = strings.ReplaceAll(files["controls/rec/known.rego"], `sprintf("is %s", [hit.value.status])`, `"is retired"`)
			e, err := evaluate.New(evaluate.Config{Library: library(t, files), OPA: opa})
			if err != nil {
				t.Fatal(err)
			}
			got := decisions(t, e, []audit.Resource{doc("aws/1/eu", "T", "m", `{"ip":"10.0.0.1"}`), tt.d})["REC-001 aws/1/eu/T/m"]
			if got.Outcome != tt.want {
				t.Errorf("%s (OPA: %t) is %s: %v, want %s", name, opa, got.Outcome, got.Reasons, tt.want)
			}
		}
	}
}

// TestAppliesIsBoolean: what is neither true nor false excludes nothing.
func TestAppliesIsBoolean(t *testing.T) {
	t.Parallel()
	lib := library(t, map[string]string{
		"lib/none.rego": "package lib.none\n",
		"controls/a/b.rego": control("DIS-001", "controls.a.b", `"aws/T"`, `default applies := false

applies := input.data.enabled

violation contains {"message": "open", "observed": 1, "expected": 2, "path": "/data"} if input.data.open == 1
`, "#   excludes: it is not enabled"),
	})
	for enabled, want := range map[string]audit.Outcome{`true`: audit.Fail, `false`: audit.Excluded, `"true"`: audit.NotEvaluated, `1`: audit.NotEvaluated, `null`: audit.NotEvaluated} {
		for _, opa := range []bool{false, true} {
			e, err := evaluate.New(evaluate.Config{Library: lib, OPA: opa})
			if err != nil {
				t.Fatal(err)
			}
			d := doc("aws/1/eu", "T", "x", `{"open":1,"enabled":`+enabled+`}`)
			if got := decisions(t, e, []audit.Resource{d})["DIS-001 "+d.ID]; got.Outcome != want {
				t.Errorf("enabled %s (OPA: %t) is %s: %v, want %s", enabled, opa, got.Outcome, got.Reasons, want)
			}
		}
	}
}
