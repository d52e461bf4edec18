package vm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// pair is one module in OPA's evaluator and in the machine.
type pair struct {
	compiler *ast.Compiler
	policy   *vm.Policy
	machine  *vm.Machine
}

// newPair compiles a module of package p twice; an error is one of the module's.
func newPair(tb testing.TB, text string, names []string) (*pair, error) {
	tb.Helper()
	parsed, err := ast.ParseModuleWithOpts("p.rego", text, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		return nil, err
	}
	c := ast.NewCompiler()
	if c.Compile(map[string]*ast.Module{"p.rego": parsed}); c.Failed() {
		return nil, c.Errors
	}
	entries := make([]string, len(names))
	for i, n := range names {
		entries[i] = "p/" + n
	}
	plan, err := planned(tb, map[string]string{"p.rego": text}, entries...)
	if err != nil {
		return nil, err
	}
	p, err := vm.Compile(vm.Config{Policy: plan, Strict: true})
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return &pair{c, p, machine(p)}, nil
}

// differ asks both about one rule and one document. What takes the machine long is
// not asked of OPA, which would take minutes.
func (p *pair) differ(ctx context.Context, rule, doc string) (evaluated bool, err error) {
	root, err := p.machine.Parse([]byte(doc))
	if err != nil {
		return false, err
	}
	got, gotErr := p.machine.Call(ctx, p.policy.Rule("p."+rule), root, vm.Limits{Steps: 1 << 22, Bytes: 1 << 28})
	if refuses(gotErr) {
		return false, nil
	}
	results, wantErr := p.opa(ctx, rule, doc)
	both := gotErr != nil && wantErr != nil
	switch {
	case both, errors.Is(wantErr, errPanic):
		return false, nil
	case wantErr != nil && len(results) == 0:
		return false, fmt.Errorf("got no error, want %w", wantErr)
	case gotErr != nil:
		return false, fmt.Errorf("got the error %w, want %v", gotErr, results)
	case got == nil && len(results) == 0:
		return true, nil
	case got == nil || len(results) == 0:
		return true, fmt.Errorf("defined = %v, want %v", got != nil, results)
	}
	return true, p.sameValue(got, results[0][ast.Var("x")])
}

// refuses tells whether the machine only says that it is not to decide.
func refuses(err error) bool {
	return errors.Is(err, vm.ErrSteps) || errors.Is(err, vm.ErrBytes) || errors.Is(err, vm.ErrWritten)
}

// opa is what OPA's evaluator says. With results an error is one that it only
// meets without its shortcuts, as plans do.
func (p *pair) opa(ctx context.Context, rule, doc string) (topdown.QueryResultSet, error) {
	input, err := ast.ValueFromReader(strings.NewReader(doc))
	if err != nil {
		return nil, err
	}
	store := inmem.New()
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer store.Abort(ctx, txn)
	query := topdown.NewQuery(ast.MustParseBody("data.p." + rule + " = x")).WithCompiler(p.compiler).
		WithInput(ast.NewTerm(input)).WithStore(store).WithTransaction(txn).WithStrictBuiltinErrors(true)
	results, err := run(ctx, query)
	if err == nil {
		_, err = run(ctx, query.WithIndexing(false).WithEarlyExit(false))
	}
	return results, err
}

// errPanic is OPA's: it loses one of two keys that are arrays and have the same hash.
var errPanic = errors.New("OPA's evaluator panicked")

// run makes an error of a panic.
func run(ctx context.Context, q *topdown.Query) (results topdown.QueryResultSet, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return q.Run(ctx)
}

// sameValue compares what OPA writes, and what JSON there is.
func (p *pair) sameValue(got *vm.Value, want *ast.Term) error {
	if term := p.machine.ToOPA(got); term.String() != want.String() {
		return fmt.Errorf("got %v, want %v", term, want)
	}
	text, unwritten := p.machine.AppendJSON(nil, got)
	value, err := ast.JSON(want.Value)
	if err != nil || unwritten != nil { // keys that JSON does not have
		return err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return err
	}
	if canonical := strings.TrimSuffix(b.String(), "\n"); canonical != string(text) {
		return fmt.Errorf("got %s, want %s", text, canonical)
	}
	return nil
}

