package evaluate_test

import (
	"fmt"
	"slices"
	"strings"
)

// grammar writes random Rego in the form that adapters have: rules and functions
// over parts of the document, each of which uses those before it.
type grammar struct {
	dice
	vars    []string // that the body being written may use
	unused  []string // those that nothing has used yet: Rego refuses them
	plain   []string // those that are no objects, as far as Rego can tell
	n       int      // names given
	helpers []string // terms that stand for helper rules
	sets    []string // helper rules that are collections
	funcs   []string // functions of two arguments
	inside  bool     // a function: it reads nothing but its arguments
}

func (g *grammar) name(prefix string) string {
	g.n++
	return fmt.Sprintf("%s%d", prefix, g.n)
}

// bind gives a new variable to a body.
func (g *grammar) bind() string {
	v := g.name("v")
	g.unused = append(g.unused, v)
	return v
}

// bound lets a body use the variables that a literal bound.
func (g *grammar) bound(vars ...string) { g.vars = append(g.vars, vars...) }

func (g *grammar) use(v string) string {
	g.unused = slices.DeleteFunc(g.unused, func(u string) bool { return u == v })
	return v
}

func (g *grammar) constant() string {
	return pick(g.dice, []string{"0", "1", "1.5", `"a"`, `"b"`, "true", "false", "null", `{"a": 1}`, `["a"]`, "set()", `{"a", "b"}`})
}

func (g *grammar) key() string { return fmt.Sprintf("[%q]", pick(g.dice, words)) }

// root is something to read from.
func (g *grammar) root() string {
	switch n := g.IntN(10); {
	case len(g.vars) > 0 && (n < 4 || g.inside):
		return g.use(pick(g.dice, g.vars))
	case n == 4 && len(g.helpers) > 0:
		return pick(g.dice, g.helpers)
	case n == 5:
		return pick(g.dice, []string{"input.tags", "input.name"})
	}
	return "input.data" + g.key()
}

// ref is a reference without variables of its own.
func (g *grammar) ref() string {
	s := g.root()
	if slices.Contains(g.plain, s) || s == "input.name" || strings.HasPrefix(s, "_") {
		return s
	}
	for range g.IntN(3) {
		switch n := g.IntN(8); {
		case n == 0:
			s += "[0]"
		case n == 1 && len(g.vars) > 0:
			s += "[" + g.use(pick(g.dice, g.vars)) + "]"
		default:
			s += g.key()
		}
	}
	return s
}

// term is anything that has a value.
func (g *grammar) term(depth int) string {
	if depth <= 0 {
		return g.ref()
	}
	switch g.IntN(15) {
	case 0:
		return g.constant()
	case 1:
		return g.comprehension(depth, "[%s | %s]")
	case 2:
		return g.comprehension(depth, "{%s | %s}")
	case 3:
		return g.comprehension(depth, "{%s: 1 | %s}")
	case 4:
		return fmt.Sprintf("object.get({\"a\": %s, \"b\": %s}, %q, %s)", g.ref(), g.ref(), pick(g.dice, words), g.constant())
	case 5:
		return fmt.Sprintf("object.get(%s, %q, %s)", g.ref(), pick(g.dice, words), g.term(depth-1))
	case 6:
		return "array.concat(" + g.comprehension(depth, "[%s | %s]") + ", [" + g.ref() + "])"
	case 7:
		return "count(" + g.term(depth-1) + ")"
	case 8:
		if len(g.funcs) > 0 {
			return fmt.Sprintf("%s(%s, %s)", pick(g.dice, g.funcs), g.ref(), g.term(depth-1))
		}
	case 9:
		return fmt.Sprintf("[%s, %s]", g.ref(), g.term(depth-1))
	case 10:
		return fmt.Sprintf("{\"a\": %s, \"b\": {\"c\": %s}}%s", g.term(depth-1), g.ref(), pick(g.dice, []string{"", `["a"]`, `["b"]`, `["b"]["c"]`}))
	case 11:
		return fmt.Sprintf("%s(%s)", pick(g.dice, []string{"is_string", "is_object", "type_name", "json.marshal", "object.keys", "sort", "max"}), g.ref())
	case 12:
		return fmt.Sprintf("object.union({\"a\": %s}, {\"b\": %s})", g.ref(), g.ref())
	}
	return g.ref()
}

// comprehension collects one term of a body of its own.
func (g *grammar) comprehension(depth int, format string) string {
	vars, unused := slices.Clone(g.vars), g.unused
	g.unused = nil
	body := g.literals(depth-1, 1+g.IntN(2))
	head := g.ref()
	s := fmt.Sprintf(format, head, body+g.leftover())
	g.vars, g.unused = vars, g.stillUnused(unused, s)
	return s
}

