package vm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// corpus is what natives are called with: typical and nasty values of all types.
func corpus() []ast.Value {
	big := strings.Repeat("7", 400)
	terms := []string{
		`null`, `true`, `false`,
		`0`, `-0`, `1`, `1.0`, `1e0`, `10e-1`, `-1`, `2`, `3`, `-3`, `7`, `1.5`, `-2.5`, `1023`, `1024`, `2147483647`, `2147483648`, `-2147483648`, `99999999999999999`, `999999999999999999`, `-999999999999999999`,
		`9223372036854775807`, `9223372036854775808`, `12345678901234567890123`, `1e2`, `1e-7`, `1e30`, `1e400`, `10e399`, `0.1`, `0.10`, `100000000000000000000.5`, big,
		`""`, `"a"`, `"ab"`, `"abc"`, `"aaa"`, `"A"`, `"ß"`, `"İ"`, `"ǅ"`, `"é"`, `"日本"`, `"😀"`, `"\u2028"`, `" \t a \n"`, `"\u00a0x\u0085"`, `","`, `"a,b,,c"`, `"^a.*c$"`, `"("`, `"a{2,3}"`, `"[a-z]+"`, `"1"`, `"<&>"`,
		`"%s"`, `"%v and %v"`, `"%d"`, `"%d%%"`, `"%5.2f|%-8s|%x"`, `"%q"`, `"%[2]s %[1]v"`, `"%*d"`, `"%"`, `"%!"`, `"%z"`, `"%08.3f"`, `"%+v"`, `"%T"`, `"% x"`, `"%t"`, `"%c"`, `"%U"`, `"%e"`, `"%s%s"`,
		`[]`, `[1]`, `[1.0, 1]`, `["a"]`, `["a", "b"]`, `["b", "a", 1]`, `[null, true, {}]`, `[[1], [1.0]]`, `["a", 0]`, `["c", "d"]`, `[12345678901234567890123, 1.5, 1e400]`, `[-0, 2, "x"]`, `[{1, 2}, {"a": [1]}, set()]`,
		`["f", "g", "h", "i", "j", "k", "l", "m", "n", "o", 1.0]`,
		`{}`, `{"a": 1}`, `{"a": 1.0}`, `{"a": {"b": [1, {"c": 2}]}}`, `{"a": "b", "c": {"d": {1, 2}}}`, `{1: "one", "1": "text"}`, `{[1]: 2, {"x"}: 3, null: 4}`, `{"é": 1, "z": 2, "": 3}`, `{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8, "i": 9, "j": 10}`,
		`set()`, `{1}`, `{1.0}`, `{1, 2, 3}`, `{1.0, 2.0, 4}`, `{"a"}`, `{"a", "b", "c"}`, `{"b", 1}`, `{[1], [2]}`, `{[1.0], {"k": 1.0}}`, `{{"k": 1}, [1]}`, `{{1}, {2, 1}}`, `{null, true}`, `{1e400, 2}`, `{10e399, 3}`, `{[1e400]}`, `{10e399: 1}`, `{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}`, `{"1", "2", 10.0, 11.0, 12.0, 13, 14, 15, 16, 17, 18}`,
	}
	out := make([]ast.Value, 0, len(terms)+2)
	for _, t := range terms {
		out = append(out, ast.MustParseTerm(t).Value)
	}
	return append(out, ast.String("bad \xff utf\xc3"), ast.String("\xed\xa0\x80"), ast.String("a\x00b"))
}

func arity(tb testing.TB, name string) int {
	tb.Helper()
	for _, b := range ast.Builtins {
		if b.Name == name {
			return len(b.Decl.FuncArgs().Args)
		}
	}
	tb.Fatalf("no builtin %q", name)
	return 0
}

// sameAsOPA calls a native: what it covers must be OPA's answer, its sets and
// numbers written the same.
func sameAsOPA(m *vm.Machine, name string, args []*vm.Value) (covered bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	v, covered, err := m.Native(name, args)
	if err != nil || !covered {
		return covered, err
	}
	want, err := m.OPA(name, args)
	switch {
	case err != nil:
		return true, fmt.Errorf("got a value, want the error %w", err)
	case v == nil && len(want) == 0:
		return true, nil
	case v == nil || len(want) == 0:
		return true, fmt.Errorf("defined = %v, want %v", v != nil, len(want) > 0)
	}
	got := m.ToOPA(v)
	if got.Value.Compare(want[0].Value) != 0 || got.String() != want[0].String() {
		return true, fmt.Errorf("got %v, want %v", got, want[0])
	}
	return true, nil
}

// TestNativesAreOPAs calls each native with everything in the corpus.
func TestNativesAreOPAs(t *testing.T) {
	t.Parallel()
	for _, name := range vm.Natives() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, n, covered := bare(t), arity(t, name), 0
			values := corpus()
			if _, err := m.Parse([]byte("1e400")); err != nil { // there are such numbers
				t.Fatal(err)
			}
			args := make([]*vm.Value, n)
			var each func(at int)
			each = func(at int) {
				if at == n {
					ok, err := sameAsOPA(m, name, args)
					if err != nil {
						t.Errorf("%s(%s): %v", name, texts(m, args), err)
					}
					if ok {
						covered++
					}
					return
				}
				for i := 0; i < len(values); i += 1 + at*at { // fewer of third arguments
					args[at] = vm.Disordered(values[i])
					each(at + 1)
				}
			}
			each(0)
			if covered == 0 {
				t.Error("covers nothing")
			}
		})
	}
}

func texts(m *vm.Machine, args []*vm.Value) string {
	var out []string
	for _, a := range args {
		out = append(out, m.ToOPA(a).String())
	}
	return strings.Join(out, ", ")
}

// FuzzNatives calls natives with arguments read from a document, on the tape and off it.
func FuzzNatives(f *testing.F) {
	for i, s := range []string{`["a","b","c"]`, `["%s %d %v",["x",1,[1.0,{"a":null}]],0]`, `[{"a":{"b":1}},["a","b"],7]`, `["a,b",",","é"]`, `["^(a|b)*$","abab",1]`, `[[1,2],[3],{}]`, `[1,1.0,1e400]`, `["%5[2]*[1]d|%-8.3q",[3,"\u00e9"],0]`} {
		f.Add(uint8(i), []byte(s), i%2 == 0)
	}
	names := vm.Natives()
	m := bare(f)
	f.Fuzz(func(t *testing.T, which uint8, raw []byte, sets bool) {
		root, err := m.Parse(raw)
		if err != nil {
			return
		}
		list, ok := m.Elements(root)
		name := names[int(which)%len(names)]
		n := arity(t, name)
		if !ok || len(list) < n {
			return
		}
		args := list[:n]
		if sets {
			args = nil
			for _, v := range list[:n] {
				value := m.ToOPA(v).Value
				if a, ok := value.(*ast.Array); ok {
					s := ast.NewSet()
					a.Foreach(s.Add)
					value = s
				}
				args = append(args, vm.Disordered(value))
			}
		}
		if _, err := sameAsOPA(m, name, args); err != nil {
			t.Errorf("%s(%s): %v", name, texts(m, args), err)
		}
	})
}
