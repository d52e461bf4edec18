package audittest

import (
	"sync"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Watch keeps what it is told of single requests. Its clock goes a millisecond with each look at it.
type Watch struct {
	mu   sync.Mutex
	told []audit.Observation
	now  time.Time
}

// Observe implements audit.Observer.
func (w *Watch) Observe(o audit.Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, o)
}

// Of is the stopwatch of one origin.
func (w *Watch) Of(origin string) *audit.Stopwatch {
	return &audit.Stopwatch{Observer: w, Origin: origin, Now: func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.now = w.now.Add(time.Millisecond)
		return w.now
	}}
}

// Told counts the requests of each operation that went well, and that failed.
func (w *Watch) Told() (answered, failed map[string]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	answered, failed = map[string]int{}, map[string]int{}
	for _, o := range w.told {
		if o.Err != nil {
			failed[o.Operation]++
		} else {
			answered[o.Operation]++
		}
	}
	return answered, failed
}

// Timed collects, and checks what every collector promises of a stopwatch: it is
// told of each request that is counted once, of its length, and of a failure
// only where an error is counted.
func Timed(t testing.TB, c audit.Collector, req audit.Request, to audit.SnapshotWriter) (audit.Collection, *Watch, error) {
	t.Helper()
	w := &Watch{}
	req.Watch = w.Of(req.Origin)
	col, err := c.Collect(t.Context(), req, to)
	var requests, failures int64
	for _, call := range col.Calls {
		requests, failures = requests+call.Requests, failures+call.Errors
	}
	if !col.Ended.IsZero() { // what was recorded asks nobody
		requests = 0
	}
	var failed int64
	for _, o := range w.told {
		if o.Stage != "request" || o.Origin != req.Origin || o.Operation == "" || o.Took < time.Millisecond {
			t.Errorf("told of %+v", o)
		}
		if o.Err != nil {
			failed++
		}
	}
	if n := int64(len(w.told)); n != requests || failed > failures {
		t.Errorf("%s: told of %d requests, %d of them failed, where %d and %d errors are counted: %v", req.Origin, n, failed, requests, failures, col.Calls)
	}
	return col, w, err
}
