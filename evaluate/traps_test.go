package evaluate_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate"
)

// The traps of specialising a library, each of which would be a false pass.

// Trap 1: an estate or a document key that is frozen while preparing. Every key
// of a document, the estate and the run are unknown until a resource is decided.
func TestNothingIsFrozen(t *testing.T) {
	t.Parallel()
	for _, expr := range []string{
		`input.id == "aws/1/eu/T/x"`, `input.name == "x"`, `input.origin == "aws/1/eu"`, `input.tags.a == "b"`, `input.data.a == 1`,
		`input.gaps["/data/gone"] == "AccessDenied x:Get"`, `input.redacted[0] == "/data/secret"`,
		`data.run.as_of == "2026-11-21T02:00:00Z"`, `data.estate.netbox.thing["k"]`,
	} {
		t.Run(expr, func(t *testing.T) {
			t.Parallel()
			lib := library(t, map[string]string{
				"lib/estate.rego":    "package lib.estate\n\nestate contains {\"kind\": \"thing\", \"key\": \"k\", \"value\": 1} if input.source == \"netbox\"\n",
				"lib/thing.rego":     "package lib.thing\n\nholds if " + expr + "\nelse := false\n",
				"controls/a/b.rego":  control("TRP-001", "controls.a.b", `"aws/T"`, "import data.lib.thing\n\nviolation contains {\"message\": \"seen\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if thing.holds\n"),
				"controls/a/c.rego":  control("TRP-002", "controls.a.c", `"aws/T"`, "import data.lib.thing\n\nviolation contains {\"message\": \"not seen\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if not thing.holds\n"),
				"controls/a/no.rego": control("TRP-003", "controls.a.no", `"aws/T"`, "violation contains {\"message\": \"never\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if input.data.never\n"),
			})
			x := doc("aws/1/eu", "T", "x", `{"a":1}`, gap("/data/gone"), redacted("/data/secret"), func(r *audit.Resource) { r.Tags = map[string]string{"a": "b"} })
			got := outcomes(t, engine(t, lib), judgement(t, x, doc("netbox/n", "thing", "1", `{}`)))
			want(t, got, "x TRP-001 fail seen", "x TRP-002 pass", "x TRP-003 pass")
		})
	}
}

// Traps 3 and 7: a builtin error or a conflict must not turn into a pass, and
// must touch no other control and no other resource.
func TestErrorsStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	always := "violation contains {\"message\": \"always\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if input.id\n"
	lib := library(t, map[string]string{
		"lib/thing.rego":           "package lib.thing\n\nnumber := to_number(input.data.n)\nclash := input.data.a\nclash := input.data.b\n",
		"controls/a/always.rego":   control("ERR-001", "controls.a.always", `"aws/T"`, always),
		"controls/a/builtin.rego":  control("ERR-002", "controls.a.builtin", `"aws/T"`, "import data.lib.thing\n\nviolation contains {\"message\": \"big\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if thing.number > 5\n"),
		"controls/a/conflict.rego": control("ERR-003", "controls.a.conflict", `"aws/T"`, "import data.lib.thing\n\nviolation contains {\"message\": \"odd\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if thing.clash == 3\n"),
	})
	got := outcomes(t, engine(t, lib), judgement(t,
		doc("aws/1/eu", "T", "bad number", `{"n":"x","a":1,"b":1}`),
		doc("aws/1/eu", "T", "clash", `{"n":"6","a":1,"b":2}`),
		doc("aws/1/eu", "T", "good", `{"n":"6","a":1,"b":1}`),
	))
	want(t, got,
		"bad number ERR-001 fail always", "bad number ERR-002 not_evaluated error", "bad number ERR-003 pass",
		"clash ERR-001 fail always", "clash ERR-002 fail big", "clash ERR-003 not_evaluated error",
		"good ERR-001 fail always", "good ERR-002 fail big", "good ERR-003 pass",
	)
}

