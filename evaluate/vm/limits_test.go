package vm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// numbers is the array 0, 1, … n-1.
func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",%d", i)
	}
	return "[" + b.String()[1:] + "]"
}

// TestStepsEndLoops: what would run for hours ends in ErrSteps, and with the same
// budget always at the same point.
func TestStepsEndLoops(t *testing.T) {
	t.Parallel()
	doc := numbers(10000)
	for name, rules := range map[string]string{
		"comprehension":    `p := [1 | some a in input; some b in input; some c in input; a + b == c + 0.5]`,
		"set":              `p := {x | some a in input; some b in input; x := {a, b}; false}`,
		"every":            `p if every a in input { every b in input { a + b >= 0 } }`,
		"function":         "f(x) := count([y | some y in input; y < x])\np := [f(x) | some x in input]",
		"membership":       `p := [x | some x in input; some y in input; [x, y + 0.5] in [[z, z] | some z in input]]`,
		"comparing arrays": `p := [1 | some _ in input; some _ in input; input == array.concat(input, [])]`,
		"of OPA's":         `p := [x | some a in input; some b in input; x := max([a, b]); x < 0]`,
		"with":             "q := count(input)\np := [x | some a in input; some b in input; x := q with input as [a, b]; x > 2]",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := policy(t, rules)
			// With one step less than a small document needs, it fails; with those it has, it does not.
			small := numbers(5)
			need := int64(1)
			for ; ; need *= 2 {
				if _, err := ask(t, p, machine(p), small, vm.Limits{Steps: need, Bytes: 1 << 40}); err == nil {
					break
				}
			}
			low, high := need/2, need
			m := machine(p)
			for low+1 < high {
				middle := (low + high) / 2
				if _, err := ask(t, p, m, small, vm.Limits{Steps: middle, Bytes: 1 << 40}); err == nil {
					high = middle
				} else {
					low = middle
				}
			}
			for range 3 {
				if _, err := ask(t, p, m, small, vm.Limits{Steps: high, Bytes: 1 << 40}); err != nil {
					t.Errorf("with %d steps: %v", high, err)
				}
				if _, err := ask(t, p, machine(p), small, vm.Limits{Steps: low, Bytes: 1 << 40}); !errors.Is(err, vm.ErrSteps) {
					t.Errorf("with %d steps: %v", low, err)
				}
				if _, err := ask(t, p, m, doc, vm.Limits{Steps: 1 << 20, Bytes: 1 << 40}); !errors.Is(err, vm.ErrSteps) {
					t.Errorf("Call() = %v, want %v", err, vm.ErrSteps)
				}
			}
		})
	}
}

