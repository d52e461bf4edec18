package vm_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// bomb is a rule and a document that it must not be asked about for long.
type bomb struct{ rule, input string }

func quoted(s string) string { return fmt.Sprintf("%q", s) }

func many(n int, s string) string { return strings.Repeat(s, n) }

func list(n int, s string) string { return "[" + many(n-1, s+",") + s + "]" }

// complete is a graph of which all nodes lead to all others.
func complete(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%d":["0"`, i)
		for j := 1; j < n; j++ {
			fmt.Fprintf(&b, `,"%d"`, j)
		}
		b.WriteString("]")
	}
	return "{" + b.String()[1:] + "}"
}

// alike are numbers of so many digits that begin and end alike.
func alike(n, digits int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",1%s%08d", many(digits-9, "0"), (i*104729)%99999989)
	}
	return "[" + b.String()[1:] + "]"
}

// bombs would each make far more than they are given, or take very long over it.
func bombs() map[string]bomb {
	return map[string]bomb{
		"range":                 {`numbers.range(0, input)`, `1000000000`},
		"range of large ends":   {`numbers.range(input, input + 100000000)`, `123456789012345678901234567890`},
		"range of exponents":    {`numbers.range(0, input)`, `1e300`},
		"range with a step":     {`numbers.range_step(0, input, 3)`, `3000000000`},
		"shift":                 {`bits.lsh(1, input)`, `100000000000`},
		"shift by an exponent":  {`bits.lsh(1, input)`, `1e30`},
		"product":               {`product([x | some x in numbers.range(1, input)])`, `100000`},
		"product of exponents":  {`product([input | some _ in numbers.range(1, 1000)])`, `1e3000`},
		"unit":                  {`units.parse(input)`, `"1e99999999"`},
		"sprintf width":         {`sprintf(input, [1])`, quoted(many(1000, "%999999d"))},
		"sprintf star":          {`sprintf(input, [999999, 1, 999999, 1])`, quoted(many(1000, "%[1]*d"))},
		"sprintf again":         {`sprintf(input, ["` + many(10000, "x") + `"])`, quoted(many(100000, "%[1]s"))},
		"replace":               {`replace(input, "a", input)`, quoted(many(100000, "a"))},
		"replace nothing":       {`replace(input, "", input)`, quoted(many(100000, "a"))},
		"strings.replace_n":     {`strings.replace_n({"a": input}, input)`, quoted(many(100000, "a"))},
		"concat":                {`concat(input, [x | some x in split(input, "a")])`, quoted(many(100000, "a"))},
		"indexof":               {`indexof(input.a, input.b)`, `{"a":` + quoted(many(1000000, "é")) + `,"b":` + quoted(many(500000, "é")+"x") + `}`},
		"indexof_n":             {`indexof_n(input.a, input.b)`, `{"a":` + quoted(many(1000000, "a")) + `,"b":` + quoted(many(500000, "a")) + `}`},
		"trim":                  {`trim_left(input.a, input.b)`, `{"a":` + quoted(many(1000000, "b")) + `,"b":` + quoted(many(500000, "é")+"b") + `}`},
		"template":              {`strings.render_template(input, {"x": 1})`, `"{{range 1000000000}}x{{end}}"`},
		"template of itself":    {`strings.render_template(input, {"x": 1})`, `"{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}"`},
		"template of templates": {`strings.render_template(input.t, input)`, `{"t":"` + many(6, "{{range .l}}") + "x" + many(6, "{{end}}") + `","l":` + list(1000, "1") + `}`},
		"json indent":           {`json.marshal_with_options(input.v, {"pretty": true, "prefix": input.p, "indent": input.p})`, `{"v":` + many(1000, "[") + many(1000, "]") + `,"p":` + quoted(many(100000, " ")) + `}`},
		"json.unmarshal":        {`json.unmarshal(input)`, quoted(list(3000000, "1"))},
		"yaml aliases":          {`yaml.unmarshal(input)`, quoted("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n")},
		"yaml of a long alias":  {`yaml.is_valid(input)`, quoted("a: &a " + many(1000000, "x") + "\nb: [" + many(10000, "*a, ") + "]\n")},
		"json.patch copies":     {`json.patch(input, [{"op": "copy", "from": "", "path": sprintf("/%d", [i])} | some i in numbers.range(1, 60)])`, `{"a":1}`},
		"cidr":                  {`net.cidr_expand(input)`, `"10.0.0.0/8"`},
		"cidr of the internet":  {`net.cidr_expand(input)`, `"::/0"`},
		"cidr matches":          {`net.cidr_contains_matches(input, input)`, list(10000, `"10.0.0.0/8"`)},
		"paths":                 {`graph.reachable_paths(input, {"0"})`, complete(30)},
		"walk":                  {`[x | walk(input, [_, x])]`, many(5000, "[") + many(5000, "]")},
		"globs":                 {`regex.globs_match(input, input)`, quoted(many(30, "[a-z]*") + "b")},
		"glob":                  {`glob.match("*a*a*a*c*b", [], input)`, quoted(many(300, "a") + "b")},
		"glob of characters":    {`glob.match("*a?*a?*a?*a?*c", [], input)`, quoted(many(300, "a") + "c")},
		"glob of alternatives":  {`glob.match("*{a,aa}*{a,aa}*{a,aa}*c*b", [], input)`, quoted(many(300, "a") + "b")},
		"numbers alike":         {`count({x | some x in input})`, alike(4000, 63)},
		"numbers in an array":   {`count([x | some x in input; x in input])`, alike(3000, 63)},
		"numbers for OPA":       {`json.marshal({x | some x in input})`, alike(4000, 20)},
		"numbers sorted":        {`count(sort(input))`, alike(40000, 300)},
		"graphql of fields":     {`graphql.is_valid("{" , input)`, quoted(many(10000, "b "))},
		"regular chain":         {`regex.find_n(input.p, input.t, -1)`, `{"p":` + quoted(many(50, "x{0,16}")+"y|x") + `,"t":` + quoted(many(30000, "x")) + `}`},
		"expression":            {`regex.match(input, "a")`, `"` + many(60, "(abcdefghijklmnopqrst){1000}") + `"`},
		"expression found":      {`regex.find_n(input, "a", -1)`, `"` + many(60, "(abcdefghijklmnopqrst){1000}") + `"`},
		"expression and text":   {`regex.match(input.e, input.t)`, `{"e":"(x+x+)+y(a{100}|b{100}){50}","t":` + quoted(many(1000000, "x")) + `}`},
		"expression is deep":    {`regex.is_valid(input)`, quoted(many(10000000, "("))},
		"regex.replace":         {`regex.replace(input, "a", input)`, quoted(many(20000, "a$0"))},
		"regex.split":           {`regex.split("(a|b|c|d)", input)`, quoted(many(3000000, "a"))},
		"graphql":               {`graphql.parse_query(input)`, quoted(many(1000000, "{a"))},
		"schema":                {`json.match_schema(input, input)`, list(100000, `{"$ref":"#"}`)},
		"rego":                  {`rego.parse_module("a.rego", input)`, quoted("package a\np := " + many(500000, "["))},
		"subset":                {`object.subset(input, array.concat(input, [2]))`, list(100000, "1")},
		"key":                   {`crypto.x509.parse_rsa_private_key(input)`, quoted(many(100000, "a"))},
	}
}