// TestErrorTexts: an error names its place in the library as it is written.
func TestErrorTexts(t *testing.T) {
	t.Parallel()
	lib := library(t, map[string]string{
		"lib/thing.rego":           "package lib.thing\n\nnumber := to_number(input.data.n)\n\nclash := x if some x in input.data.list\n",
		"controls/a/builtin.rego":  control("ERR-001", "controls.a.builtin", `"aws/T"`, "import data.lib.thing\n\nviolation contains {\"message\": \"m\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if thing.number > 5\n"),
		"controls/a/conflict.rego": control("ERR-002", "controls.a.conflict", `"aws/T"`, "import data.lib.thing\n\nviolation contains {\"message\": \"m\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if thing.clash == 3\n"),
	})
	for name, opa := range map[string]bool{"machine": false, "opa": true} {
		e, err := evaluate.New(evaluate.Config{Library: lib, OPA: opa})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		err = e.Decide(t.Context(), judgement(t, doc("aws/1/eu", "T", "x", `{"n":"six","list":[1,2]}`)), func(v audit.Verdict) error {
			for _, d := range v.Decisions {
				for _, r := range d.Reasons {
					got = append(got, r.Detail)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || !strings.HasPrefix(got[0], "lib/thing.rego:3: eval_builtin_error: to_number: ") || !strings.HasPrefix(got[1], "lib/thing.rego:5: eval_conflict_error: rule data.lib.thing.clash produced conflicting values") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestErrorsOfConstants: what is known of a kind may be enough for an error. It is
// one control's all the same.
func TestErrorsOfConstants(t *testing.T) {
	t.Parallel()
	violation := func(of string) string {
		return "violation contains {\"message\": \"m\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if " + of + "\n"
	}
	lib := library(t, map[string]string{
		"lib/thing.rego":           "package lib.thing\n\nclash := x if some x in [1, 2]\n\nratio := 1 / count([n | some n in [1, 2]; n > 2])\n",
		"lib/estate/aws.rego":      "package lib.estate.aws\n\nimport data.lib.thing\n\nestate contains {\"kind\": \"name\", \"key\": input.name, \"value\": thing.clash} if {\n\tinput.source == \"aws\"\n\tinput.type == \"T\"\n}\n",
		"controls/a/always.rego":   control("ERR-001", "controls.a.always", `"aws/T"`, violation("input.id")),
		"controls/a/conflict.rego": control("ERR-002", "controls.a.conflict", `"aws/T"`, "import data.lib.thing\n\n"+violation("thing.clash == 3")),
		"controls/a/zero.rego":     control("ERR-003", "controls.a.zero", `"aws/T"`, "import data.lib.thing\n\n"+violation("thing.ratio == 3")),
		"controls/a/maybe.rego":    control("ERR-004", "controls.a.maybe", `"aws/T"`, "import data.lib.thing\n\n"+violation("{ input.data.n == 1; thing.clash == 3 }")),
		"controls/a/seeks.rego":    control("ERR-005", "controls.a.seeks", `"aws/T"`, violation("not data.estate.aws.name[input.name]")),
	})
	docs := judgement(t, doc("aws/1/eu", "T", "one", `{"n":1}`), doc("aws/1/eu", "T", "two", `{"n":2}`))
	for name, opa := range map[string]bool{"machine": false, "opa": true} {
		e, err := evaluate.New(evaluate.Config{Library: lib, Workers: 2, OPA: opa})
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, outcomes(t, e, docs),
				"one ERR-001 fail m", "one ERR-002 not_evaluated error", "one ERR-003 not_evaluated error", "one ERR-004 not_evaluated error", "one ERR-005 not_evaluated lookup aws.name",
				"two ERR-001 fail m", "two ERR-002 not_evaluated error", "two ERR-003 not_evaluated error", "two ERR-004 not_evaluated error", "two ERR-005 not_evaluated lookup aws.name",
			)
		})
	}
}

// seeing is a control whose violation shows what a term comes to.
func seeing(id, pkg, term string) string {
	return control(id, pkg, `"aws/T"`, "import data.lib.thing\n\nviolation contains {\"message\": json.marshal("+term+"), \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if input.id\n")
}

// TestMembersWrittenOut: OPA's evaluator goes through a set or an object that is
// written out as it is written, which shows in arrays: the engine must say the same.
func TestMembersWrittenOut(t *testing.T) {
	t.Parallel()
	lib := library(t, map[string]string{
		"lib/thing.rego": `package lib.thing

pair := [x | some x in {input.data.a, input.data.b}]

mixed := [x | some x in {input.data.a, "m"}]

keyed := {input.data.a: 1, input.data.b: 2}

either := {input.data.a, input.data.b}

twice := [x | some x in either]
`,
		"controls/a/pair.rego":  seeing("WRT-001", "controls.a.pair", "thing.pair"),
		"controls/a/mixed.rego": seeing("WRT-002", "controls.a.mixed", "thing.mixed"),
		"controls/a/keyed.rego": seeing("WRT-003", "controls.a.keyed", "thing.keyed"),
		"controls/a/twice.rego": seeing("WRT-004", "controls.a.twice", "thing.twice"),
	})
	docs := judgement(t, doc("aws/1/eu", "T", "one", `{"a":"b","b":"a"}`), doc("aws/1/eu", "T", "two", `{"a":"z","b":"z"}`))
	for name, opa := range map[string]bool{"machine": false, "opa": true} {
		e, err := evaluate.New(evaluate.Config{Library: lib, OPA: opa})
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, outcomes(t, e, docs),
				`one WRT-001 fail ["b","a"]`, `one WRT-002 fail ["m","b"]`, `one WRT-003 fail {"a":2,"b":1}`, `one WRT-004 fail ["b","a"]`,
				`two WRT-001 fail ["z","z"]`, `two WRT-002 fail ["m","z"]`, `two WRT-003 fail {"z":2}`, `two WRT-004 fail ["z","z"]`,
			)
		})
	}
}