// stillUnused are the outer variables that a text does not use either.
func (g *grammar) stillUnused(outer []string, text string) []string {
	return slices.DeleteFunc(slices.Clone(outer), func(v string) bool {
		return slices.ContainsFunc(strings.FieldsFunc(text, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9') }), func(w string) bool { return w == v })
	})
}

// leftover uses what nothing has used, by what reads the least.
func (g *grammar) leftover() string {
	var b strings.Builder
	for _, v := range g.unused {
		fmt.Fprintf(&b, "; _ = %s", v)
	}
	g.unused = nil
	return b.String()
}

// literals are some literals in one line.
func (g *grammar) literals(depth, n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = g.literal(depth)
	}
	return strings.Join(out, "; ")
}

func (g *grammar) literal(depth int) string {
	switch g.IntN(18) {
	case 0, 1:
		from := g.collection(depth)
		v := g.bind()
		g.bound(v)
		if !strings.HasPrefix(from, "input.data") && !strings.HasPrefix(from, "v") {
			g.plain = append(g.plain, v)
		}
		return fmt.Sprintf("some %s in %s", v, from)
	case 2:
		from := g.collection(depth)
		k, v := g.bind(), g.bind()
		g.bound(k, v)
		g.plain = append(g.plain, k)
		return fmt.Sprintf("some %s, %s in %s", k, v, from)
	case 3, 4:
		t := g.term(depth)
		v := g.bind()
		g.bound(v)
		if !strings.HasPrefix(t, "input.data") {
			g.plain = append(g.plain, v)
		}
		return fmt.Sprintf("%s := %s", v, t)
	case 5:
		return fmt.Sprintf("%s %s %s", g.term(depth), pick(g.dice, []string{"==", "!=", "<", "in"}), g.term(depth-1))
	case 6:
		return "not " + g.ref()
	case 7:
		return fmt.Sprintf("not %s == %s", g.ref(), g.constant())
	case 8:
		return g.every(depth)
	case 9:
		from := g.ref()
		a, b := g.bind(), g.bind()
		g.bound(a, b)
		return pick(g.dice, []string{fmt.Sprintf("[%s, %s] := %s", a, b, from), fmt.Sprintf(`{"a": %s, "b": %s} := %s`, a, b, from)})
	case 10:
		from := g.ref()
		p, v := g.bind(), g.bind()
		g.bound(p, v)
		g.plain = append(g.plain, p)
		return fmt.Sprintf("walk(%s, [%s, %s])", from, p, v)
	case 11:
		return g.ref() + "[_]" + g.key() + " == " + g.constant()
	case 12:
		return fmt.Sprintf("count(%s) %s %d", g.comprehension(depth, pick(g.dice, []string{"[%s | %s]", "{%s | %s}"})), pick(g.dice, []string{">", "=="}), g.IntN(2))
	case 13, 14: // true of most documents
		return fmt.Sprintf("not %s == %s", g.ref(), g.constant())
	case 15, 16:
		from := g.ref()
		v := g.bind()
		g.bound(v)
		g.plain = append(g.plain, v)
		return fmt.Sprintf("%s := [y | y := %s]", v, from)
	}
	return g.ref()
}

func (g *grammar) collection(depth int) string {
	if len(g.sets) > 0 && g.IntN(4) == 0 {
		return pick(g.dice, g.sets)
	}
	if t := g.term(depth - 1); strings.ContainsAny(t[:1], "[{") || strings.HasPrefix(t, "object.get") {
		return t
	}
	return g.ref()
}

func (g *grammar) every(depth int) string {
	from := g.collection(depth)
	vars, unused := slices.Clone(g.vars), g.unused
	v := g.name("v")
	g.unused = []string{v}
	g.bound(v)
	body := g.literals(0, 1)
	s := fmt.Sprintf("every %s in %s { %s }", v, from, body+g.leftover())
	g.vars, g.unused = vars, g.stillUnused(unused, s)
	return s
}

// rule writes one rule with a head of a format that takes a term.
func (g *grammar) rule(format string, terms int) string {
	g.unused = slices.Clone(g.vars)
	body := g.literals(2, 1+g.IntN(2))
	args := make([]any, terms)
	for i := range args {
		args[i] = g.term(1)
	}
	s := fmt.Sprintf(format, args...) + " if { " + body + g.leftover() + " }"
	g.vars = nil
	return s
}

// adapter is a package of rules, of which the attributes are asked.
func (g *grammar) adapter(pkg string, attributes ...string) string {
	lines := []string{"package " + pkg, ""}
	for range g.IntN(4) {
		switch n := g.name("h"); g.IntN(5) {
		case 4: // the same object twice, unless a document has more in it
			of := "input.data" + g.key()
			lines = append(lines, g.rule("_"+n+" := "+of, 0), g.rule(fmt.Sprintf(`_%s := {"a": %s["a"], "b": %s["b"]}`, n, of, of), 0))
			g.helpers = append(g.helpers, "_"+n+`["a"]`, "_"+n+`["b"]`)
		case 0:
			lines = append(lines, g.rule("_"+n+" := %s", 1))
			g.helpers = append(g.helpers, "_"+n)
		case 1:
			lines = append(lines, g.rule("_"+n+" contains %s", 1), g.rule("_"+n+" contains %s", 1))
			g.sets = append(g.sets, "_"+n)
		case 2:
			lines = append(lines, g.rule("_"+n+"[%s] := %s", 2))
			g.helpers, g.sets = append(g.helpers, "_"+n), append(g.sets, "_"+n)
		default:
			g.inside = true
			for range 2 {
				g.vars = []string{"x", "y"}
				lines = append(lines, g.rule("_"+n+"(x, y) := %s", 1))
			}
			g.inside = false
			g.funcs = append(g.funcs, "_"+n)
		}
	}
	for _, a := range attributes {
		line := g.rule(a+" := %s", 1)
		if g.IntN(4) > 0 {
			line += " else := " + g.constant()
		}
		lines = append(lines, line)
		if g.IntN(4) == 0 {
			lines = append(lines, g.rule(a+" := %s", 1))
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
