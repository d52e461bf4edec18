package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// endless are conditions that hold up a decision for hours where nothing limits it:
// loops, a search that takes the square of a text, and a builtin that makes all that
// it is asked for.
var endless = map[string]string{
	"loops":      `count([1 | some a in input.data.n; some b in input.data.n; some c in input.data.n; a + b == c + 0.5]) > 5`,
	"strings":    `count({sprintf("%d,%d,%d", [a, b, c]) | some a in input.data.n; some b in input.data.n; some c in input.data.n}) < 0`,
	"expression": `count(regex.find_all_string_submatch_n("(?:x*y)?x", input.data.text, -1)) < 0`,
	"replaced":   `regex.replace(input.data.text, "x*y|x", "-") == ""`,
	"graph":      `count(graph.reachable({n: input.data.n | some n in array.slice(input.data.n, 0, 3000)}, {1})) < 0`,
}

// cancelling is how many milliseconds a run goes on, at most, after it was cancelled
// amid a decision that would take for hours, whoever makes it. Each is a process of
// its own: what cannot be stopped goes on until its process ends.
func cancelling(ctx context.Context, b *bench) ([]result, error) {
	worst, of := time.Duration(0), ""
	for _, name := range slices.Sorted(maps.Keys(endless)) {
		for _, engine := range []string{"vm", "opa"} {
			for i := range b.size(3, 1) {
				after := time.Duration(1+i) * 150 * time.Millisecond
				p, err := self("cancel", name, engine, after.String())
				if err != nil {
					return nil, err
				}
				var said strings.Builder
				p.out = &said
				if _, err := p.run(ctx); err != nil {
					return nil, fmt.Errorf("%s by %s: %w", name, engine, err)
				}
				late, err := time.ParseDuration(strings.TrimSpace(said.String()))
				if err != nil {
					return nil, err
				}
				if late >= worst {
					worst, of = late, fmt.Sprintf("%s by %s, cancelled after %s", name, engine, after)
				}
			}
		}
	}
	return []result{{float64(worst.Microseconds()) / 1000, "milliseconds of wall time, of one processor; the most was for " + of}}, nil
}

// childCancel decides what would take for hours, cancels that, and says how long it
// took to end.
func childCancel(ctx context.Context, args []string, out io.Writer) error {
	name, engine, after := args[0], args[1], args[2]
	wait, err := time.ParseDuration(after)
	if err != nil {
		return err
	}
	data, err := hold([]part{{origin: "kubernetes/bench", write: oneEndless}})
	if err != nil {
		return err
	}
	lib, err := policies.Load(library{
		"lib/none.rego": "package lib.none\n", "controls/bench/endless.rego": endlessControl(endless[name]),
	}.FS(), nil)
	if err != nil {
		return err
	}
	e, err := evaluate.New(evaluate.Config{Library: lib, Workers: 2, OPA: engine == "opa", Steps: 1 << 60, Bytes: 1 << 60})
	if err != nil {
		return err
	}
	late, err := cancelledAfter(ctx, e, data, wait)
	fmt.Fprintln(out, late)
	return err
}

// cancelledAfter decides, cancels after a while, and tells how long it took to end.
func cancelledAfter(ctx context.Context, e *evaluate.Engine, data *memory, after time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	at := make(chan time.Time, 1)
	time.AfterFunc(after, func() {
		at <- time.Now()
		cancel()
	})
	err := e.Decide(ctx, audit.Judgement{AsOf: moment, Snapshots: data.snapshots, Vault: data}, func(audit.Verdict) error { return nil })
	ended := time.Now()
	if !errors.Is(err, context.Canceled) {
		return 0, fmt.Errorf("it was to go on until it is cancelled, and ended with %w", errors.Join(err, errors.New("no cancellation")))
	}
	return ended.Sub(<-at), nil
}

func endlessControl(condition string) string {
	return fmt.Sprintf(`# METADATA
# title: Nothing takes for hours
# description: It does.
# custom:
#   id: END-001
#   severity: low
#   applies_to: ["kubernetes/v1/ConfigMap"]
#   why: A run that is cancelled has to end.
#   fix:
#     kubernetes: |
#       kubectl delete configmap NAME
package controls.bench.endless

violation contains {"message": "it ended", "observed": 1, "expected": 2, "path": "/data"} if {
	%s
}
`, condition)
}

// oneEndless is a document of twenty thousand numbers and a text of a megabyte.
func oneEndless(yield func(typ string, line []byte) error) error {
	const origin, typ = "kubernetes/bench", "v1/ConfigMap"
	numbers := make([]any, 20_000)
	for i := range numbers {
		numbers[i] = json.Number(fmt.Sprint(i))
	}
	r := audit.Resource{
		Source: "kubernetes", Origin: origin, Type: typ, Name: "endless", ID: audit.ResourceID(origin, typ, "endless"),
		Data: map[string]any{"n": numbers, "text": strings.Repeat("x", 1<<20)},
	}
	line, err := r.Line()
	if err != nil {
		return err
	}
	return yield(typ, line)
}
