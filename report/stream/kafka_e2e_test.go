//go:build e2e

package stream_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/crosscheck-dev/crosscheck/report"
	"github.com/crosscheck-dev/crosscheck/report/stream"
)

// topic makes one on the real broker, with a small limit for a record.
func topic(t *testing.T, name string) string {
	t.Helper()
	broker := os.Getenv("CROSSCHECK_KAFKA")
	if broker == "" {
		t.Fatal("CROSSCHECK_KAFKA names no broker: run this by `make e2e`")
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	limit := "20000"
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 3, 1, map[string]*string{"max.message.bytes": &limit}, name); err != nil {
		t.Fatal(err)
	}
	return broker
}

// consumed reads n records, by any consumer.
func consumed(t *testing.T, broker, topic string, n int) (out []*kgo.Record) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for len(out) < n {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", len(out), n, err)
		}
		out = append(out, f.Records()...)
	}
	return out
}

// TestKafka: a real broker holds each decision, one resource's on one partition in
// order, also when the process was killed after any batch.
func TestKafka(t *testing.T) {
	name := "decisions-" + strings.ToLower(t.Name()) + time.Now().Format("-150405")
	broker := topic(t, name)
	rec := record(t, 50)
	sink := func() *stream.Sink {
		s, err := stream.New(stream.Config{Name: "k", Now: now, Batch: 4000, Kafka: &stream.Kafka{Brokers: []string{broker}, Topic: name}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	k := &stopping{left: 7}
	d := k.delivery()
	d.Keeper = k
	if err := sink().Deliver(t.Context(), rec, d); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("Deliver() = %v", err)
	}
	if err := sink().Deliver(t.Context(), rec, k.keeper.delivery()); err != nil {
		t.Fatal(err)
	}
	got := consumed(t, broker, name, 150)
	ids, places := map[string]bool{}, map[string]int32{}
	for _, r := range got {
		if len(r.Headers) != 2 || r.Headers[0].Key != "decision_id" || !strings.Contains(string(r.Value), string(r.Headers[0].Value)) {
			t.Fatalf("headers %v", r.Headers)
		}
		ids[string(r.Headers[0].Value)] = true
		if p, ok := places[string(r.Key)]; ok && p != r.Partition {
			t.Errorf("decisions on %s are on partitions %d and %d", r.Key, p, r.Partition)
		}
		places[string(r.Key)] = r.Partition
	}
	if len(ids) != 150 || len(places) != 50 {
		t.Errorf("%d decisions on %d resources", len(ids), len(places))
	}
}

// TestKafkaTooLarge: what the topic's limit refuses is kept as rejected, the rest is there.
func TestKafkaTooLarge(t *testing.T) {
	name := "large-" + time.Now().Format("150405")
	broker := topic(t, name)
	rec := record(t, 3)
	for i := range rec.Catalog.Controls {
		if rec.Catalog.Controls[i].ID == "B-001" {
			rec.Catalog.Controls[i].Title = randomText(40000)
		}
	}
	s, err := stream.New(stream.Config{Name: "k", Now: now, Kafka: &stream.Kafka{Brokers: []string{broker}, Topic: name}})
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{}
	if err := s.Deliver(t.Context(), rec, k.delivery()); err != nil {
		t.Fatal(err)
	}
	if len(k.rejected) != 3 || len(consumed(t, broker, name, 6)) != 6 {
		t.Errorf("%d rejected: %v", len(k.rejected), k.rejected)
	}
	for _, r := range k.rejected {
		if r.ID == "" || !strings.Contains(r.Reason, "MESSAGE_TOO_LARGE") {
			t.Errorf("rejection %+v", r)
		}
	}
}

// TestKafkaRefused: what no retry cures is told from what one does.
func TestKafkaRefused(t *testing.T) {
	broker := topic(t, "there-"+time.Now().Format("150405"))
	deliver := func(cfg stream.Kafka) error {
		s, err := stream.New(stream.Config{Name: "k", Now: now, Kafka: &cfg})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		return s.Deliver(ctx, record(t, 1), (&keeper{}).delivery())
	}
	if err := deliver(stream.Kafka{Brokers: []string{broker}, Topic: "no-such-topic"}); err == nil || !report.IsPermanent(err) {
		t.Errorf("no topic: %v", err)
	}
	if err := deliver(stream.Kafka{Brokers: []string{"127.0.0.1:1"}, Topic: "x"}); err == nil || report.IsPermanent(err) {
		t.Errorf("nobody listens: %v", err)
	}
}
