package stream

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/report"
)

// Kafka is a topic, which must be there. The key of a record is the resource's
// id, so that one resource's decisions stay in order; its headers decision_id and run.
type Kafka struct {
	Brokers   []string // host:port
	Topic     string
	TLS       bool
	CAFile    string // trusted beside the system's
	Mechanism string // plain, scram-sha-256 or scram-sha-512; empty: no authentication
	User      string
	Password  configs.Secret
}

type kafka struct {
	cfg  Kafka
	opts []kgo.Opt
	now  func() time.Time
}

// deliveryTimeout is how long a record may take, the client's own retries included.
const deliveryTimeout = time.Minute

func newKafka(cfg Kafka, now func() time.Time) (target, error) {
	switch {
	case len(cfg.Brokers) == 0:
		return nil, errors.New("kafka: brokers: expected one at least, such as kafka.example.com:9092")
	case cfg.Topic == "":
		return nil, errors.New("kafka: topic is required")
	case cfg.Mechanism != "" && (cfg.User == "" || cfg.Password.IsZero()):
		return nil, errors.New("kafka: expected user and password beside mechanism")
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...), kgo.DefaultProduceTopic(cfg.Topic), kgo.ClientID("crosscheck"),
		kgo.RecordDeliveryTimeout(deliveryTimeout), kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()),
		kgo.DialTimeout(10 * time.Second), kgo.MetadataMinAge(time.Second), kgo.UnknownTopicRetries(3),
	}
	if cfg.TLS {
		pool, err := authorities(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("kafka: ca_file: %w", err)
		}
		opts = append(opts, kgo.DialTLSConfig(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}))
	}
	return &kafka{cfg, opts, now}, nil
}

func (k *kafka) authentication() (sasl.Mechanism, error) {
	password, err := k.cfg.Password.Reveal()
	if err != nil {
		return nil, err
	}
	switch k.cfg.Mechanism {
	case "plain":
		return plain.Auth{User: k.cfg.User, Pass: password}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: k.cfg.User, Pass: password}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: k.cfg.User, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, report.Permanent(fmt.Errorf("kafka: mechanism %q: expected plain, scram-sha-256 or scram-sha-512", k.cfg.Mechanism))
}

func (k *kafka) start(_ context.Context, _, _ string, _ json.RawMessage) (session, error) {
	opts := k.opts
	if k.cfg.Mechanism != "" {
		m, err := k.authentication()
		if err != nil {
			return nil, err
		}
		opts = append(opts[:len(opts):len(opts)], kgo.SASL(m))
	}
	c, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, report.Permanent(fmt.Errorf("kafka: %w", err))
	}
	return &producing{k, c}, nil
}

type producing struct {
	*kafka
	client *kgo.Client
}

func (*producing) position() any { return nil }

func (p *producing) close() error {
	p.client.Close()
	return nil
}

// send returns once all in-sync replicas hold the records.
func (p *producing) send(ctx context.Context, b batch) ([]audit.Rejection, error) {
	records := make([]*kgo.Record, len(b.events))
	ids := make(map[*kgo.Record]string, len(b.events))
	for i, e := range b.events {
		records[i] = &kgo.Record{
			Key: []byte(e.key), Value: e.line,
			Headers: []kgo.RecordHeader{{Key: "decision_id", Value: []byte(e.id)}, {Key: "content-type", Value: []byte("application/json")}},
		}
		ids[records[i]] = e.id
	}
	var rejected []audit.Rejection
	large, err := p.produce(ctx, records)
	for _, r := range large { // a batch of records is refused whole: which of them is too large is seen one by one
		if err != nil {
			break
		}
		var alone []*kgo.Record
		if alone, err = p.produce(ctx, []*kgo.Record{r}); len(alone) == 1 {
			rejected = append(rejected, audit.Rejection{ID: ids[r], Reason: fmt.Sprintf("%d bytes: %s", len(r.Value), kerr.MessageTooLarge), At: p.now()})
		}
	}
	return rejected, err
}

// produce gives back the records that were refused for their size, or for that
// of others beside them. Other failures are its error.
func (p *producing) produce(ctx context.Context, records []*kgo.Record) (large []*kgo.Record, failed error) {
	for _, r := range p.client.ProduceSync(ctx, records...) {
		switch {
		case r.Err == nil:
		case errors.Is(r.Err, kerr.MessageTooLarge), errors.Is(r.Err, kerr.RecordListTooLarge):
			large = append(large, r.Record)
		case failed == nil:
			failed = p.judge(r.Err)
		}
	}
	return large, failed
}

// judge tells what a retry cures.
func (p *producing) judge(err error) error {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return report.Permanent(fmt.Errorf("kafka: no topic %q: make it, then `crosscheck deliveries retry`", p.cfg.Topic))
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.SaslAuthenticationFailed):
		return report.Permanent(fmt.Errorf("kafka: %w: mend its credentials or its rights, then `crosscheck deliveries retry`", err))
	}
	return fmt.Errorf("kafka: topic %s: %w", p.cfg.Topic, err)
}
