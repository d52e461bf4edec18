package terraform_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/terraform"
)

// stateOf is a raw state of resource blocks.
func stateOf(blocks string) terraform.Input {
	return input("a.tfstate", `{"version":4,"terraform_version":"1.11.4","serial":7,"lineage":"l","outputs":{},"resources":[`+blocks+`],"check_results":null}`)
}

// shownOf is a shown state of resources.
func shownOf(resources string) terraform.Input {
	return input("a.json", `{"format_version":"1.0","terraform_version":"1.11.4","values":{"root_module":{"resources":[`+resources+`]}}}`)
}

func TestStateAddresses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ module, mode, index, want string }{
		"plain":              {"", "managed", `null`, "aws_x/aws_x.n"},
		"counted":            {"", "managed", `0`, "aws_x/aws_x.n[0]"},
		"for each":           {"", "managed", `"a/b"`, `aws_x/aws_x.n["a/b"]`},
		"quotes and escapes": {"", "managed", `"a\"b\\c\n${d}%{e}$f"`, `aws_x/aws_x.n["a\"b\\c\n$${d}%%{e}$f"]`},
		"unprintable":        {"", "managed", `"\u0007\u202e"`, `aws_x/aws_x.n["\u0007\u202e"]`},
		"in a module":        {`module.a["x.y"].module.b[0]`, "managed", `null`, `aws_x/module.a["x.y"].module.b[0].aws_x.n`},
		"data source":        {"module.a", "data", `null`, "data.aws_x/module.a.data.aws_x.n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			module, err := json.Marshal(tt.module)
			if err != nil {
				t.Fatal(err)
			}
			in := stateOf(`{"module":` + string(module) + `,"mode":"` + tt.mode + `","type":"aws_x","name":"n","provider":"p","instances":[{"index_key":` + tt.index + `,"attributes":{}}]}`)
			w, _ := collect(t, terraform.Config{Inputs: []terraform.Input{in}})
			if got := w.Resources[0].ID; got != "terraform/test/"+tt.want {
				t.Errorf("id = %s, want %s", got, "terraform/test/"+tt.want)
			}
			if got := data(t, w.Resources[0])["module"]; got != tt.module {
				t.Errorf("module = %v, want %s", got, tt.module)
			}
		})
	}
}

func TestStateResource(t *testing.T) {
	t.Parallel()
	in := stateOf(`{"module":"module.a","mode":"managed","type":"aws_x","name":"n","provider":"module.a.provider[\"registry.terraform.io/hashicorp/aws\"].eu","instances":[
		{"index_key":0,"status":"tainted","schema_version":3,"attributes":{"size":12345678901234567890,"tags":{"Name":"one","team":"web","n":null}},"dependencies":["aws_y.y"],"private":"c2VjcmV0"},
		{"index_key":1,"schema_version":0,"attributes_flat":{"size":"1"}},
		{"index_key":0,"deposed":"0a1b2c3d","schema_version":3,"attributes":{"size":1}}]}`)
	w, col := collect(t, terraform.Config{Inputs: []terraform.Input{in}})
	want := []audit.Resource{{
		Data: map[string]any{
			"address": "module.a.aws_x.n[0]", "dependencies": []any{"aws_y.y"}, "index": json.Number("0"), "mode": "managed", "module": "module.a",
			"name": "n", "provider": "registry.terraform.io/hashicorp/aws", "schema_version": int64(3), "tainted": true,
			"values": map[string]any{"size": json.Number("12345678901234567890"), "tags": map[string]any{"Name": "one", "team": "web", "n": nil}},
		},
		ID: "terraform/test/aws_x/module.a.aws_x.n[0]", Name: "one", Origin: "terraform/test", Source: "terraform",
		Tags: map[string]string{"Name": "one", "team": "web"}, Type: "aws_x",
	}, {
		Data: map[string]any{
			"address": "module.a.aws_x.n[1]", "dependencies": []any{}, "index": json.Number("1"), "mode": "managed", "module": "module.a",
			"name": "n", "provider": "registry.terraform.io/hashicorp/aws", "schema_version": int64(0), "values": map[string]any{},
		},
		Gaps: map[string]string{"/data/values": "Failed attributes_flat", "/tags": "Failed attributes_flat", "/name": "Failed attributes_flat"},
		ID:   "terraform/test/aws_x/module.a.aws_x.n[1]", Name: "n", Origin: "terraform/test", Source: "terraform",
		Tags: map[string]string{}, Type: "aws_x",
	}}
	if diff := cmp.Diff(want, w.Resources); diff != "" {
		t.Errorf("resources differ (-want +got):\n%s", diff)
	}
	notices := []audit.Notice{{Code: "deposed_instances", Subject: "terraform/test", Message: "deposed instances, which wait to be destroyed and are not judged: 1"}}
	if diff := cmp.Diff(notices, col.Notices); diff != "" {
		t.Errorf("notices differ (-want +got):\n%s", diff)
	}
	types := []audit.TypeCount{{Type: "aws_x", Listed: 2, Completeness: audit.Listed, Basis: "a.tfstate: state v4, serial 7, lineage l, Terraform 1.11.4"}}
	if diff := cmp.Diff(types, col.Types); diff != "" {
		t.Errorf("types differ (-want +got):\n%s", diff)
	}
}

