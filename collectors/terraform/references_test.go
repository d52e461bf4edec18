package terraform_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/collectors/terraform"
)

// refers makes the configuration of one attribute that refers to something.
func refers(refs ...string) string {
	return fmt.Sprintf(`{"references":["%s"]}`, strings.Join(refs, `","`))
}

func TestReferences(t *testing.T) {
	t.Parallel()
	block := func(more, attribute string) string {
		return `{"address":"aws_x.x","mode":"managed","type":"aws_x","name":"x","expressions":{"a":` + attribute + `}` + more + `}`
	}
	tests := map[string]struct {
		block   string // the block aws_x.x of the root
		calls   string // module calls
		changes string // addresses of what else is planned
		at      string // which instance is looked at
		want    map[string]any
	}{
		"an instance by its key": {
			block: block("", refers("aws_b.b[1].id", "aws_b.b[1]", "aws_b.b")), changes: "aws_b.b[0] aws_b.b[1]",
			want: map[string]any{"a": []any{"aws_b.b[1]"}},
		},
		"all instances": {
			block: block("", refers("aws_b.b")), changes: "aws_b.b[0] aws_b.b[1]",
			want: map[string]any{"a": []any{"aws_b.b[0]", "aws_b.b[1]"}},
		},
		"the instance with the same key": {
			block: block("", refers("aws_b.b", "each.key")), changes: `aws_b.b["k"] aws_b.b["l"]`, at: `aws_x.x["k"]`,
			want: map[string]any{"a": []any{`aws_b.b["k"]`}},
		},
		"no instance with the same key": {
			block: block("", refers("aws_b.b", "count.index")), changes: "aws_b.b[0] aws_b.b[1]", at: "aws_x.x[7]",
			want: map[string]any{"a": []any{"aws_b.b[0]", "aws_b.b[1]"}},
		},
		"for_each over resources": {
			block:   block(`,"for_each_expression":`+refers("aws_b.b"), refers("each.value.id", "each.value")),
			changes: `aws_b.b["k"] aws_b.b["l"]`, at: `aws_x.x["l"]`,
			want: map[string]any{"a": []any{`aws_b.b["l"]`}},
		},
		"a data source": {
			block: block("", refers("data.aws_d.d.json", "data.aws_d.d")),
			want:  map[string]any{"a": []any{"data.aws_d.d"}},
		},
		"a local": {
			block: block("", refers("local.bucket.id", "local.bucket")),
			want:  map[string]any{"a": []any{"local.bucket"}},
		},
		"what is no resource": {
			block: block("", refers("var.x", "path.module", "terraform.workspace", "self.id", "each.key")), at: `aws_x.x["k"]`,
			want: map[string]any{},
		},
		"nested blocks": {
			block:   block("", `[{"b":{"c/d":`+refers("aws_b.b")+`}},{"e":{"constant_value":"f"}},{}]`),
			changes: "aws_b.b", want: map[string]any{"a/0/b/c~1d": []any{"aws_b.b"}},
		},
		"out of a module, one output": {
			block:   block("", refers("module.m.one", "module.m")),
			calls:   `"m":{"module":{"outputs":{"one":{"expression":` + refers("aws_b.b.id", "aws_b.b") + `},"two":{"expression":` + refers("aws_c.c") + `}}}}`,
			changes: "module.m.aws_b.b module.m.aws_c.c", want: map[string]any{"a": []any{"module.m.aws_b.b"}},
		},
		"out of a module, all outputs": {
			block:   block("", refers("module.m")),
			calls:   `"m":{"module":{"outputs":{"one":{"expression":` + refers("aws_b.b.id", "aws_b.b") + `},"two":{"expression":` + refers("aws_c.c") + `}}}}`,
			changes: "module.m.aws_b.b module.m.aws_c.c", want: map[string]any{"a": []any{"module.m.aws_b.b", "module.m.aws_c.c"}},
		},
		"through one module into another and out again": {
			block: block("", refers("module.n.out", "module.n")),
			calls: `"m":{"module":{"outputs":{"id":{"expression":` + refers("aws_b.b.id", "aws_b.b") + `}}}},` +
				`"n":{"expressions":{"in":` + refers("module.m.id", "module.m") + `},"module":{"outputs":{"out":{"expression":` + refers("var.in") + `}}}}`,
			changes: "module.m.aws_b.b", want: map[string]any{"a": []any{"module.m.aws_b.b"}},
		},
		"into nested modules with for_each": {
			calls: `"m":{"for_each_expression":` + refers("aws_b.b") + `,"expressions":{"in":` + refers("each.value.id", "each.value") + `},"module":{"module_calls":{"n":{` +
				`"expressions":{"in":` + refers("var.in") + `},"module":{"resources":[` + block("", refers("var.in")) + `]}}}}}`,
			changes: `aws_b.b["k"] aws_b.b["l"]`, at: `module.m["l"].module.n[0].aws_x.x`,
			want: map[string]any{"a": []any{`aws_b.b["l"]`}},
		},
		"in a circle": {
			block:   block("", refers("module.m.out", "module.m")),
			calls:   `"m":{"expressions":{"in":` + refers("module.m.out", "module.m") + `},"module":{"outputs":{"out":{"expression":` + refers("var.in", "aws_b.b") + `}}}}`,
			changes: "module.m.aws_b.b", want: map[string]any{"a": []any{"module.m.aws_b.b"}},
		},
		"too many to name": {
			block: block("", refers("aws_b.b", "module.m")), changes: many("aws_b.b[%d]") + many("module.m[%d].aws_b.b"),
			calls: `"m":{"module":{"outputs":{"o":{"expression":` + refers("aws_b.b") + `}}}}`,
			want:  map[string]any{"a": []any{"aws_b.b", "module.m"}},
		},
		"nonsense": {block: block("", refers("", ".", "module.", "data.", "x", "[", "module.m[", "each", "var", "local")), want: map[string]any{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := tt.at
			if at == "" {
				at = "aws_x.x"
			}
			changes := []string{change(at, `{}`, `{}`, "create")}
			for _, a := range strings.Fields(tt.changes) {
				changes = append(changes, change(a, `{}`, `{}`, "create"))
			}
			config := `,"configuration":{"root_module":{"resources":[` + tt.block + `],"module_calls":{` + tt.calls + `}}}`
			w, _ := collect(t, terraform.Config{Inputs: []terraform.Input{planOf(config, changes...)}})
			got := data(t, w.Find(t, "terraform/test/aws_x/"+at))["references"]
			if diff := cmp.Diff(any(tt.want), got); diff != "" {
				t.Errorf("references differ (-want +got):\n%s", diff)
			}
		})
	}
}

func many(format string) string {
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, format+" ", i)
	}
	return b.String()
}
