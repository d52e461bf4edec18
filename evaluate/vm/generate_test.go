package vm_test

import (
	"fmt"
	"math/rand"
	"strings"
)

// generator makes random Rego. Much of it does not compile, which is not looked at.
type generator struct {
	rng   *rand.Rand
	vars  []string // in scope
	rules []string // that may be referred to: a rule refers to earlier ones
	fresh int
}

// module makes rules of package p, and tells their names. Values of objects have no
// type that the compiler knows: where several rules make one object, it merges what
// it knows of them into the declaration of the builtin that one comes from, for all
// modules of the process, and other goroutines read that.
func (g *generator) module() (text string, names []string) {
	var b strings.Builder
	b.WriteString("package p\n\n")
	for i := range 4 {
		g.vars = nil
		name := fmt.Sprintf("r%d", i)
		switch g.rng.Intn(8) {
		case 5: // a rule of several keys
			for range 1 + g.rng.Intn(3) {
				g.deep(&b, "m"+name)
			}
			fmt.Fprintf(&b, "%s := m%s\n", name, name)
		case 6: // arguments that are patterns, and a default
			if g.rng.Intn(2) == 0 {
				fmt.Fprintf(&b, "default d%s(_) := %s\n", name, g.scalar())
			}
			for range 1 + g.rng.Intn(2) {
				g.vars = []string{"a", "c"}
				fmt.Fprintf(&b, "d%s(%s) := %s%s\n", name, g.one("[a, c]", `{"a": a, "b": c}`, "[a, [c, _]]", `["a", {"k": a, "l": c}]`), g.headed("%s", 1), g.otherwise())
			}
			g.vars = nil
			fmt.Fprintf(&b, "%s := [d%s(y) | some x in %s; y := %s]\n", name, name, g.term(1), g.one("x", "[x, x]", `{"a": x, "b": 1}`, "[x, [x, 1]]"))
			g.rules = append(g.rules, fmt.Sprintf("d%s(%s)", name, g.one("[1, 2]", "input.l", "input.o", `["a", input.o]`)))
		case 7: // true or not
			if g.rng.Intn(2) == 0 {
				fmt.Fprintf(&b, "default %s := false\n", name)
			}
			for range 1 + g.rng.Intn(2) {
				fmt.Fprintf(&b, "%s%s%s%s\n", name, g.headed("", 0), g.otherwise(), g.otherwise())
			}
		case 0:
			for range 1 + g.rng.Intn(3) {
				fmt.Fprintf(&b, "%s contains %s\n", name, g.headed("%s", 1))
			}
		case 1:
			for range 1 + g.rng.Intn(3) {
				fmt.Fprintf(&b, "%s[object.get({\"v\": %s\n", name, g.headed(`%s}, "v", 0)] := object.get({"v": %s}, "v", 0)`, 2))
			}
		case 2:
			for range 1 + g.rng.Intn(2) {
				g.vars = []string{"a"}
				fmt.Fprintf(&b, "f%s(a) := %s%s\n", name, g.headed("%s", 1), g.otherwise())
			}
			if g.rng.Intn(2) == 0 {
				fmt.Fprintf(&b, "f%s(%s) := %s\n", name, g.one("2", `"a"`, "null", `"1"`), g.scalar())
			}
			g.vars = nil
			// No two arguments may be equal and written differently: OPA remembers what
			// a function came to, and takes 1.0 for the 1 that it has seen.
			fmt.Fprintf(&b, "%s := [f%s(json.marshal(x)) | some x in %s]\n", name, name, g.term(1))
			g.rules = append(g.rules, fmt.Sprintf("f%s(%s)", name, g.one("2", `"a"`, "null", "input.o", "input.s")))
		default:
			if g.rng.Intn(3) == 0 {
				fmt.Fprintf(&b, "default %s := %s\n", name, g.scalar())
			}
			for range 1 + g.rng.Intn(2) {
				fmt.Fprintf(&b, "%s := %s%s\n", name, g.headed("%s", 1), g.otherwise())
			}
		}
		names = append(names, name)
		g.rules = append(g.rules, name)
	}
	return b.String(), names
}

