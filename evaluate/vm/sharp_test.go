package vm_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// sharpRules each turn on one point of Rego's semantics.
func sharpRules() []string {
	return append(slices.Concat(sharpBodies(), sharpCalls(), sharpContainers()), []string{
		`p := startswith(input.n, "a")`,
		`p := lower(input.u)`,
		`p := input.u`,
		`p := input.ctl`,
		`p := input[_]`,
		`p contains [k, v] if some k, v in input`,
		`p := {"k": {1, {"z": input.x}}, "b": [{"y"}, null]}`,
		`p := x if { [x, _] = [input.n, 2] }`,
		`p := [a, b] if { {"a": a, "dup": b} = {"a": input.o.a, "dup": 3} }`,
		`p := {1, 2} - {2}`,
		`p := {1, 2} | {input.n, input.f}`,
		`p if input.t > "abc"`,
		`p if input.x < input.o`,
		`p := x if x := data.p.q with data.base as {"k": 1}
q := data.base.k`,
		`p := glob.match("a*", [], input.s)`,
		`p := input.x == [1, 2, 3]`,
		`p := input.o == {"dup": 2, "a": true, "b": null}`,
		`p := array.concat(input.x, [input.o])`,
		`p := max(input.x)`,
		`p := sum(input.x)`,
		`p := split(input.s, "b")`,
		`p := input.o[k] if k := "a"`,
		`p := q[_].z
q contains {"z": x} if some x in input.x`,
		`p if { some i, j; i != j; input.x[i] == input.x[j] }`,
		`a.b[x] := y if some x, y in input.o
p := a.b`,
		`a[x].c contains y if some x, y in input.o
p := a`,
		`p := input.deep.a.b.c.d`,
		`p := input.esc`,
		`p := units.parse_bytes("1Ki")`,
		`p contains 1
p contains 2
p contains x if some x in input.x`,
		`p["a"] := 1
p["b"] := 2
p[k] := v if some k, v in input.o`,
		`o.a := 1
o.b[k] := v if some k, v in input.o
p := o`,
		`p := [{1, 2, x} | some x in input.x]`,
		`p := [{"a": 1, "b": x} | some x in input.x]`,
		`p := {"a": 1, "b": {2, 3}} if input.x
p := {"a": 1, "b": {2, 3}} if input.n`,
		`p := object.union({"a": {"b": 1}}, input.o)`,
		`p := {10e399, input.big}`,
		`p := input.big in {10e399}`,
		`p := {10e399: 1, input.big: 2}`,
	}...)
}

// sharpBodies are those about statements and values.
func sharpBodies() []string {
	return []string{
		`p if not input.x[0] == 1`,
		`p if not q(99)
q(n) if input.x[_] == n`,
		`p if not 1 in input.x`,
		`p if not q with input.x as [5]
q if input.x[_] == 5`,
		`p := [x | some x in {3, 1, 2, "a", null, true, [1], {"k": 1}}]`,
		`p := [x | some x in {y | some y in input.x}]`,
		`p := [sprintf("%v=%v", [k, v]) | some k, v in input.o]`,
		`p := sprintf("%v %v %v", [input.o, input.x, {1, 2}])`,
		`p := sprintf("%d %s", [input.n, input.n])`,
		`p := sprintf("%5.2f|%-8s|%x", [input.f, input.s, 255])`,
		`p := sprintf("%d", ["x"])`,
		`p := [sprintf(f, [input.s, input.n, input.u]) | some f in ["%s %d %v", "%v%v%v", "%s%s%s", "%s %d", "%s %d %v %s", "%", "%s %d %v%", "%s %d %v%%", "%[1]s %d %v", "%s %v %d", "ü%sü%dü%vü"]]`,
		`p := [sprintf("%d %v", [n, n]) | some n in [0, -0, 7, -7, 1.5, 1e2, 0.0, 999999999999999999, 9999999999999999999, 123456789012345678901234567890]]`,
		`p := sprintf("%s %s", ["x"])`,
		`p := sprintf("%s", ["x", "y"])`,
		`p := sprintf("%q", [input.u])`,
		`p := input.n == 1.0`,
		`p := {input.n, input.f, 1, 1.0, 1e0}`,
		`p := [input.big, input.big + 1, input.e, input.neg0, input.f]`,
		`p := input.big == 12345678901234567890123`,
		`p := {k: v | some k, v in input.o}`,
		`p[k] := v if some k, v in input.o`,
		`p contains x if some x in input.x`,
		`p := 1 if input.n == 1
p := 2 if input.s`,
		`p := x if some x in input.x`,
		`p if every x in input.x { x > 0 }`,
		`p if every k, v in input.o { v; k != "b" }`,
		`p if every x in input.s { x }`,
		`p if every x in input.nope { x }`,
		`p := count(input.x) if count(input.s) > 1`,
		`p := count(input.n)`,
		`p := object.get(input, ["o", "a"], 7)`,
		`p := object.get(input, "nope", {"d": 1})`,
		`p := input.o.dup`,
		`p := input.o`,
		`p := json.marshal(input)`,
		`p := input.x[1.0]`,
		`p := input.x[1]`,
		`p := input.x["1"]`,
		`p := input.x[99]`,
		`p := [i | input.x[i] == 1]`,
	}
}

