package evaluate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate"
)

// bombs are controls that would never end, or fill memory, on a document of a
// thousand numbers.
var bombs = map[string]string{
	"loops":    `violation contains {"message": "x", "observed": 1, "expected": 2, "path": "/data"} if count([1 | some a in input.data.n; some b in input.data.n; some c in input.data.n; a + b == c]) > 5`,
	"bytes":    `violation contains {"message": "x", "observed": [[a, b] | some a in input.data.n; some b in input.data.n], "expected": {sprintf("%v", [[c, input.data.n]]) | some c in input.data.n}, "path": "/data"}`,
	"range":    `violation contains {"message": "x", "observed": numbers.range(1, input.data.n[999] * 1000000), "expected": 2, "path": "/data"}`,
	"regular":  `violation contains {"message": "x", "observed": 1, "expected": 2, "path": "/data"} if regex.match("(((a|b){1,9}){1,9}){1,9}c", input.data.text)`,
	"graph":    `violation contains {"message": "x", "observed": 1, "expected": 2, "path": "/data"} if { x := array.slice(input.data.n, 0, 300); count(graph.reachable({n: x | some n in x}, {1})) > 5 }`,
	"left":     `violation contains {"message": "x", "observed": [x | some x in {input.data.n[1], "b"}], "expected": 2, "path": "/data"} if count([1 | some z in {input.data.n[1], "b"}; some a in input.data.n; some b in input.data.n; some c in input.data.n; a + b == c]) > 5`,
	"exponent": `violation contains {"message": "x", "observed": bits.lsh(1, 10000000000), "expected": 2, "path": "/data"}`,
}

// TestLimits: a control that takes too much is not evaluated, with the reason,
// whoever decides; the others are decided.
func TestLimits(t *testing.T) {
	t.Parallel()
	numbers := make([]string, 1000)
	for i := range numbers {
		numbers[i] = fmt.Sprint(i)
	}
	d := doc("aws/1/eu", "T", "x", `{"n":[`+strings.Join(numbers, ",")+`],"text":"`+strings.Repeat("a", 200_000)+`"}`)
	for name, bomb := range bombs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lib := library(t, map[string]string{
				"lib/none.rego":        "package lib.none\n",
				"controls/a/bomb.rego": control("BMB-001", "controls.a.bomb", `"aws/T"`, bomb+"\n"),
				"controls/a/good.rego": control("BMB-002", "controls.a.good", `"aws/T"`, "violation contains {\"message\": \"seen\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if count(input.data.n) == 1000\n"),
			})
			for _, opa := range []bool{false, true} {
				e, err := evaluate.New(evaluate.Config{Library: lib, OPA: opa, Steps: 1_000_000, Bytes: 16 << 20})
				if err != nil {
					t.Fatal(err)
				}
				got := decisions(t, e, []audit.Resource{d})
				bad, good := got["BMB-001 "+d.ID], got["BMB-002 "+d.ID]
				if bad.Outcome != audit.NotEvaluated || bad.Reasons[0].Code != "limit" || good.Outcome != audit.Fail {
					t.Errorf("opa %t: %s %v, and %s", opa, bad.Outcome, bad.Reasons, good.Outcome)
				}
			}
		})
	}
}