// TestPanicsOfOPA: OPA's evaluator loses one of two keys that are arrays with the
// same hash, and panics when it walks the object. That is one control's.
func TestPanicsOfOPA(t *testing.T) {
	t.Parallel()
	lib := library(t, map[string]string{
		"lib/thing.rego":          "package lib.thing\n\nodd := count([v | walk({[x, x]: 1 | walk(input.data.list, [_, x])}, [p, v]); p])\n\nlist := input.data.list\n",
		"controls/a/odd.rego":     seeing("PAN-001", "controls.a.odd", "thing.odd"),
		"controls/a/regular.rego": seeing("PAN-002", "controls.a.regular", "thing.list"),
	})
	e, err := evaluate.New(evaluate.Config{Library: lib, OPA: true})
	if err != nil {
		t.Fatal(err)
	}
	got := outcomes(t, e, judgement(t, doc("aws/1/eu", "T", "one", `{"list":[1,[1],"x",2,3,4,5]}`), doc("aws/1/eu", "T", "two", `{"list":[2]}`)))
	want(t, got, "one PAN-001 not_evaluated error", "one PAN-002 fail [1,[1],\"x\",2,3,4,5]", "two PAN-001 fail 3", "two PAN-002 fail [2]")
}

// Trap: a negated `every` and an `every` over parameters, which older OPAs got wrong.
func TestEvery(t *testing.T) {
	t.Parallel()
	lib := library(t, map[string]string{
		"lib/thing.rego": "package lib.thing\n\ntags := input.tags\n",
		"controls/a/b.rego": control("EVR-001", "controls.a.b", `"aws/T"`, `import data.lib.thing

violation contains {"message": "untagged", "observed": thing.tags, "expected": data.parameters["EVR-001"].names, "path": "/tags"} if not _all_there

_all_there if {
	every name in data.parameters["EVR-001"].names { thing.tags[name] }
}
`, "#   parameters:", "#     names: {type: array, description: Tags., default: [a, b]}"),
	})
	tagged := func(names ...string) func(*audit.Resource) {
		return func(r *audit.Resource) {
			r.Tags = map[string]string{}
			for _, n := range names {
				r.Tags[n] = "x"
			}
		}
	}
	want(t, outcomes(t, engine(t, lib), judgement(t, doc("aws/1/eu", "T", "both", `{}`, tagged("a", "b")), doc("aws/1/eu", "T", "one", `{}`, tagged("a")))),
		"both EVR-001 pass", "one EVR-001 fail untagged")
}