// deep is a rule of which the head is a reference. No constant but a string may be
// a key: OPA's planner and its evaluator differ then, and such a plan is not made.
func (g *generator) deep(b *strings.Builder, name string) {
	const key = `[object.get({"v": `
	switch g.rng.Intn(5) {
	case 0:
		fmt.Fprintf(b, "%s.a := %s\n", name, g.headed("%s", 1))
	case 1:
		fmt.Fprintf(b, "%s.b%s%s\n", name, key, g.headed(`%s}, "v", 0)] := object.get({"v": %s}, "v", 0)`, 2))
	case 2:
		fmt.Fprintf(b, "%s.c contains %s\n", name, g.headed("%s", 1))
	case 3:
		fmt.Fprintf(b, "%s.d%s%s\n", name, key, g.headed(`%s}, "v", 0)][object.get({"v": %s}, "v", 0)] := object.get({"v": %s}, "v", 0)`, 3))
	default:
		fmt.Fprintf(b, "%s.e%s%s\n", name, key, g.headed(`%s}, "v", 0)] contains %s`, 2))
	}
}

// headed is a head made of terms, and the body that binds what is in them.
func (g *generator) headed(format string, n int) string {
	before := len(g.vars)
	body := g.body(2)
	terms := make([]any, n)
	for i := range terms {
		terms[i] = g.term(2)
	}
	g.vars = g.vars[:before]
	return fmt.Sprintf(format, terms...) + " if {\n\t" + body + "\n}"
}

func (g *generator) otherwise() string {
	if g.rng.Intn(3) > 0 {
		return ""
	}
	return " else := " + g.headed("%s", 1)
}

func (g *generator) body(depth int) string {
	var out []string
	before := len(g.vars)
	for range 1 + g.rng.Intn(3) {
		out = append(out, g.statement(depth))
	}
	if len(g.vars) > before { // Rego wants all of them used
		out = append(out, "["+strings.Join(g.vars[before:], ", ")+"]")
	}
	return strings.Join(out, "\n\t")
}

// any is a term of which the compiler does not know the type.
func (g *generator) any(depth int) string { return `object.get({"v": ` + g.term(depth) + `}, "v", 0)` }

func (g *generator) variable() string {
	g.fresh++
	return fmt.Sprintf("v%d", g.fresh)
}

func (g *generator) statement(depth int) string {
	t := func() string { return g.any(depth - 1) }
	switch g.rng.Intn(18) {
	case 13: // a key that is looked for
		v, w := g.variable(), g.variable()
		g.vars = append(g.vars, v, w)
		return fmt.Sprintf("%s = %s[%s]", w, g.one("input", "input.l", "input.o", "input[_]", g.earlier()), v)
	case 14:
		v, w := g.variable(), g.variable()
		before := g.vars
		out := fmt.Sprintf("some %s, %s; %s[%s][%s] == %s", v, w, g.one("input", "input.l", "input.o", g.earlier()), v, w, t())
		g.vars = append(before, v, w)
		return out
	case 15:
		v := g.variable()
		g.vars = append(g.vars, v)
		return fmt.Sprintf("%s := data.p[%q]", v, g.earlier())
	case 16:
		value, v := t(), g.variable()
		g.vars = append(g.vars, v)
		return fmt.Sprintf("%s := %s with %s as %s", v, g.one("count(input.l)", g.earlier()), g.one("count", "input", "data.none"), value)
	case 17:
		a, c, d := g.variable(), g.variable(), g.variable()
		in := t()
		g.vars = append(g.vars, a, c, d)
		return fmt.Sprintf(g.one("[%s, {\"a\": %s}, %s] = %s", "{\"a\": %s, \"b\": {\"c\": %s}, \"d\": %s} = %s", "[%s, %s, %s] := %s"), a, c, d, in)
	case 0, 1, 2:
		in, v := t(), g.variable()
		g.vars = append(g.vars, v)
		return fmt.Sprintf("some %s in %s", v, in)
	case 3:
		in, k, v := t(), g.variable(), g.variable()
		g.vars = append(g.vars, k, v)
		return fmt.Sprintf("some %s, %s in %s", k, v, in)
	case 4, 5:
		value, v := t(), g.variable()
		g.vars = append(g.vars, v)
		return fmt.Sprintf("%s := %s", v, value)
	case 6:
		return fmt.Sprintf("%s %s %s", t(), g.one("==", "!=", "<", ">=", "=="), t())
	case 7:
		return fmt.Sprintf("not %s", g.one(t(), fmt.Sprintf("%s == %s", t(), t()), fmt.Sprintf("%s in %s", t(), t())))
	case 8:
		in, k, v := t(), g.variable(), g.variable()
		before := len(g.vars)
		g.vars = append(g.vars, k, v)
		inner := strings.ReplaceAll(g.body(depth-1), "\n\t", "; ")
		g.vars = g.vars[:before]
		return fmt.Sprintf("every %s, %s in %s { %s; [%s, %s] }", k, v, in, inner, k, v)
	case 9:
		value, v := t(), g.variable()
		g.vars = append(g.vars, v)
		return fmt.Sprintf("%s := %s with %s as %s", v, g.one("input", "input.o", g.rule()), g.one("input", "input.a", "input.o.b"), value)
	case 10:
		in, path, v := g.one("input", "input.o", t()), g.variable(), g.variable()
		g.vars = append(g.vars, path, v)
		return fmt.Sprintf("walk(%s, [%s, %s])", in, path, v)
	case 11:
		v, in := g.variable(), t()
		g.vars = append(g.vars, v)
		return fmt.Sprintf("%s = %s", g.one(v, "["+v+", "+t()+"]", `{"a": `+v+`}`), in)
	default:
		return t()
	}
}