// TestBombs: what would go off is refused at once.
func TestBombs(t *testing.T) {
	t.Parallel()
	limits := vm.Limits{Steps: 1 << 24, Bytes: 1 << 26}
	for name, tt := range bombs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := policy(t, "p := "+tt.rule)
			m := machine(p)
			root, err := m.Parse([]byte(tt.input))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // one that goes off takes far longer
			defer cancel()
			if _, err = m.Call(ctx, p.Rule("p.p"), root, limits); !errors.Is(err, vm.ErrBytes) && !errors.Is(err, vm.ErrSteps) {
				t.Errorf("Call() = %v, want a limit", err)
			}
			if got, err := ask(t, policy(t, "p := 1 + 1"), machine(policy(t, "p := 1 + 1")), `{}`, limits); err != nil || got == nil {
				t.Errorf("afterwards: %v, %v", got, err)
			}
		})
	}
}

// TestEveryBuiltinIsDecidedOn: a bound is for a builtin that there is, and none of
// OPA's later versions comes unseen.
func TestEveryBuiltinIsDecidedOn(t *testing.T) {
	t.Parallel()
	for _, name := range vm.Bounds() {
		if topdown.GetBuiltin(name) == nil {
			t.Errorf("%s is not a builtin", name)
		}
	}
	deterministic := 0
	for _, b := range ast.Builtins {
		if !b.Nondeterministic && topdown.GetBuiltin(b.Name) != nil {
			deterministic++
		}
	}
	if deterministic != 192 {
		t.Errorf("%d deterministic builtins; look which are new, and whether they need a bound", deterministic)
	}
}