// What a raw state and its shown form say is the same, but for values of
// dynamic type, which raw state wraps.
func TestStateAndShownAgree(t *testing.T) {
	t.Parallel()
	raw, _ := collect(t, terraform.Config{Files: []string{"testdata/state.tfstate"}})
	shown, _ := collect(t, terraform.Config{Files: []string{"testdata/state-show.json"}})
	if len(raw.Lines) != len(shown.Lines) {
		t.Fatalf("%d resources raw, %d shown", len(raw.Lines), len(shown.Lines))
	}
	for i, r := range raw.Resources {
		if r.Type == "terraform_data" {
			continue
		}
		if diff := cmp.Diff(r, shown.Resources[i]); diff != "" {
			t.Errorf("%s differs (-raw +shown):\n%s", r.ID, diff)
		}
	}
}

// A program that sorts keys puts instances before the type they are of.
func TestSortedKeys(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"state.tfstate", "state-show.json", "plan.json"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile("testdata/" + file)
			if err != nil {
				t.Fatal(err)
			}
			v, err := audit.DecodeJSON(b)
			if err != nil {
				t.Fatal(err)
			}
			sorted, err := audit.Canonical(v)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := collect(t, terraform.Config{Inputs: []terraform.Input{input(file, string(b))}})
			got, _ := collect(t, terraform.Config{Inputs: []terraform.Input{input(file, string(sorted))}})
			if diff := cmp.Diff(lines(want), lines(got)); diff != "" {
				t.Errorf("documents differ (-as written +sorted):\n%s", diff)
			}
		})
	}
}

func lines(w *audittest.Writer) []string {
	var out []string
	for _, l := range w.Lines {
		out = append(out, string(l))
	}
	return out
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]terraform.Input{
		"state":       stateOf(""),
		"shown":       shownOf(""),
		"no state":    input("a.json", `{"format_version":"1.0"}`),
		"plan":        planOf(""),
		"with a mark": input("a.json", "\ufeff"+`{"format_version":"1.0"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, col := collect(t, terraform.Config{Inputs: []terraform.Input{in}})
			if len(w.Resources) > 0 || !col.Exhaustive || len(col.Calls) != 1 {
				t.Errorf("%d resources, exhaustive = %v, %d calls", len(w.Resources), col.Exhaustive, len(col.Calls))
			}
		})
	}
}

func TestCalls(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/state.tfstate")
	if err != nil {
		t.Fatal(err)
	}
	_, col := collect(t, terraform.Config{Files: []string{"testdata/state.tfstate"}})
	want := []audit.Call{{
		Operation: "read state.tfstate", Requests: 1, Items: 25,
		Parameters: map[string]string{
			"file": "state.tfstate", "format": "state v4", "serial": col.Calls[0].Parameters["serial"], "sha256": audit.Digest(b),
			"lineage": col.Calls[0].Parameters["lineage"], "terraform_version": "1.11.4",
		},
	}}
	if diff := cmp.Diff(want, col.Calls); diff != "" || want[0].Parameters["serial"] == "" || want[0].Parameters["lineage"] == "" {
		t.Errorf("calls differ (-want +got):\n%s", diff)
	}
}
