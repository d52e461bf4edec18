package audit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// watching keeps what it is told, a line each.
type watching struct {
	mu  sync.Mutex
	got []string
}

func (w *watching) Observe(o audit.Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, fmt.Sprintf("%s %s %s %s %s %s %v", o.Stage, o.Origin, o.Audit, o.Trigger, o.Status, o.Took, o.Err))
}

// refusing is a sink that takes nothing.
type refusing struct{}

func (refusing) Name() string { return "s" }

func (refusing) Deliver(context.Context, audit.Record, audit.Delivery) error {
	return io.ErrUnexpectedEOF
}

// TestObserver is told of each step once, how long it took and how it ended.
func TestObserver(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	a := auditor(t, things("aws/1/eu", "p1"), source{"netbox/x", func(audit.SnapshotWriter) (audit.Collection, error) {
		return audit.Collection{}, nil
	}})
	var mu sync.Mutex
	now := day(1)
	a.Now = func() time.Time { // each look at the clock is a second later
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
	a.Parallel = 1
	w := &watching{}
	a.Observer, a.Sinks = w, []audit.Sink{refusing{}}
	run, err := a.Run(t.Context(), audit.Order{Trigger: audit.Schedule, Audit: "nightly"})
	if !errors.As(err, new(*audit.DeliveryError)) || run.Status != audit.Complete {
		t.Fatalf("%s, %v", run.Status, err)
	}
	slices.Sort(w.got)
	want := []string{
		"collect aws/1/eu nightly schedule  3s <nil>", "collect netbox/x nightly schedule  3s <nil>", "decide  nightly schedule  1s <nil>",
		"run  nightly schedule complete 13s " + err.Error(), // not delivered, and recorded
	}
	if diff := cmp.Diff(w.got, want); diff != "" {
		t.Errorf("told (-got +want):\n%s", diff)
	}
	w = &watching{}
	a.Observer, a.Decider = w, failing{byName{}, broken}
	if _, err := a.Run(t.Context(), audit.Order{Trigger: audit.Manual}); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if n := len(w.got); n != 4 || w.got[3] != "run   manual  12s deciding: broken" {
		t.Errorf("told of a run that nothing came of: %q", w.got)
	}
}

// failing decides nothing.
type failing struct {
	byName
	err error
}

func (f failing) Decide(context.Context, audit.Judgement, func(audit.Verdict) error) error {
	return f.err
}