// TestLimitsOfOPA: what the machine leaves to OPA's evaluator, which knows no limits,
// keeps them too: each rule of a control, and the rules that declare.
func TestLimitsOfOPA(t *testing.T) {
	t.Parallel()
	const (
		left   = `[x | some x in {input.data.n[1], "b"}]` // in which order only OPA can tell
		loops  = `count([1 | some a in input.data.n; some b in input.data.n; some c in input.data.n; a + b == c]) > 5`
		errs   = `count([1 | some a in input.data.n; some b in input.data.n; some c in input.data.n; input.data.n + 1 == c]) > 5`
		grows  = `count([1 | some a in input.data.n; input.data.n + 1 == a]) + count(numbers.range(1, 1000000000)) > 5`
		head   = `violation contains {"message": "x", "observed": ` + left + `, "expected": 2, "path": "/data"}`
		plain  = `violation contains {"message": "x", "observed": 1, "expected": 2, "path": "/data"}`
		asks   = head + ` if count(data.estate.aws.k["b"]) == 2`
		thing  = `estate contains {"kind": "k", "key": "b", "value": x} if { some x in ` + left + "; "
		never  = "default applies := false\n\napplies if "
		member = "_s contains y if { some x in input.data.n; y := x + 0 }\n\n" + plain + " if { some k in input.data.n; _s[k]; _s[k + 1]; k > 1990 }"
	)
	for name, tt := range map[string]struct {
		lib, control string
		excludes     bool
		code, stock  string // with the machine, with OPA's evaluator alone
	}{
		"loops":    {control: head + " if " + loops, code: "limit", stock: "limit"},
		"errors":   {control: head + " if " + errs, code: "limit", stock: "limit"},
		"grows":    {control: head + " if " + grows, code: "limit", stock: "limit"},
		"excludes": {control: head + "\n\n" + never + loops, excludes: true, code: "limit", stock: "limit"},
		"again":    {control: member, stock: "limit"}, // OPA makes a set anew for each member that it is asked for
		"estate":   {lib: thing + loops + " }", control: asks, code: "lookup", stock: "lookup"},
		"declared": {lib: thing + "true }", control: asks},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n strings.Builder
			for i := range 2000 {
				fmt.Fprintf(&n, "%d,", i)
			}
			d := doc("aws/1/eu", "T", "x", `{"n":[`+n.String()+`2000]}`)
			var extra []string
			if tt.excludes {
				extra = []string{"#   excludes: Some."}
			}
			for opa, want := range map[bool]string{false: tt.code, true: tt.stock} {
				e, err := evaluate.New(evaluate.Config{OPA: opa, Steps: 1_000_000, Library: library(t, map[string]string{
					"lib/things.rego":   "package lib.things\n\n" + tt.lib + "\n",
					"controls/a/a.rego": control("BMB-001", "controls.a.a", `"aws/T"`, tt.control+"\n", extra...),
				})})
				if err != nil {
					t.Fatal(err)
				}
				got := decisions(t, e, []audit.Resource{d})["BMB-001 "+d.ID]
				if code := codeOf(got); code != want || (got.Outcome == audit.Fail) != (want == "") {
					t.Errorf("opa %t: %s %v, want %q", opa, got.Outcome, got.Reasons, want)
				}
			}
		})
	}
}

// TestLimitsAroundGaps: what stands at a gap is not known, and what a control would do
// if it were something else keeps the limits too.
func TestLimitsAroundGaps(t *testing.T) {
	t.Parallel()
	for name, does := range map[string]string{
		"range":    `count(numbers.range(1, 2000000000)) > 5`,
		"shift":    `bits.lsh(1, 80000000000) > 5`,
		"texts":    `a := concat("", [input.data.text | some input.data.n]); b := concat("", [a | some input.data.n]); count(concat("", [b | some input.data.n])) > 1`,
		"loops":    `count([1 | some a in input.data.n; some b in input.data.n; some c in input.data.n; some d in input.data.n; a + b == c + d]) > 1`,
		"copies":   `count([array.concat(input.data.n, input.data.n) | some input.data.n; some input.data.n]) > 1`,
		"members":  `some a in input.data.n; some b in input.data.n; some c in input.data.n; [a, b, c] in input.data.n`,
		"compares": `some a in input.data.n; some b in input.data.n; some c in input.data.n; [input.data.n, a, b, c, 1] == [input.data.n, a, b, c, 2]`,
		"numbers":  `some a in input.data.large; some b in input.data.other; a == b`,
		"unknown":  `some a in input.data.n; some b in input.data.n; some c in input.data.n; [input.data.n, a, b, c] == input.data.z`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			does = strings.ReplaceAll(does, "some input.data.n", "some _ in input.data.n")
			e := engine(t, library(t, map[string]string{
				"lib/none.rego":     "package lib.none\n",
				"controls/a/a.rego": control("BMB-001", "controls.a.a", `"aws/T"`, `violation contains {"message": "x", "observed": 1, "expected": 2, "path": "/data"} if { input.data.z > 1; `+does+" }\n"),
			}))
			d := doc("aws/1/eu", "T", "x", `{"n":[`+strings.Repeat(`1,`, 2000)+`2],"large":[`+strings.Repeat("1e29000,", 2000)+`2],"other":[`+strings.Repeat("1.1e28999,", 2000)+`2],"text":"`+strings.Repeat("a", 20000)+`"}`, gap("/data/z"))
			got := decisions(t, e, []audit.Resource{d})["BMB-001 "+d.ID]
			if got.Outcome != audit.NotEvaluated || codeOf(got) != "gap" {
				t.Errorf("%s %v", got.Outcome, got.Reasons)
			}
		})
	}
}