// inputs are the documents that generated rules are asked about.
func inputs() []string {
	return []string{
		`{"a":1,"l":[1,2,3],"o":{"a":true,"b":null},"s":"abc","n":1.0}`,
		`{"a":[1,1.0,{"a":1}],"l":["b","a",""],"o":{"b":{"c":[1]},"a":"x","1":2},"s":"é,b","n":-0}`,
		`{"a":{"a":{"b":1}},"l":[[1],[2.0],{"a":2},"a",null,true,10,11,12,13],"o":{},"s":"","n":12345678901234567890}`,
		`{"l":[],"o":[1,2],"s":5,"n":"2","a":"a"}`,
		`{}`,
		`[1,{"a":2}]`,
		`{"a":{"k3":1},"l":` + numbers(12) + `,"o":` + document(9) + `,"s":"k3","n":12}`,
	}
}

// TestGeneratedPolicies decides the same by the machine and by OPA's evaluator.
func TestGeneratedPolicies(t *testing.T) {
	t.Parallel()
	for seed := range int64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewSource(seed))
			compiled, evaluated := 0, 0
			for range 60 {
				text, names := (&generator{rng: rng}).module()
				p, err := newPair(t, text, names)
				if err != nil {
					continue
				}
				compiled++
				for _, doc := range inputs() {
					for _, name := range names {
						ok, err := p.differ(t.Context(), name, doc)
						if err != nil {
							t.Fatalf("%s\n%s of %s: %v", text, name, doc, err)
						}
						if ok {
							evaluated++
						}
					}
				}
			}
			if compiled < 25 || evaluated < 500 {
				t.Errorf("%d modules compiled, %d rules evaluated", compiled, evaluated)
			}
			t.Logf("%d modules compiled, %d rules evaluated", compiled, evaluated)
		})
	}
}

func FuzzPolicies(f *testing.F) {
	for i, doc := range inputs() {
		f.Add(int64(i), doc)
	}
	f.Fuzz(func(t *testing.T, seed int64, doc string) {
		text, names := (&generator{rng: rand.New(rand.NewSource(seed))}).module()
		p, err := newPair(t, text, names)
		if err != nil {
			return
		}
		if _, err := ast.ValueFromReader(strings.NewReader(doc)); err != nil || !json.Valid([]byte(doc)) {
			return
		}
		for _, name := range names {
			if _, err := p.differ(t.Context(), name, doc); err != nil {
				t.Errorf("%s\n%s of %s: %v", text, name, doc, err)
			}
		}
	})
}

// TestPoliciesByHand decides the same by both, of whatever somebody thought could be
// different, on documents that are mostly not what a rule expects. It is not run with
// others at once: see generator.module.
func TestPoliciesByHand(t *testing.T) {
	text, err := os.ReadFile("testdata/by-hand.txt")
	if err != nil {
		t.Fatal(err)
	}
	docs := append(inputs(),
		`{"a":{"b":{"c":[1,{"d":"x"}]}},"l":[3,1,2,2,1.0,"a","A",null,true,[1],{"a":1}],"o":{"k":"v","é":"\u0000","":1},"s":"a.b..c","n":1e400}`,
		`{"a":"x","l":["10.0.0.0/8","10.1.0.0/16","::1/128","2001:db8::/32","10.0.0.1"],"o":{"a":[1,2,3],"b":{"x":1}},"s":"2024-02-29T12:00:00Z","n":-7}`,
		`{"a":null,"l":[0,-0,0.0,1e0,1.5,100000000000000000000,0.1,0.2],"o":{"a":null},"s":"\ud83d\ude00e\u0301","n":0.1}`,
		`{"a":false,"l":["1.2.3","1.10.0","v1","1.0.0-rc1","10Ki","5MB","1e3","0x10"],"o":{"a":{"a":{"a":{}}}},"s":"%d","n":1e2}`,
		`"x"`, `3`, `null`, `[]`, `[[1,2],[3,4],[1,2]]`, `true`,
	)
	for module := range strings.SplitSeq(string(text), "---\n") {
		p, err := newPair(t, "package p\n"+module+"\nwhole := p\n", []string{"whole"})
		if err != nil {
			t.Fatalf("%s: %v", module, err)
		}
		for _, doc := range docs {
			if _, err := p.differ(t.Context(), "whole", doc); err != nil {
				t.Errorf("%sof %s: %v", module, doc, err)
			}
		}
	}
}
