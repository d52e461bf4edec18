package terraform_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/terraform"
)

// survive reads a document that may be anything. What comes of it must hold what every collection promises.
func survive(t *testing.T, content string) (*audittest.Writer, error) {
	t.Helper()
	c := collector(t, terraform.Config{Inputs: []terraform.Input{input("in", content)}, MaxBytes: 1 << 20})
	w := &audittest.Writer{}
	col, err := c.Collect(t.Context(), audit.Request{}, w)
	if err != nil {
		return w, err
	}
	documents, ids := map[string]int64{}, map[string]bool{}
	for i, line := range w.Lines {
		if _, err := audit.ParseResource(line); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if bytes.ContainsAny(line, "\n\r") || ids[w.Resources[i].ID] {
			t.Fatalf("not one line, or an id twice: %s", line)
		}
		documents[w.Resources[i].Type]++
		ids[w.Resources[i].ID] = true
	}
	for _, tc := range col.Types {
		if tc.Listed != documents[tc.Type] {
			t.Fatalf("%d of %s listed, %d documents", tc.Listed, tc.Type, documents[tc.Type])
		}
	}
	if len(col.Types) != len(documents) || col.Exhaustive != (len(col.Gaps) == 0) {
		t.Fatalf("types %v, documents %v, gaps %v, exhaustive %v", col.Types, documents, col.Gaps, col.Exhaustive)
	}
	return w, nil
}

func FuzzDocument(f *testing.F) {
	for _, s := range []string{
		`{"version":4,"lineage":"l","resources":[{"module":"module.a[\"x\"]","mode":"managed","type":"x_y","name":"n","provider":"provider[\"a/b\"]","instances":[{"index_key":"a/b","attributes":{"password":"p","tags":{"Name":"m"}},"sensitive_attributes":[[{"type":"get_attr","value":"tags"}]]},{"index_key":1,"deposed":"x"}]}]}`,
		`{"format_version":"1.0","values":{"root_module":{"resources":[{"address":"x_y.n","mode":"managed","type":"x_y","name":"n","values":{"a":["b"]},"sensitive_values":{"a":[true]}}],"child_modules":[{"address":"module.a","resources":[]}]}}}`,
		`{"format_version":"1.2","planned_values":{},"resource_changes":[{"address":"module.a[0].x_y.n","mode":"managed","type":"x_y","name":"n","change":{"actions":["create"],"after":{"tags":{}},"after_unknown":{"tags_all":true},"after_sensitive":false}}],"configuration":{"root_module":{"module_calls":{"a":{"expressions":{"v":{"references":["module.a.o","each.value"]}},"module":{"outputs":{"o":{"expression":{"references":["var.v"]}}},"resources":[{"address":"x_y.n","expressions":{"a":[{"b":{"references":["var.v"]}}]}}]}}}}}}`,
		`{"version":3,"backend":{}}`, "PK\x03\x04", "{", `{"version":4,"version":4}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		terraform.Looks(content)
		first, err := survive(t, string(content))
		if err != nil {
			return
		}
		if again, _ := survive(t, string(content)); strings.Join(lines(first), "\n") != strings.Join(lines(again), "\n") {
			t.Fatal("read twice, the documents differ")
		}
	})
}

// Whatever the path in a raw state: if it can be read at all, and leads to a
// value, that value does not get out.
func FuzzSensitivePaths(f *testing.F) {
	for _, s := range []string{
		`[[{"type":"get_attr","value":"a"}]]`, `[[{"type":"get_attr","value":"a"},{"type":"index","value":{"value":0,"type":"number"}}]]`,
		`[[]]`, `[[{"type":"get_attr","value":"m"},{"type":"index","value":{"value":"k/~","type":"string"}}]]`,
		`[[{"type":"get_attr","value":"d"},{"type":"get_attr","value":"x"}]]`, `[[{"type":"index","value":{"value":{"a":1},"type":["object"]}}]]`,
		`null`, `[]`, `[{}]`, `[["a"]]`, `[[{"type":"get_attr"}]]`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, paths string) {
		if !json.Valid([]byte(paths)) {
			return
		}
		in := `{"version":4,"lineage":"l","resources":[{"mode":"managed","type":"x_y","name":"n","instances":[{"attributes":` +
			`{"a":["secret-1"],"m":{"k/~":"secret-2"},"d":{"value":{"x":"secret-3"},"type":["object",{"x":"string"}]}},"sensitive_attributes":` + paths + `}]}]}`
		w, err := survive(t, in)
		var all []any
		if json.Unmarshal([]byte(paths), &all) != nil || len(all) == 0 || err != nil {
			return
		}
		if len(w.Resources) == 1 && len(w.Resources[0].Redacted) == 0 {
			t.Fatalf("paths %s were read, and nothing was replaced", paths)
		}
	})
}

func FuzzReferences(f *testing.F) {
	for _, s := range [][2]string{
		{"aws_b.b[0].id", `x_y.n["k"]`},
		{"module.m.o", "module.m[0].x_y.n"},
		{`module.m["a.b"].o.c`, `module.m["a.b"].module.n.x_y.n`},
		{"each.value.id", `x_y.n["k"]`},
		{"local.l", "x_y.n"},
		{"data.d.d[\"", "module.["},
		{"var.v", `module.m["\"]"].x_y.n`},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, ref, address string) {
		quote := func(s string) string {
			b, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		refs := `{"references":[` + quote(ref) + `]}`
		body := `"outputs":{"o":{"expression":` + refs + `}},"resources":[{"address":"x_y.n","expressions":{"a":` + refs + `},"for_each_expression":` + refs + `}]`
		_, _ = survive(t, `{"format_version":"1.2","planned_values":{},"resource_changes":[{"address":`+quote(address)+`,"mode":"managed","type":"x_y","name":"n",`+
			`"change":{"actions":["create"],"after":{},"after_unknown":{}}}],"configuration":{"root_module":{`+body+`,"module_calls":{"m":{"for_each_expression":`+refs+
			`,"expressions":{"v":`+refs+`},"module":{`+body+`,"module_calls":{"n":{"expressions":{"v":`+refs+`},"module":{`+body+`}}}}}}}}}`)
	})
}