func codeOf(d audit.Decision) string {
	if len(d.Reasons) == 0 {
		return ""
	}
	return d.Reasons[0].Code
}

// TestCancelAmidDecision: a run that is cancelled ends, also amid a decision that would take for
// ever. How soon `make bench` tells.
func TestCancelAmidDecision(t *testing.T) {
	t.Parallel()
	numbers := strings.Repeat("1,", 20000)
	d := doc("aws/1/eu", "T", "x", `{"n":[`+numbers+`2]}`)
	e, err := evaluate.New(evaluate.Config{Library: library(t, map[string]string{
		"lib/none.rego":        "package lib.none\n",
		"controls/a/bomb.rego": control("BMB-001", "controls.a.bomb", `"aws/T"`, bombs["loops"]+"\n"),
	}), Steps: 1 << 60, Bytes: 1 << 60})
	if err != nil {
		t.Fatal(err)
	}
	j := judgement(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	if err = e.Decide(ctx, j, func(audit.Verdict) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Decide() = %v, want it cancelled", err)
	}
}

// TestCancelAmidBuiltin: a run that is cancelled does not wait for a builtin of OPA's,
// which cannot be stopped, whoever called it; and what comes of it is dropped.
func TestCancelAmidBuiltin(t *testing.T) {
	t.Parallel()
	for _, opa := range []bool{false, true} {
		for name, rule := range map[string]string{
			"deciding": "violation contains {\"message\": \"x\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if test.wait(input.data.n)\n",
			"around":   "violation contains {\"message\": \"x\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if {\n\tinput.data.hidden == 1\n\ttest.wait(input.data.n)\n}\n",
		} {
			t.Run(fmt.Sprint(name, opa), func(t *testing.T) {
				t.Parallel()
				key := fmt.Sprint(name, opa)
				asked, release := make(chan struct{}), make(chan struct{})
				waits.Store(key, func() {
					close(asked)
					<-release
				})
				e, err := evaluate.New(evaluate.Config{OPA: opa, Workers: 2, Library: library(t, map[string]string{
					"lib/none.rego":     "package lib.none\n",
					"controls/a/b.rego": control("BMB-001", "controls.a.b", `"aws/T"`, rule),
				})})
				if err != nil {
					t.Fatal(err)
				}
				d := doc("aws/1/eu", "T", "x", fmt.Sprintf(`{"n":%q}`, key))
				gap("/data/hidden")(&d)
				j := judgement(t, d, doc("aws/1/eu", "T", "y", `{"n":"nothing"}`))
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					<-asked
					cancel()
				}()
				emitted := 0
				err = e.Decide(ctx, j, func(audit.Verdict) error { emitted++; return nil })
				if !errors.Is(err, context.Canceled) || emitted > 0 {
					t.Errorf("Decide() = %v with %d verdicts, want it cancelled", err, emitted)
				}
				close(release) // only now
				if err := e.Decide(t.Context(), j, func(audit.Verdict) error { emitted++; return nil }); err != nil || emitted != 2 {
					t.Errorf("again: %v with %d verdicts", err, emitted)
				}
			})
		}
	}
}