// sharpContainers are those about sets and objects.
func sharpContainers() []string {
	return []string{
		`p := input.big == 10e399`,
		`p := [1.0 | some x in {1, 2}; {1, 2}[x]]`,
		`p := [{1, 2}[1.0], {1: "a"}[1.0]]`,
		`p := {1.0} & {1, 2}`,
		`p := {1, 2} & {1.0, 2.0, 3}`,
		`p := object.get({"a": {1, 2}}, ["a", 1.0], 0)`,
		`p := input.nul == null`,
		`p := is_null(input.nul)`,
		`p if input.fl`,
		`p if not input.fl`,
		`p := {x: y | x := input.x[_]; y := input.n}`,
		`p := {"a": y | y := input.x[_]}`,
	}
}

// sharpCalls are those that call builtins, mostly.
func sharpCalls() []string {
	return []string{
		`p := [i | some i; input.o[i] == true]`,
		`p := walk(input)`,
		`p := [x | walk(input, [x, v]); is_number(v)]`,
		`p := {x | walk(input, [_, x]); is_string(x)}`,
		`p := concat(",", sort([x | some x in input.strs]))`,
		`p := to_number(input.s)`,
		`p := 1 / input.zero`,
		`default p := "d"
p := "x" if input.nope`,
		`p := "a" if { input.nope } else := "b" if { input.n == 1 } else := "c"`,
		`f(x) := y if { x.a; y := x.b } else := "no"
p := [f(input.o), f({"a": 1, "b": 2}), f("s")]`,
		`f("a") := 1
f("b") := 2
p := [f(x) | some x in ["a", "b", "c"]]`,
		`p := regex.match("^a.*c$", input.s)`,
	}
}

// sharpInputs are what they are asked about.
func sharpInputs() []string {
	return []string{
		`{"x":[1,2,3],"o":{"a":true,"dup":1,"b":null,"dup":2},"n":1,"f":1.0,"s":"abc","u":"h\u00e9llo \ud83d\ude00 <&>","ctl":"a\tb\n\u0001\u2028","big":12345678901234567890123,"e":1e2,"neg0":-0,"zero":0,"strs":["b","a"],"t":"abd","deep":{"a":{"b":{"c":{"d":[]}}}},"esc":"\"\\\/\b\f\n\r\t","nul":null,"fl":false}`,
		`{"x":[3,1,1,0],"o":{},"n":1.0,"f":2.50,"s":"","u":"é日本\uD800x","ctl":"","big":1e400,"e":1E-7,"neg0":-0.0,"zero":0.0,"strs":["z","10","9"],"t":"ab","nul":0,"fl":0}`,
		`{"x":{"k":1,"a":2},"o":{"z":1,"A":true,"a":{"b":[1]},"\u0061":"dup via escape"},"n":"1","s":"42","x2":[]}`,
		`{"x":[],"o":null,"n":-3,"f":100000000000000000000.5,"s":"a%sb","u":"a"}`,
		`{}`, `[]`, `[1,[2]]`, `"str"`, `7`, `null`, `true`,
		"{\"s\":\"bad \xff utf\xc3\",\"x\":[\"\xed\xa0\x80\"],\"u\":\"\xff\"}",
		` { "x" : [ 1 , 2 ] , "o" : { } } `,
		`{"x":[1.0,1,1.00,1e0,10e-1],"n":1e0,"o":{"k":1.0},"big":-12345678901234567890}`,
		`{"x":["a","A","é","z","~","\u0000"],"strs":["é","z"],"o":{"é":1,"z":2,"":3}}`,
		`{"x":` + numbers(40) + `,"o":` + document(90) + `,"s":"k41"}`,
	}
}

