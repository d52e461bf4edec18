package evaluate_test

import (
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// aroundLibrary has one control, which fails where attribute x is not 0, and an
// estate in which things may be looked up.
func aroundLibrary(attribute string) map[string]string {
	if strings.Contains(attribute, "keys.") {
		attribute = "import data.lib.keys\n\n" + attribute
	}
	return map[string]string{
		"lib/thing.rego": "package lib.thing\n\n" + attribute + "\n",
		"lib/keys.rego":  "package lib.keys\n\nid(x) := x\n",
		"lib/estate.rego": `package lib.estate

import data.lib.keys

estate contains {"kind": "thing", "key": keys.id(input.data.k), "value": 1} if input.source == "netbox"
`,
		"controls/a/b.rego": control("ARD-001", "controls.a.b", `"aws/T"`, `import data.lib.thing

violation contains {"message": sprintf("%v", [thing.x]), "observed": thing.x, "expected": 0, "path": "/data"} if thing.x != 0
`),
	}
}

// TestAround: a decision is made around a hole only if it is the same whatever
// stands there, an error and an undefined attribute included.
func TestAround(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		attribute, data string
		holes           []string
		want            string
	}{
		"either way":            {"x := 0 if _p\n_p if input.data.a\n_p if input.data.b", `{"b":1}`, []string{"/data/a"}, "pass"},
		"one way only":          {"x := 0 if input.data.a\nx := 1 if not input.data.a", `{"a":1}`, []string{"/data/a"}, "gap"},
		"the first will do":     {"x := 0 if input.data.b\nelse := input.data.a", `{"b":1}`, []string{"/data/a"}, "pass"},
		"the first is hidden":   {"x := 1 if input.data.a\nelse := 0", `{"a":1}`, []string{"/data/a"}, "gap"},
		"the violations differ": {"x := input.data.a", `{"a":1}`, []string{"/data/a"}, "gap"},
		"fails either way":      {"x := 1 if _p\nx := 1 if not _p\n_p if input.data.a == 1", `{}`, []string{"/data/a"}, "fail 1"},
		"or is not there":       {"x := 1 if is_string(input.data.a)\nx := 1 if not is_string(input.data.a)", `{"a":1}`, []string{"/data/a"}, "gap"},
		"conflict":              {"x := 0 if input.data.b\nx := 1 if input.data.a", `{"b":1}`, []string{"/data/a"}, "gap"},
		"builtin error":         {"x := 0 if _p\n_p if lower(input.data.a) != \"x\"\n_p if input.data.b", `{"b":1,"a":"y"}`, []string{"/data/a"}, "gap"},
		"undefined":             {"x := 0 if input.data.a != 7", `{"a":1}`, []string{"/data/a"}, "gap"},
		"no container":          {"x := 0 if input.data.a.b.c\nx := 1 if not input.data.a.b.c", `{}`, []string{"/data/a/b/c"}, "gap"},
		"beside the hole":       {"x := count([k | some k, _ in input.data.a; k != \"b\"; k != \"c\"])", `{"a":{"c":1}}`, []string{"/data/a/b"}, "pass"},
		"the members":           {"x := count(input.data.a) - 1", `{"a":{"c":1}}`, []string{"/data/a/b"}, "gap"},
		"of a scalar":           {"x := 0 if input.data.a == null\nx := 1 if input.data.a != null", `{"a":null}`, []string{"/data/a/b"}, "gap"},
		"an element":            {"x := 0 if input.data.a[1] == 5\nx := 1 if not input.data.a[1] == 5", `{"a":[4,5]}`, []string{"/data/a/0"}, "gap"},
		"below an element":      {"x := 0 if input.data.a[1].b == 5\nx := 1 if not input.data.a[1].b == 5", `{"a":[4,{"b":5}]}`, []string{"/data/a/1/c"}, "pass"},
		"past the end":          {"x := count(input.data.a)", `{"a":[]}`, []string{"/data/a/0"}, "gap"},
		"escaped":               {"x := 0 if input.data[\"a/b~c\"]\nx := 1 if not input.data[\"a/b~c\"]", `{"a/b~c":1}`, []string{"/data/a~1b~0c"}, "gap"},
		"escaped otherwise":     {"x := 0 if input.data[\"a/b~c\"]\nx := 1 if not input.data[\"a/b~c\"]\ny := input.data", `{"a/b~c":1}`, []string{"/data/a~1b~1c"}, "pass"},
		"among known":           {"x := 0 if 5 in input.data.a", `{"a":[5,{"b":1}]}`, []string{"/data/a/1/b"}, "pass"},
		"every":                 {"x := 0 if not _all\nx := 1 if _all\n_all if { every v in input.data.a { v.b == 1 } }", `{"a":[{"b":2},{"b":1}]}`, []string{"/data/a/1/b"}, "pass"},
		"every of them":         {"x := 0 if not _all\nx := 1 if _all\n_all if { every v in input.data.a { v.b == 1 } }", `{"a":[{"b":1},{"b":1}]}`, []string{"/data/a/1/b"}, "gap"},
		"a set of them":         {"x := count({v.b | some v in input.data.a}) - 2", `{"a":[{"b":2},{"b":1}]}`, []string{"/data/a/1/b"}, "gap"},
		"known key":             {"x := 0 if data.estate.netbox.thing[keys.id(input.data.b)]\nelse := 1 if data.estate.netbox.thing[keys.id(input.data.a)]\nelse := 2", `{"b":"k"}`, []string{"/data/a"}, "pass"},
		"unknown key":           {"x := 0 if data.estate.netbox.thing[keys.id(input.data.a)]\nelse := 1", `{"a":"k"}`, []string{"/data/a"}, "gap"},
		"what is hidden":        {"x := count(input.gaps) - 1 if input.data.a\nelse := 0", `{}`, []string{"/data/a"}, "gap"},
		"two holes":             {"x := 0 if _p\n_p if input.data.a\n_p if input.data.c\n_p if input.data.b", `{"b":1}`, []string{"/data/a", "/data/c"}, "pass"},
		"one of two holes":      {"x := 0 if _p\n_p if input.data.a\n_p if input.data.b", `{"b":1}`, []string{"/data/a", "/data/b"}, "gap"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := engine(t, library(t, aroundLibrary(tt.attribute)))
			var change []func(*audit.Resource)
			for _, p := range tt.holes {
				change = append(change, gap(p))
			}
			got := outcomes(t, e, judgement(t, doc("aws/1/eu", "T", "x", tt.data, change...), doc("netbox/n", "thing", "1", `{"k":"k"}`)))
			expect := "x ARD-001 " + tt.want
			if tt.want == "gap" {
				expect = "x ARD-001 not_evaluated"
				for _, p := range tt.holes {
					expect += " gap " + p
				}
			}
			want(t, got, expect)
		})
	}
}