// TestZoneOfTheMachine: what another time zone of the machine could decide otherwise is
// not decided, whoever would; where a zone is named, or an offset, it is.
func TestZoneOfTheMachine(t *testing.T) {
	t.Parallel()
	tests := map[string]audit.Outcome{
		`time.clock([input.data.ns, input.data.zone])[0] > 30`:                            audit.NotEvaluated,
		`time.date([input.data.ns, "Local"])[0] == 1`:                                     audit.NotEvaluated,
		`time.weekday([input.data.ns, "Local"]) == "x"`:                                   audit.NotEvaluated,
		`time.format([input.data.ns, "Local", "RFC822"]) == "x"`:                          audit.NotEvaluated,
		`time.diff(input.data.ns, [0, "Local"])[0] > 1000`:                                audit.NotEvaluated,
		`time.add_date(input.data.pair, 1, 0, 0) == 1`:                                    audit.NotEvaluated,
		`time.clock([0, "localtime"])[0] > 30`:                                            audit.NotEvaluated,
		`time.clock([0, "posix/posixrules"])[0] > 30`:                                     audit.NotEvaluated,
		`time.parse_ns("RFC822", "02 Jan 06 15:04 CET") == 1`:                             audit.NotEvaluated,
		`time.parse_ns("2006-01-02 MST", input.data.day) == 1`:                            audit.NotEvaluated,
		`count({a | some a in {input.data.zone, "UTC"}; time.clock([0, a])[0] > 30}) > 5`: audit.NotEvaluated,
		`input.data.ns == 1; time.clock([0, "Local"])[0] > 30`:                            audit.Pass,
		`time.clock([input.data.ns, "Europe/Berlin"])[0] > 30`:                            audit.Pass,
		`time.clock(input.data.ns)[0] > 30`:                                               audit.Pass,
		`time.format([input.data.ns, "UTC", "RFC822"]) == "x"`:                            audit.Pass,
		`time.parse_ns("RFC1123", "Mon, 02 Jan 2006 15:04:05 GMT") == 1`:                  audit.Pass,
		`time.parse_ns("RFC822", "02 Jan 06 15:04 UTC") == 1`:                             audit.Pass,
		`time.parse_ns("RFC1123Z", "Mon, 02 Jan 2006 15:04:05 +0100") == 1`:               audit.Pass,
		`time.parse_ns("2006-01-02 MST -0700", "2020-07-07 CEST +0200") == 1`:             audit.Pass,
		`time.parse_rfc3339_ns("2020-07-07T00:00:00+02:00") == 1`:                         audit.Pass,
	}
	for condition, want := range tests {
		for _, opa := range []bool{false, true} {
			e, err := evaluate.New(evaluate.Config{OPA: opa, Library: library(t, map[string]string{
				"lib/none.rego":     "package lib.none\n",
				"controls/a/b.rego": control("ZON-001", "controls.a.b", `"aws/T"`, `violation contains {"message": "x", "observed": 1, "expected": 2, "path": "/data"} if { `+condition+" }\n"),
			})})
			if err != nil {
				t.Fatal(err)
			}
			d := doc("aws/1/eu", "T", "x", `{"ns":1700000000000000000,"zone":"Local","day":"2020-07-07 CEST","pair":[0,"Local"]}`)
			got := decisions(t, e, []audit.Resource{d})["ZON-001 "+d.ID]
			if got.Outcome != want || want == audit.NotEvaluated && !strings.Contains(fmt.Sprint(got.Reasons), "not the same on every machine") {
				t.Errorf("%s (OPA: %t) is %s: %v, want %s", condition, opa, got.Outcome, got.Reasons, want)
			}
		}
	}
}

// waits are what test.wait does the first time that it is given a name.
var waits sync.Map