// TestSharpSemantics holds hand-written rules to OPA's evaluator.
func TestSharpSemantics(t *testing.T) {
	t.Parallel()
	for _, rule := range sharpRules() {
		t.Run(strings.SplitN(rule, "\n", 2)[0], func(t *testing.T) {
			t.Parallel()
			p, err := newPair(t, "package p\n\n"+rule+"\n", []string{"p"})
			if err != nil {
				t.Fatal(err)
			}
			for _, doc := range sharpInputs() {
				if _, err := ast.ValueFromReader(strings.NewReader(doc)); err != nil {
					t.Fatal(err)
				}
				if _, err := p.differ(t.Context(), "p", doc); err != nil {
					t.Errorf("%s: %v", doc, err)
				}
			}
		})
	}
}

// TestWrittenOut are the scans that are left to OPA, and some like them that are not.
func TestWrittenOut(t *testing.T) {
	t.Parallel()
	for rules, left := range map[string]bool{
		"p := [x | some x in {input.a, 3}]":                                  true,
		"p := [x | s := {input.a, 3}; some x in s]":                          true,
		"p := [x | some x in {input.a: 1, \"b\": 2}]":                        true,
		"f(s) := [x | some x in s]\np := f({input.a, 3})":                    true,
		"r := {input.a, 3}\np := [x | some x in r]":                          true,
		"p := {input.a: 1, input.b: 2}":                                      true, // which value 1 has
		"p := x if { some x in {input.a, 3}; to_number(x) == 3 }":            true,
		"p contains x if some x in {input.a, input.b}":                       false,
		"p := {x | some x in {input.a, input.b}}":                            false,
		"p := [x | some x in [input.a, 3]]":                                  false,
		"p := [x | some x in {1, 3}]":                                        false,
		"p := [x | some x in {\"a\": input.a, \"b\": 2}]":                    false,
		"p := [x | some x in {y | y := input[_]}]":                           false,
		"p := [x | some x in ({input.a, 3} | {4})]":                          false,
		"p := sum({input.a, input.b})":                                       false,
		"r contains x if x := input.a\nr contains 3\np := [x | some x in r]": false,
	} {
		p := policy(t, rules)
		_, err := ask(t, p, machine(p), `{"a":1,"b":1}`, vm.Limits{Steps: 1 << 20, Bytes: 1 << 20})
		if (err != nil) != left || left && !errors.Is(err, vm.ErrWritten) {
			t.Errorf("%s: error %v, want one: %t", rules, err, left)
		}
	}
}

// TestKnownDifferences are the few points in which plans differ from OPA's
// evaluator: in what policies can hardly rest on, and the last in what no library
// may have. Where a sample meets one, the run says so. One that is gone must leave the list.
func TestKnownDifferences(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ rules, doc string }{
		"OPA's evaluator takes 1.0 for the 1 that a function was called with before":        {"f(x) := [x]\np := [f(x) | some x in input]", `[1,1.0]`},
		"it may index a comprehension before a variable of another's has a value, and fail": {"p := [input[v] | some i; input[i] == object.get({\"v\": v}, \"v\", 0)] if v := count([])", `[0]`},
		"it gives a rule's key the spelling of what it is asked for":                        {"m[x] := x if some x in [1, 2]\np := m[input[0]]", `[1.0]`},
		"and finds numbers that float64 does not have by their value, not their text":       {"p := {input[0]} - {input[1]}", `[1e400,10e399]`},
		"and what the head of a rule has for a key that is no text for one always there":    {"m.a[3] contains x if some x in input\np := m", `[]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := newPair(t, "package p\n\n"+tt.rules+"\n", []string{"p"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.differ(t.Context(), "p", tt.doc); err == nil {
				t.Error("there is no difference")
			} else {
				t.Log(err)
			}
		})
	}
}