// TestAroundApplies: a resource is excluded around a hole where that is certain.
func TestAroundApplies(t *testing.T) {
	t.Parallel()
	e := engine(t, library(t, map[string]string{
		"lib/thing.rego": `package lib.thing

mine := true if input.data.a == 1
else := true if input.data.b == 1
else := false
x := 0 if input.data.c
else := 1
`,
		"controls/a/b.rego": control("ARD-002", "controls.a.b", `"aws/T"`, `import data.lib.thing

default applies := false

applies if not thing.mine

violation contains {"message": "x", "observed": thing.x, "expected": 0, "path": "/data"} if thing.x != 0
`, "#   excludes: Mine."),
	}))
	want(t, outcomes(t, e, judgement(t,
		doc("aws/1/eu", "T", "applies perhaps", `{"b":2,"c":1}`, gap("/data/a")),
		doc("aws/1/eu", "T", "excluded", `{"b":1}`, gap("/data/a")),
		doc("aws/1/eu", "T", "excluded before", `{"b":1}`, gap("/data/c")),
		doc("aws/1/eu", "T", "token", `{"a":"redacted:00","b":1}`, redacted("/data/a")),
	)), "applies perhaps ARD-002 not_evaluated gap /data/a", "excluded ARD-002 excluded not_applicable",
		"excluded before ARD-002 excluded not_applicable", "token ARD-002 excluded not_applicable")
}