// TestMain gives OPA one builtin more: parallel tests read its list of them.
func TestMain(m *testing.M) {
	b := &ast.Builtin{Name: "test.wait", Decl: types.NewFunction(types.Args(types.S), types.B)}
	ast.RegisterBuiltin(b)
	topdown.RegisterBuiltinFunc(b.Name, func(_ topdown.BuiltinContext, args []*ast.Term, yield func(*ast.Term) error) error {
		name, _ := args[0].Value.(ast.String)
		if wait, ok := waits.LoadAndDelete(string(name)); ok {
			wait.(func())()
		}
		return yield(ast.BooleanTerm(true))
	})
	m.Run()
}

// TestHostileDocuments: what no sensible source would answer is decided as OPA
// decides it, or is a reason, never a crash and never a pass by accident.
func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	e := engine(t, library(t, map[string]string{
		"lib/none.rego": "package lib.none\n",
		"controls/a/n.rego": control("HST-001", "controls.a.n", `"aws/T"`, `violation contains {"message": "seen", "observed": input.data.x, "expected": null, "path": "/data/x"} if input.data.x != 1
`),
		"controls/a/sum.rego": control("HST-002", "controls.a.sum", `"aws/T"`, `violation contains {"message": "big", "observed": 1, "expected": null, "path": "/data/x"} if input.data.x + 1 > 10
`),
	}))
	nested := func(levels int) string {
		return `{"x":` + strings.Repeat("[", levels) + "1" + strings.Repeat("]", levels) + `}`
	}
	tests := map[string]struct{ data, want1, want2 string }{
		"nested":           {nested(500), "fail", "not_evaluated"},
		"deep":             {nested(501), "not_evaluated", "not_evaluated"}, // to be recorded
		"deepest":          {nested(9_998), "not_evaluated", "not_evaluated"},
		"digits":           {`{"x":` + strings.Repeat("9", 10000) + `}`, "fail", "fail"},
		"small exponent":   {`{"x":1e-400}`, "fail", "pass"},
		"one in disguise":  {`{"x":1.000}`, "pass", "pass"},
		"not UTF-8":        {"{\"x\":\"\xff\"}", "fail", "not_evaluated"},
		"escapes":          {`{"x":"\u0000\ud800\u2028"}`, "fail", "not_evaluated"},
		"nothing":          {`{}`, "pass", "pass"},
		"not even nothing": {`null`, "pass", "pass"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := doc("aws/1/eu", "T", "x", tt.data)
			got := decisions(t, e, []audit.Resource{d})
			if a, b := got["HST-001 "+d.ID].Outcome, got["HST-002 "+d.ID].Outcome; string(a) != tt.want1 || string(b) != tt.want2 {
				t.Errorf("%s and %s, want %s and %s: %v", a, b, tt.want1, tt.want2, got)
			}
		})
	}
}

// TestRefusedDocument: a document that cannot be held is not evaluated, and what
// it could declare to others is a gap. The rest of the run is as ever.
func TestRefusedDocument(t *testing.T) {
	t.Parallel()
	for _, opa := range []bool{false, true} {
		e, err := evaluate.New(evaluate.Config{Library: library(t, addresses(t)), OPA: opa})
		if err != nil {
			t.Fatal(err)
		}
		got := outcomes(t, e, judgement(t,
			doc("aws/1/eu", "T", "good", `{"ip":"10.0.0.1"}`),
			doc("aws/1/eu", "T", "refused", `{"ip":"10.0.0.1","n":1`+strings.Repeat("0", 50000)+`}`),
			doc("aws/1/eu", "T", "unknown", `{"ip":"10.0.0.7"}`),
			doc("netbox/hq", "ipam.ipaddress", "1", `{"address":"10.0.0.1","status":"active"}`),
			doc("netbox/hq", "ipam.ipaddress", "2", `{"address":"10.0.0.7","n":1`+strings.Repeat("0", 50000)+`}`),
		))
		want(t, got, "good REC-001 pass", "refused REC-001 not_evaluated limit", "unknown REC-001 not_evaluated lookup netbox.address")
	}
}
