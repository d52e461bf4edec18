package evaluate_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// shared is the embedded library and its engine: preparing it is most of the work of a test.
var shared = sync.OnceValues(func() (*evaluate.Engine, error) {
	lib, err := policies.Load(policies.Embedded(), nil)
	if err != nil {
		return nil, err
	}
	return evaluate.New(evaluate.Config{Library: lib, Workers: 2})
})

func embeddedEngine(t testing.TB) *evaluate.Engine {
	t.Helper()
	e, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func embedded(t testing.TB) *policies.Library {
	t.Helper()
	lib, err := policies.Load(policies.Embedded(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// TestLibraryIsSpecialised: what remains of the library for a type asks no more
// what is known, and reads nothing of another source (traps 2 and 5).
func TestLibraryIsSpecialised(t *testing.T) {
	t.Parallel()
	e := embeddedEngine(t)
	if err := e.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := e.AllReads(t.Context(), func(c audit.Control, source, typ string, r plan.Reads) {
		name := c.ID + " " + source + "/" + typ
		if len(r.Input) == 0 {
			t.Errorf("%s reads nothing", name)
		}
		for _, read := range r.Input {
			foreign := map[string][]string{
				audit.AWS: {"/data/values", "/data/spec", "/data/metadata"}, audit.Terraform: {"/data/Describe", "/data/Get", "/data/spec"},
				audit.Kubernetes: {"/data/values", "/data/Describe", "/data/Get"}, audit.NetBox: {"/data/values", "/data/Describe", "/data/spec"},
			}[source]
			for _, f := range append(foreign, "/source", "/type") {
				if strings.HasPrefix(read.Pointer, f) {
					t.Errorf("%s reads %s", name, read.Pointer)
				}
			}
			if read.Pointer == "" || read.Pointer == "/data" {
				t.Errorf("%s reads %q: any gap makes it not evaluated", name, read.Pointer)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAbsentRules: a control whose rules a plan does not have is an error, since else
// it would read nothing, and no gap could touch it.
func TestAbsentRules(t *testing.T) {
	t.Parallel()
	lib := library(t, map[string]string{
		"lib/none.rego":     "package lib.none\n",
		"controls/a/b.rego": control("ABS-001", "controls.a.b", `"aws/T"`, `violation contains {"message": "m", "observed": 1, "expected": 2, "path": "/data"} if input.data.n == 7`+"\n"),
	})
	e, c := engine(t, lib), lib.Catalog.Controls[0]
	if err := e.PartOf(t.Context(), c, "aws", "T"); err != nil {
		t.Fatal(err)
	}
	excluding, elsewhere := c, c
	excluding.Excludes, elsewhere.Package = "what has no rule", "controls.a.c"
	for want, c := range map[string]audit.Control{"controls.a.b.applies": excluding, "controls.a.c.violation": elsewhere} {
		if err := e.PartOf(t.Context(), c, "aws", "T"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("its error is %v, want one that names %s", err, want)
		}
	}
}
