package evaluate_test

import (
	"sync"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/evaluate"
)

// TestClock is told of every decision once, and changes none.
func TestClock(t *testing.T) {
	t.Parallel()
	lib := library(t, map[string]string{
		"lib/thing.rego":          colours,
		"controls/paint/red.rego": control("PNT-001", "controls.paint.red", `"aws/T", "kubernetes/v1/T"`, notRed),
	})
	j := judgement(t, doc("aws/1/eu", "T", "blue", `{"colour":"blue"}`), doc("aws/1/eu", "T", "red", `{"colour":"red"}`), doc("aws/1/eu", "V", "not judged", `{}`),
		doc("kubernetes/a", "v1/T", "k", `{"spec":{"color":"green"}}`))
	var mu sync.Mutex
	var now time.Time
	told, took := 0, time.Duration(0)
	e, err := evaluate.New(evaluate.Config{Library: lib, Workers: 1, Clock: evaluate.Clock{
		Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(time.Millisecond)
			return now
		},
		Decided: func(n int, d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			told, took = told+n, took+d
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want(t, outcomes(t, e, j), outcomes(t, engine(t, lib), j)...)
	if told != 3 || took != 2*time.Millisecond {
		t.Errorf("told of %d decisions in %s, want 3 in 2ms", told, took)
	}
}
