//go:build e2e && throughput

package elastic_test

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastic/go-elasticsearch/v8"
	"github.com/elastic/go-elasticsearch/v8/esutil"

	"github.com/crosscheck-dev/crosscheck/report/elastic"
)

// TestThroughput compares delivering a run, from its segment in the vault, with
// what the client's own bulk indexer takes for the same documents as ready-made
// bytes: same server, same templates, in turn, the least of each.
//
// It has a tag of its own because esutil compiles the client's whole typed API.
func TestThroughput(t *testing.T) { //nolint:paralleltest // it is timed
	const documents, rounds, goal = 20_000, 4, 0.8
	base := server(t)
	rec := newDesk(t).record(t, wide(t, "throughput", documents))
	type doc struct {
		id   string
		body []byte
	}
	var ready []doc
	if err := elastic.Documents(elastic.Config{Namespace: "x"}, rec, func(id string, body []byte) error {
		ready = append(ready, doc{id, bytes.Clone(body)})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	client, err := elasticsearch.NewClient(elasticsearch.Config{Addresses: []string{base}})
	if err != nil {
		t.Fatal(err)
	}
	theirs := func(ns string) time.Duration {
		started := time.Now()
		bi, err := esutil.NewBulkIndexer(esutil.BulkIndexerConfig{Client: client, Index: stream(ns), NumWorkers: 2, FlushBytes: 5 << 20})
		if err != nil {
			t.Fatal(err)
		}
		var failed atomic.Int64
		for _, d := range ready {
			err := bi.Add(t.Context(), esutil.BulkIndexerItem{
				Action: "create", DocumentID: d.id, Body: bytes.NewReader(d.body),
				OnFailure: func(context.Context, esutil.BulkIndexerItem, esutil.BulkIndexerResponseItem, error) { failed.Add(1) },
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := bi.Close(t.Context()); err != nil || failed.Load() > 0 {
			t.Fatal(err, failed.Load())
		}
		return time.Since(started)
	}
	var mine, its time.Duration
	for i := range rounds {
		a, b := namespace(t), namespace(t)
		for _, ns := range []string{a, b} { // both streams are there before
			if _, err := sink(t, elastic.Config{URLs: []string{base}, Namespace: ns}).SetUp(t.Context(), false); err != nil {
				t.Fatal(err)
			}
		}
		d := newDesk(t)
		rec := d.record(t, rec)
		s := sink(t, elastic.Config{URLs: []string{base}, Namespace: a})
		owed := d.owed(t, rec.Run.ID)
		ours := func() time.Duration {
			started := time.Now()
			if err := s.Deliver(t.Context(), rec, owed); err != nil {
				t.Fatal(err)
			}
			return time.Since(started)
		}
		var x, y time.Duration
		if i%2 == 0 {
			x, y = ours(), theirs(b)
		} else {
			y, x = theirs(b), ours()
		}
		t.Logf("round %d: crosscheck %s, BulkIndexer %s", i, x, y)
		for _, ns := range []string{a, b} {
			if _, ids := places(t, base, stream(ns)); ids < documents {
				t.Fatalf("%d documents in %s, want %d", ids, ns, documents)
			}
		}
		if i == 0 || x < mine {
			mine = x
		}
		if i == 0 || y < its {
			its = y
		}
	}
	ratio := float64(its) / float64(mine)
	t.Logf("elastic-throughput %.2f (goal >= %.1f) # %d documents, the first of %d bytes", ratio, goal, len(ready), len(ready[0].body))
	if ratio < goal {
		t.Errorf("elastic-throughput is %.2f of the client's own bulk indexer's, want %.1f", ratio, goal)
	}
}