func (g *generator) one(list ...string) string { return list[g.rng.Intn(len(list))] }

func (g *generator) scalar() string {
	return g.one("1", "1.0", "1e0", "0", "-0", "2", "3", "-2.5", "10", "12345678901234567890", "0.1", `"a"`, `"b"`, `"abc"`, `"é"`, `""`, `"1"`, "true", "false", "null")
}

func (g *generator) rule() string {
	if len(g.rules) == 0 {
		return g.scalar()
	}
	return g.one(g.rules...)
}

// earlier is a rule without arguments, or input.
func (g *generator) earlier() string {
	var plain []string
	for _, r := range g.rules {
		if !strings.Contains(r, "(") {
			plain = append(plain, r)
		}
	}
	if len(plain) == 0 {
		return "input"
	}
	return g.one(plain...)
}

func (g *generator) term(depth int) string {
	if depth <= 0 || g.rng.Intn(4) == 0 {
		if len(g.vars) > 0 && g.rng.Intn(2) == 0 {
			return g.one(g.vars...)
		}
		return g.one(g.scalar(), "input.a", "input.o", "input.l", "input.s", "input.n", "input.l[0]", "input.o.b", "input.none", g.rule())
	}
	t := func() string { return g.term(depth - 1) }
	untyped := func() string { return g.any(depth - 1) }
	switch g.rng.Intn(10) {
	case 0:
		return fmt.Sprintf("[%s, %s]", t(), t())
	case 1:
		return fmt.Sprintf("{%s, %s, %s}", t(), t(), g.scalar())
	case 2:
		return fmt.Sprintf("{%s: %s, %s: %s}", g.one(`"a"`, `"b"`, g.scalar()), t(), g.one(`"c"`, t()), t())
	case 3, 4:
		before := len(g.vars)
		body := g.body(depth - 1)
		head := g.one("[%s | %s]", "{%s | %s}", "{%s: 1 | %s}")
		out := fmt.Sprintf(head, g.term(1), strings.ReplaceAll(body, "\n\t", "; "))
		g.vars = g.vars[:before]
		return out
	case 5:
		return fmt.Sprintf("(%s %s %s)", untyped(), g.one("+", "-", "*", "/", "%", "-", "|", "&"), untyped())
	case 6:
		return fmt.Sprintf("%s[%s]", g.one("input.l", "input.o", "input", untyped()), t())
	case 7:
		return fmt.Sprintf(g.one("count(%s)", "lower(%s)", "sum(%s)", "max(%s)", "sort(%s)", "is_string(%s)", "is_number(%s)", "object.keys(%s)", "to_number(%s)", "floor(%s)", "json.marshal(%s)", "trim_space(%s)", "abs(%s)", "type_name(%s)"), untyped())
	case 8:
		return fmt.Sprintf(g.one("startswith(%s, %s)", "contains(%s, %s)", "concat(%s, %s)", "split(%s, %s)", "array.concat(%s, %s)", "(%s in %s)", "object.union(%s, %s)", "trim(%s, %s)", "regex.match(%s, %s)", `object.get(%s, %s, "none")`, "replace(%s, %s, \"x\")", "object.remove(%s, %s)"), untyped(), untyped())
	default:
		return fmt.Sprintf("sprintf(%s, [%s, %s])", g.one(`"%v-%v"`, `"%s %d"`, `"%q%v"`, `"%v"`), t(), t())
	}
}