// TestBytesEndGrowth: memory that doubles ends in ErrBytes, and the machine has
// not taken much more than it may.
func TestBytesEndGrowth(t *testing.T) {
	doc := numbers(10000)
	double := func(first, next string) string {
		out := "x0 := " + first + "\n"
		for i := range 40 {
			out += strings.ReplaceAll(fmt.Sprintf("x%d := %s", i+1, next), "X", fmt.Sprintf("x%d", i)) + "\n"
		}
		return out + "p := x40"
	}
	const limit = 64 << 20
	for name, rules := range map[string]string{
		"arrays":              double(`input`, `array.concat(X, X)`),
		"texts":               double(`"0123456789abcdef"`, `concat("", [X, X])`),
		"sprintf":             double(`"0123456789abcdef"`, `sprintf("%s%s", [X, X])`),
		"replace":             double(`"0123456789abcdef"`, `replace(X, "0", "00123456789")`),
		"sets":                `p := {[a, b] | some a in input; some b in input}`,
		"objects":             `p := {sprintf("%d-%d", [a, b]): 1 | some a in input; some b in input}`,
		"comprehension":       `p := [[a, b] | some a in input; some b in input]`,
		"of OPA's":            double(`[1]`, `array.flatten([X, X])`),
		"converted":           double(`[1]`, `[X, X]`) + "\nq := json.marshal(x40)\n",
		"numbers that double": double(`7777777777777777777777777`, `X * X`),
	} {
		t.Run(name, func(t *testing.T) {
			p := policy(t, strings.Replace(rules, "p := x40\nq := ", "p := ", 1))
			m := machine(p)
			root, err := m.Parse([]byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			_, err = m.Call(t.Context(), p.Rule("p.p"), root, vm.Limits{Steps: 1 << 40, Bytes: limit})
			runtime.ReadMemStats(&after)
			if name == "numbers that double" {
				if err == nil {
					t.Error("Call() = nil, want an error")
				}
			} else if !errors.Is(err, vm.ErrBytes) {
				t.Errorf("Call() = %v, want %v", err, vm.ErrBytes)
			}
			if grew := after.TotalAlloc - before.TotalAlloc; grew > 6*limit {
				t.Errorf("allocated %d MB with a limit of %d", grew>>20, limit>>20)
			}
			if v, err := ask(t, p, m, `[]`, vm.Limits{}); v != nil || err == nil {
				t.Errorf("without a budget: %v, %v", v, err)
			}
		})
	}
}

// endless are rules that would run for hours on ten thousand numbers.
var endless = map[string]string{
	"loops":    `p := [1 | some a in input; some b in input; some c in input; a + b == c + 0.5]`,
	"of OPA's": `p := [x | some a in input; some b in input; x := max([a, b]); x < 0]`,
	"one long": `p := [1 | some a in input; input == array.concat([a], input)]`,
	"sorting":  `p := [1 | some a in input; some b in input; concat(",", {sprintf("%d", [(x * a) + b]) | some x in input}) == ""]`,
}

// cancelled calls a rule without limits until a while has passed, and tells how
// long it took to end after that.
func cancelled(t testing.TB, rules string) time.Duration {
	t.Helper()
	p := policy(t, rules)
	m := machine(p)
	root, err := m.Parse([]byte(numbers(10000)))
	if err != nil {
		t.Fatal(err)
	}
	const after = 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	start := time.Now()
	if _, err = m.Call(ctx, p.Rule("p.p"), root, vm.Limits{Steps: 1 << 50, Bytes: 1 << 50}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Call() = %v", err)
	}
	return time.Since(start) - after
}

// TestCancel: a call ends when its context does. How soon BenchmarkCancel tells.
func TestCancel(t *testing.T) {
	t.Parallel()
	for name, rules := range endless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cancelled(t, rules)
		})
	}
}

// BenchmarkCancel tells how long a call goes on after its context has ended: it is to be within 100 ms.
func BenchmarkCancel(b *testing.B) {
	for name, rules := range endless {
		b.Run(name, func(b *testing.B) {
			var late time.Duration
			n := 0
			for b.Loop() {
				late += cancelled(b, rules)
				n++
			}
			b.ReportMetric(float64(late.Milliseconds())/float64(n), "ms-late")
		})
	}
}