// A violation that is none must not count as a pass.
func TestViolationShape(t *testing.T) {
	t.Parallel()
	lib := library(t, map[string]string{
		"lib/thing.rego":    "package lib.thing\n\nmessage := input.data.m\n",
		"controls/a/b.rego": control("SHP-001", "controls.a.b", `"aws/T"`, "import data.lib.thing\n\nviolation contains {\"message\": thing.message, \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if input.id\n"),
	})
	want(t, outcomes(t, engine(t, lib), judgement(t, doc("aws/1/eu", "T", "number", `{"m":7}`), doc("aws/1/eu", "T", "text", `{"m":"x"}`))),
		"number SHP-001 not_evaluated error", "text SHP-001 fail x")
}

// Rego's sets reach us in OPA's order; violations are sorted by their bytes.
func TestWorkersLeaveNoTrace(t *testing.T) {
	t.Parallel()
	lib := library(t, map[string]string{
		"lib/thing.rego":    "package lib.thing\n\nnames := input.data.names\n",
		"controls/a/b.rego": control("ORD-001", "controls.a.b", `"aws/T"`, "import data.lib.thing\n\nviolation contains {\"message\": n, \"observed\": n, \"expected\": 2, \"path\": \"/data\"} if some n in thing.names\n"),
	})
	var resources []audit.Resource
	for _, n := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		resources = append(resources, doc("aws/1/eu", "T", n, `{"names":["c","a","b"],"pad":"`+strings.Repeat(n, 100<<10)+`"}`))
	}
	got := outcomes(t, engine(t, lib), judgement(t, resources...))
	for i, line := range got {
		if want := resources[i].Name + " ORD-001 fail a b c"; line != want {
			t.Errorf("line %d: %s, want %s", i, line, want)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	lib := library(t, map[string]string{
		"lib/thing.rego": "package lib.thing\n\nxs := numbers.range(1, input.data.n)\n",
		"controls/a/b.rego": control("END-001", "controls.a.b", `"aws/T"`,
			"import data.lib.thing\n\nviolation contains {\"message\": \"never\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if {\n\tsome x in thing.xs\n\tsome y in thing.xs\n\tsome z in thing.xs\n\tx + y + z == -1\n}\n"),
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	j := judgement(t, doc("aws/1/a", "T", "short", `{"n":1}`), doc("aws/1/b", "T", "endless", `{"n":5000}`))
	err := engine(t, lib).Decide(ctx, j, func(v audit.Verdict) error {
		cancel() // the other snapshot is about to be judged
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Decide() = %v, want %v", err, context.Canceled)
	}
}

// A set of which every body is for another type is empty, not undefined: what
// counts it must not become undefined with it.
func TestEmptySets(t *testing.T) {
	t.Parallel()
	lib := library(t, map[string]string{
		"lib/thing.rego": `package lib.thing

_open contains x if {
	input.source == "kubernetes"
	some x in input.data.xs
}

_ports[x] := true if {
	input.source == "kubernetes"
	some x in input.data.xs
}

_label := input.data.label if input.source == "kubernetes"

count_open := count(_open) + count(_ports)

label := object.get({"l": l | l := _label}, "l", "none")
`,
		"controls/a/b.rego": control("SET-001", "controls.a.b", `"aws/T"`, `import data.lib.thing

violation contains {"message": thing.label, "observed": 1, "expected": 2, "path": "/data"} if thing.count_open == 0
`),
	})
	want(t, outcomes(t, engine(t, lib), judgement(t, doc("aws/1/eu", "T", "x", `{}`))), "x SET-001 fail none")
}

// TestConflictsAreRead: what a rule or a function comes to twice is compared, all of
// it, so that a gap in it touches the decision.
func TestConflictsAreRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ rules, doc, gap string }{
		{"v := x if some x in input.data.l\n\nport := v.port", `{"l":[{"port":1},{"port":1}]}`, "/data/l/1/y"},
		{"v := input.data.a\n\nv := input.data.b\n\nport := v.port", `{"a":{"port":1},"b":{"port":1}}`, "/data/b/y"},
		{"f(x) := x.a\n\nf(x) := x.b\n\nport := f(input.data).port", `{"a":{"port":1},"b":{"port":1}}`, "/data/a/y"},
		{"l := [input.data.a]\n\nl := [input.data.b]\n\nport := l[0].port", `{"a":{"port":1},"b":{"port":1}}`, "/data/b/y"},
	} {
		e := engine(t, library(t, map[string]string{
			"lib/thing.rego":    "package lib.thing\n\n" + tt.rules + "\n",
			"controls/a/b.rego": control("TRP-001", "controls.a.b", `"aws/T"`, "import data.lib.thing\n\nviolation contains {\"message\": \"m\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if thing.port != 1\n"),
		}))
		got := outcomes(t, e, judgement(t, doc("aws/1/eu", "T", "gap", tt.doc, gap(tt.gap)), doc("aws/1/eu", "T", "whole", tt.doc)))
		want(t, got, "gap TRP-001 not_evaluated gap "+tt.gap, "whole TRP-001 pass")
	}
}

// TestDeadKeys: of a rule with several keys that never holds for a source nothing is
// left, at no level.
func TestDeadKeys(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		"s[k] := 1 if {", "s[k] contains 1 if {", "s[k].c := 1 if {", "s[k].c contains 1 if {", "s[k][j] := 1 if {\n\tsome j in input.data.l",
	} {
		e := engine(t, library(t, map[string]string{
			"lib/thing.rego":    "package lib.thing\n\n" + rule + "\n\tinput.source == \"netbox\"\n\tsome k in input.data.l\n}\n\nempty if s == {}\nelse := false\n",
			"controls/a/b.rego": control("TRP-001", "controls.a.b", `"aws/T"`, "import data.lib.thing\n\nviolation contains {\"message\": \"empty\", \"observed\": count(thing.s), \"expected\": 2, \"path\": \"/data\"} if thing.empty\n"),
		}))
		got := outcomes(t, e, judgement(t, doc("aws/1/eu", "T", "x", `{"l":["a"]}`)))
		want(t, got, "x TRP-001 fail empty")
	}
}

// TestUnboundIsRefused: what OPA's planner gets wrong is not loaded.
func TestUnboundIsRefused(t *testing.T) {
	t.Parallel()
	for body, refused := range map[string]bool{
		"[x, y] = [y, input.data.a]; x == 1":                true,
		"[y, x] = [x, 1]; x == 1; y == input.data.a":        true,
		"[x, x] = [y, input.data.a]; y == 1":                true,
		`{"i": x, "j": y} = {"i": y, "j": input.data.a}; x`: true,
		"[z | [z, y] = [y, input.data.l[_]]] == [1]":        true,
		"[y, x] = [input.data.a, y]; x == 1":                false,
		"x = [y]; [y] = [input.data.a]; x == [1]":           false,
		"x = y; y = input.data.a; x == 1":                   false,
		`{"a": x, "l": [y, _]} = input.data; x == y`:        false,
	} {
		e := engine(t, library(t, map[string]string{
			"lib/thing.rego":    "package lib.thing\n\nbad if {\n\t" + strings.ReplaceAll(body, "; ", "\n\t") + "\n} else := false\n",
			"controls/a/b.rego": control("TRP-001", "controls.a.b", `"aws/T"`, "import data.lib.thing\n\nviolation contains {\"message\": \"bad\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if thing.bad\n"),
		}))
		err := e.Check(t.Context())
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), "rule data.lib.thing.bad: it unifies") {
			t.Errorf("%s: %v, want it refused: %t", body, err, refused)
		}
	}
}
