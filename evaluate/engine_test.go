package evaluate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// library loads controls and adapters given as "path: text"; METADATA that a
// test has nothing to say about is added.
func library(t testing.TB, files map[string]string) *policies.Library {
	t.Helper()
	fsys := fstest.MapFS{"frameworks/none.yaml": {Data: []byte("id: none\ntitle: None\nversion: \"1\"\nreport: none\nrequirements:\n  - {id: R1, title: Nothing, evidence: [], not_evidenced: Nothing is evidenced here.}\n")}}
	for path, text := range files {
		fsys[path] = &fstest.MapFile{Data: []byte(text)}
	}
	lib, err := policies.Load(fsys, nil)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// control renders a control's module; extra are further lines of METADATA's custom.
func control(id, pkg, appliesTo, rego string, extra ...string) string {
	lines := append([]string{
		"# METADATA", "# title: A control of a test", "# description: What it says.", "# custom:", "#   id: " + id, "#   severity: high",
		"#   applies_to: [" + appliesTo + "]", "#   why: Because.", "#   fix: {aws: do}",
	}, extra...)
	return strings.Join(lines, "\n") + "\npackage " + pkg + "\n\n" + rego
}

func engine(t testing.TB, lib *policies.Library) *evaluate.Engine {
	t.Helper()
	e, err := evaluate.New(evaluate.Config{Library: lib, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// doc is a resource of type T named after its id.
func doc(origin, typ, name, data string, change ...func(*audit.Resource)) audit.Resource {
	v, err := audit.DecodeJSON([]byte(data))
	if err != nil {
		panic(err)
	}
	r := audit.Resource{Source: audit.SourceOf(origin), Origin: origin, Type: typ, ID: audit.ResourceID(origin, typ, name), Name: name, Data: v}
	for _, c := range change {
		c(&r)
	}
	return r
}

func gap(pointer string) func(*audit.Resource) {
	return func(r *audit.Resource) { r.Gap(pointer, audit.AccessDenied, "x:Get") }
}

func redacted(pointer string) func(*audit.Resource) {
	return func(r *audit.Resource) { r.Redacted = append(r.Redacted, pointer) }
}

// judgement puts resources, which must be in order of id, into snapshots.
func judgement(t testing.TB, resources ...audit.Resource) audit.Judgement {
	t.Helper()
	v := &audittest.Vault{}
	j := audit.Judgement{AsOf: audittest.Moment, Vault: v}
	text := map[string]*strings.Builder{}
	for _, r := range resources {
		line, err := r.Line()
		if err != nil {
			t.Fatal(err)
		}
		if text[r.Origin] == nil {
			text[r.Origin] = &strings.Builder{}
			j.Snapshots = append(j.Snapshots, audit.Snapshot{Origin: r.Origin})
		}
		fmt.Fprintf(text[r.Origin], "%s\n", line)
	}
	for i := range j.Snapshots {
		digest, err := v.Put(context.Background(), strings.NewReader(text[j.Snapshots[i].Origin].String()))
		if err != nil {
			t.Fatal(err)
		}
		j.Snapshots[i].Digest = digest
	}
	return j
}

// outcomes decides and renders each decision as "name control outcome reason-or-message".
func outcomes(t testing.TB, d audit.Decider, j audit.Judgement) []string {
	t.Helper()
	var out []string
	err := d.Decide(t.Context(), j, func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			s := fmt.Sprintf("%s %s %s", v.Name, d.Control, d.Outcome)
			for _, r := range d.Reasons {
				s += fmt.Sprintf(" %s %s", r.Code, r.Where)
			}
			for _, v := range d.Violations {
				s += " " + v.Message
			}
			out = append(out, strings.TrimSpace(s))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func want(t testing.TB, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("decisions (-got +want):\n%s", diff)
	}
}

const colours = `package lib.thing

colour := input.data.colour if input.source == "aws"
colour := input.data.spec.color if input.source == "kubernetes"
path := "/data/colour" if input.source == "aws"
path := "/data/spec/color" if input.source == "kubernetes"
`

const notRed = `import data.lib.thing

violation contains {"message": sprintf("is %s", [thing.colour]), "observed": thing.colour, "expected": "red", "path": thing.path} if thing.colour != "red"
`

func TestDecide(t *testing.T) {
	t.Parallel()
	lib := library(t, map[string]string{
		"lib/thing.rego":            colours,
		"controls/paint/red.rego":   control("PNT-001", "controls.paint.red", `"aws/T", "kubernetes/v1/T"`, notRed),
		"controls/paint/other.rego": control("PNT-002", "controls.paint.other", `"aws/U"`, "violation contains {\"message\": \"always\", \"observed\": 1, \"expected\": 2, \"path\": \"/data\"} if input.id\n"),
	})
	j := judgement(t,
		doc("aws/1/eu", "T", "blue", `{"colour":"blue"}`),
		doc("aws/1/eu", "T", "gap", `{"colour":"red"}`, gap("/data/colour")),
		doc("aws/1/eu", "T", "gap elsewhere", `{"colour":"red"}`, gap("/data/shape"), redacted("/data/other")),
		doc("aws/1/eu", "T", "none", `{}`),
		doc("aws/1/eu", "T", "red", `{"colour":"red"}`),
		doc("aws/1/eu", "T", "token", `{"colour":"redacted:00"}`, redacted("/data/colour")),
		doc("aws/1/eu", "U", "u", `{}`),
		doc("aws/1/eu", "V", "not judged", `{}`),
		doc("kubernetes/a", "v1/T", "k", `{"spec":{"color":"green"}}`),
	)
	want(t, outcomes(t, engine(t, lib), j),
		"blue PNT-001 fail is blue",
		"gap PNT-001 not_evaluated gap /data/colour",
		"gap elsewhere PNT-001 pass",
		"none PNT-001 not_evaluated undefined lib.thing.colour",
		"red PNT-001 pass",
		"token PNT-001 not_evaluated redacted /data/colour",
		"u PNT-002 fail always",
		"k PNT-001 fail is green",
	)
}

func TestReads(t *testing.T) {
	t.Parallel()
	lib := library(t, map[string]string{
		"lib/pod.rego": `package lib.pod

_spec := input.data.spec if input.type == "v1/Pod"
_spec := input.data.spec.template.spec if input.type == "apps/v1/Deployment"
images := [c.image | some c in _spec.containers]
names := [name | some c in array.concat(object.get(_spec, "containers", []), object.get(_spec, "initContainers", [])); c.securityContext.privileged == true; name := c.name]
owned := count(object.get(input.data.metadata, "ownerReferences", [])) > 0
`,
		"lib/keys.rego": `package lib.keyed

listed := [input.data[k] | some k in ["a", "b"]]
mapped := {v: input.data[k] | some k, v in {"c": "x", "d": "y"}}
asked := input.data.e[input.data.key]
`,
		"controls/a/keys.rego": control("KEY-001", "controls.a.keys", `"kubernetes/v1/Service"`, `import data.lib.keyed

violation contains {"message": "x", "observed": keyed.listed, "expected": keyed.mapped, "path": "/data"} if keyed.asked
`),
		"controls/a/images.rego": control("IMG-001", "controls.a.images", `"kubernetes/v1/Pod", "kubernetes/apps/v1/Deployment"`, `import data.lib.pod

violation contains {"message": image, "observed": image, "expected": "", "path": "/data"} if {
	some image in pod.images
	not startswith(image, "good/")
}
`),
		"controls/a/priv.rego": control("PRV-001", "controls.a.priv", `"kubernetes/v1/Pod"`, `import data.lib.pod

default applies := false

applies if not pod.owned

violation contains {"message": name, "observed": data.run.as_of, "expected": "", "path": "/data"} if some name in pod.names
`, "#   excludes: Owned by a controller."),
	})
	e := engine(t, lib)
	tests := map[string]struct{ control, typ, want string }{
		"keys spelt out": {"KEY-001", "v1/Service", `{"input":[{"pointer":"/data/a","whole":true},{"pointer":"/data/b","whole":true},` +
			`{"pointer":"/data/c","whole":true},{"pointer":"/data/d","whole":true},{"pointer":"/data/e/*","whole":true},{"pointer":"/data/key","whole":true}],"estate":null,"time":false}`},
		"comprehension": {"IMG-001", "v1/Pod", `{"input":[{"pointer":"/data/spec/containers/*/image","whole":true}],"estate":null,"time":false}`},
		"another type":  {"IMG-001", "apps/v1/Deployment", `{"input":[{"pointer":"/data/spec/template/spec/containers/*/image","whole":true}],"estate":null,"time":false}`},
		"concat and applies": {"PRV-001", "v1/Pod", `{"input":[{"pointer":"/data/metadata/ownerReferences/*","whole":false},` +
			`{"pointer":"/data/spec/containers/*/name","whole":true},{"pointer":"/data/spec/containers/*/securityContext/privileged","whole":true},` +
			`{"pointer":"/data/spec/initContainers/*/name","whole":true},{"pointer":"/data/spec/initContainers/*/securityContext/privileged","whole":true}],"estate":null,"time":true}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := e.Reads(t.Context(), tt.control, audit.Kubernetes, tt.typ)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := json.Marshal(r)
			if diff := cmp.Diff(string(got), tt.want); diff != "" {
				t.Errorf("reads (-got +want):\n%s", diff)
			}
		})
	}
}

// TestReadsOfManyArguments: what a function reads depends on all its arguments,
// however alike two calls look.
func TestReadsOfManyArguments(t *testing.T) {
	t.Parallel()
	lib := library(t, map[string]string{
		"lib/thing.rego": `package lib.thing

ab := input.data.a if input.data.p == 1
ab := input.data.b if input.data.p == 2
bc := input.data.b if input.data.p == 3
bc := input.data.c if input.data.p == 2
first := uses(input.data.a, bc)
second := uses(ab, input.data.c)
uses(x, _) if x.foo
else := false
`,
		"controls/a/b.rego": control("ARG-001", "controls.a.b", `"aws/T"`, `import data.lib.thing

violation contains {"message": "first", "observed": 1, "expected": 2, "path": "/data"} if thing.first
violation contains {"message": "second", "observed": 1, "expected": 2, "path": "/data"} if thing.second
`),
	})
	want(t, outcomes(t, engine(t, lib), judgement(t,
		doc("aws/1/eu", "T", "gap", `{"p":2,"a":{},"b":{},"c":{}}`, gap("/data/b/foo")),
		doc("aws/1/eu", "T", "whole", `{"p":2,"a":{},"b":{"foo":true},"c":{}}`),
	)), "gap ARG-001 not_evaluated gap /data/b/foo", "whole ARG-001 fail second")
}

// TestComparedTokens: a token may be compared where METADATA says so of the
// attribute, and only through that attribute.
func TestComparedTokens(t *testing.T) {
	t.Parallel()
	e := engine(t, library(t, map[string]string{
		"lib/thing.rego": "package lib.thing\n\nsecret := input.data.secret\nother := input.data.other\n",
		"controls/a/b.rego": control("TOK-001", "controls.a.b", `"aws/T"`, `import data.lib.thing

violation contains {"message": "none", "observed": "", "expected": "a secret", "path": "/data/secret"} if thing.secret == ""
violation contains {"message": "bad", "observed": "", "expected": "", "path": "/data/other"} if thing.other == "bad"
`, "#   compares_tokens: [lib.thing.secret]"),
	}))
	want(t, outcomes(t, e, judgement(t,
		doc("aws/1/eu", "T", "both", `{"secret":"redacted:00","other":"redacted:01"}`, redacted("/data/secret"), redacted("/data/other")),
		doc("aws/1/eu", "T", "gap", `{"secret":"x","other":"x"}`, gap("/data/secret")),
		doc("aws/1/eu", "T", "none", `{"secret":"","other":"x"}`),
		doc("aws/1/eu", "T", "token", `{"secret":"redacted:00","other":"x"}`, redacted("/data/secret")),
	)),
		"both TOK-001 not_evaluated redacted /data/other", "gap TOK-001 not_evaluated gap /data/secret",
		"none TOK-001 fail none", "token TOK-001 pass")
}