// TestErrorsAreNotRemembered: a conflict in a shared rule ends the calls that meet
// it, each of them, and no other; then the next document is judged.
func TestErrorsAreNotRemembered(t *testing.T) {
	t.Parallel()
	plan, err := planned(t, map[string]string{
		"lib.rego": "package lib\n\nshared := x if some x in input.x\n",
		"a.rego":   "package c.a\n\ndeny contains \"a\" if data.lib.shared == 1\n",
		"b.rego":   "package c.b\n\ndeny contains \"b\" if not data.lib.shared\n",
		"c.rego":   "package c.c\n\ndeny contains \"c\" if input.x\n",
		"d.rego":   "package c.d\n\ndeny contains \"d\" if data.lib.shared == 7 with input.x as [7]\n",
	}, "c/a/deny", "c/b/deny", "c/c/deny", "c/d/deny")
	if err != nil {
		t.Fatal(err)
	}
	p, err := vm.Compile(vm.Config{Policy: plan, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	m := machine(p)
	var got []string
	for _, doc := range []string{`{"x":[1,2]}`, `{"x":[1,1.0]}`, `{"x":[]}`, `{"x":[1,2]}`, `{"x":[1]}`} {
		root, err := m.Parse([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		line := doc
		for _, c := range []string{"a", "d", "a", "b", "c"} {
			v, err := m.Call(t.Context(), p.Rule("c."+c+".deny"), root, generous)
			if err != nil {
				line += " " + c + " error"
				continue
			}
			text, err := m.AppendJSON(nil, v)
			line += fmt.Sprintf(" %s %s %v", c, text, err)
		}
		got = append(got, line)
	}
	want := []string{
		`{"x":[1,2]} a error d ["d"] <nil> a error b error c ["c"] <nil>`,
		`{"x":[1,1.0]} a ["a"] <nil> d ["d"] <nil> a ["a"] <nil> b [] <nil> c ["c"] <nil>`,
		`{"x":[]} a [] <nil> d ["d"] <nil> a [] <nil> b ["b"] <nil> c ["c"] <nil>`,
		`{"x":[1,2]} a error d ["d"] <nil> a error b error c ["c"] <nil>`,
		`{"x":[1]} a ["a"] <nil> d ["d"] <nil> a ["a"] <nil> b [] <nil> c ["c"] <nil>`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestMachinesShareAPolicy: constants and data are read by all at once.
func TestMachinesShareAPolicy(t *testing.T) {
	t.Parallel()
	p := policy(t, `
names := {"n20", "n3", "n1", "n15", "n7", "n9", "n11", "n12", "n13", "n30"}
table := {"k1": {3, 1, 2}, "k2": [1, {"x": null}], "k3": {"b": 1, "a": 2}, "k4": 1, "k5": 1, "k6": 1, "k7": 1, "k8": 1, "k9": 1, "k10": 1}
p contains [v.name, t, concat(",", names), regex.match("^n1", v.name)] if {
	some k, v in input
	is_object(v)
	v.name in names
	t := object.get(table, k, {2, 1})
	sprintf("%v %v", [t, names]) != ""
}`)
	var wg sync.WaitGroup
	want := ""
	results := make([]string, 8)
	for i := range results {
		wg.Go(func() {
			m := machine(p)
			for n := range 50 {
				root, err := m.Parse([]byte(document(30 + n%5)))
				if err != nil {
					results[i] = err.Error()
					return
				}
				v, err := m.Call(t.Context(), p.Rule("p.p"), root, generous)
				if err != nil {
					results[i] = err.Error()
					return
				}
				text, err := m.AppendJSON(nil, v)
				results[i] = fmt.Sprint(string(text), err)
			}
		})
	}
	wg.Wait()
	for _, r := range results {
		if want == "" {
			want = r
		}
		if r != want || !strings.Contains(r, "n13") {
			t.Errorf("got %.200s, want %.200s", r, want)
		}
	}
}

// TestTextsDoNotOutliveTheirLine: the next document is read into the same bytes.
func TestTextsDoNotOutliveTheirLine(t *testing.T) {
	t.Parallel()
	p := policy(t, `p := [regex.match(input.e, input.t), regex.find_n(input.e, input.t, 1), glob.match(input.g, [], input.t), time.clock([0, input.z])[0]]`)
	m := machine(p)
	line := make([]byte, 0, 200)
	for range 3 {
		for _, tt := range []struct{ doc, want string }{
			{`{"e":"^a+$","t":"aaa","g":"a*","z":"Asia/Tokyo"}`, `[true,["aaa"],true,9]`},
			{`{"e":"^b+$","t":"aaa","g":"b*","z":"Asia/Dubai"}`, `[false,[],false,4]`},
			{`{"e":"^b+$","t":"bbb","g":"b*","z":"Asia/Kabul"}`, `[true,["bbb"],true,4]`},
		} {
			line = append(line[:0], tt.doc...)
			root, err := m.Parse(line)
			if err != nil {
				t.Fatal(err)
			}
			v, err := m.Call(t.Context(), p.Rule("p.p"), root, generous)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := m.AppendJSON(nil, v); err != nil || !bytes.Equal(got, []byte(tt.want)) {
				t.Errorf("%s: got %s, %v, want %s", tt.doc, got, err, tt.want)
			}
		}
	}
}

// TestASetThatIsScannedIsNotSorted: sorting it in place would show some elements
// twice and others not at all.
func TestASetThatIsScannedIsNotSorted(t *testing.T) {
	t.Parallel()
	p := policy(t, `
s := {x | some x in input}
p contains x if {
	some x in s
	y := [z | some z in s]
	count(y) > 0
	s < {"z"} | s
}`)
	v, err := ask(t, p, machine(p), `["e","d","c","b","a"]`, generous)
	if err != nil {
		t.Fatal(err)
	}
	m := machine(p)
	if got, err := m.AppendJSON(nil, v); err != nil || string(got) != `["a","b","c","d","e"]` {
		t.Errorf("got %s, %v", got, err)
	}
}
