// Package stream delivers decisions in OPA's decision log format, so that what
// reads the logs of OPA servers reads those of crosscheck: to a file, an HTTP
// endpoint or a Kafka topic. Each decision is delivered at least once; its
// decision_id tells a repetition.
package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Config of one stream. Of File, HTTP and Kafka one is set.
type Config struct {
	Name    string // tells streams apart: the sink is called stream-<name>
	Passes  bool   // plain passes too; by default what failed, was not evaluated or excluded, or passed by a look-up
	Version string // of crosscheck, for the labels
	Host    string // for the labels
	File    *File
	HTTP    *HTTP
	Kafka   *Kafka
	Now     func() time.Time // required: when a document was refused
	Batch   int              // bytes of events sent at once, before compression; default 512 KiB
}

// target is where a stream goes.
type target interface {
	// start opens it, for one delivery of a run. position is what the session
	// before, which may have been killed, gave last; empty at first.
	start(ctx context.Context, key, run string, position json.RawMessage) (session, error)
}

// session sends the events of one delivery.
type session interface {
	// send returns once the target holds the events. What it refused for good it gives back.
	send(ctx context.Context, b batch) ([]audit.Rejection, error)
	// position is kept for start after each send, and before the first.
	position() any
	close() error
}

// batch is some events in their order.
type batch struct {
	first  int64 // the number of the first one in the delivery, from 0
	events []event
	bytes  int
}

// event is one line: id is the decision's, key the resource's.
type event struct {
	id, key string
	line    []byte
}

// Sink is one stream.
type Sink struct {
	cfg    Config
	target target
}

var name = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,40}$`)

// New checks the configuration, and reaches nothing.
func New(cfg Config) (*Sink, error) {
	if !name.MatchString(cfg.Name) {
		return nil, fmt.Errorf("name %q: expected lower-case letters, digits and dashes", cfg.Name)
	}
	if cfg.Now == nil {
		return nil, errors.New("Now is required")
	}
	if cfg.Batch == 0 {
		cfg.Batch = 512 << 10
	}
	s := &Sink{cfg: cfg}
	var err error
	given := 0
	if cfg.File != nil {
		given++
		s.target, err = newFile(*cfg.File)
	}
	if cfg.HTTP != nil {
		given++
		s.target, err = newHTTP(*cfg.HTTP, cfg.Now)
	}
	if cfg.Kafka != nil {
		given++
		s.target, err = newKafka(*cfg.Kafka, cfg.Now)
	}
	if given != 1 {
		return nil, errors.New("expected one of file, http and kafka")
	}
	return s, err
}

// Name implements audit.Sink.
func (s *Sink) Name() string { return "stream-" + s.cfg.Name }

// note is how far a delivery came.
type note struct {
	Of       string          `json:"of"`   // which events are counted, and where they are: another one begins anew
	Sent     int64           `json:"sent"` // events
	Position json.RawMessage `json:"position,omitempty"`
}

// of identifies what a stream sends, and where to.
func (s *Sink) of() (string, error) {
	where := []string{}
	switch {
	case s.cfg.File != nil:
		where = append(where, "file", s.cfg.File.Path)
	case s.cfg.HTTP != nil:
		where = append(where, "http", s.cfg.HTTP.URL)
	case s.cfg.Kafka != nil:
		where = append(append(where, "kafka", s.cfg.Kafka.Topic), s.cfg.Kafka.Brokers...)
	}
	return audit.DigestOf([]any{"crosscheck/stream/1", s.cfg.Passes, where})
}

// Deliver implements audit.Sink: it goes on where the try before came to. Events
// of a batch that was under way when the process was killed come again.
func (s *Sink) Deliver(ctx context.Context, rec audit.Record, d audit.Delivery) (err error) {
	var n note
	if d.Note != "" {
		if err := json.Unmarshal([]byte(d.Note), &n); err != nil {
			return fmt.Errorf("note of the try before: %w", err)
		}
	}
	of, err := s.of()
	if err != nil {
		return err
	}
	if n.Of != of || !d.Last.IsZero() && d.Detail == "" { // or it was delivered, and a person wants it once more
		n = note{Of: of}
	}
	to, err := s.target.start(ctx, d.Key(), rec.Run.ID, n.Position)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	out := sending{sink: s, delivery: d, to: to, of: of, done: n.Sent}
	if err := out.keep(ctx); err != nil {
		return err
	}
	events := newEvents(rec, s.cfg)
	each := rec.Stored
	if s.cfg.Passes {
		each = rec.Verdicts
	}
	err = each(ctx, func(v audit.Verdict) error {
		for _, decision := range v.Decisions {
			if err := out.add(ctx, func() (event, error) { return events.of(v, decision) }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return out.flush(ctx)
}

// sending gathers events into batches.
type sending struct {
	sink     *Sink
	delivery audit.Delivery
	to       session
	of       string
	done     int64 // events that the target holds
	seen     int64 // events of the run so far
	batch    batch
}

// add takes the next event, unless the target holds it.
func (s *sending) add(ctx context.Context, next func() (event, error)) error {
	s.seen++
	if s.seen <= s.done {
		return nil
	}
	e, err := next()
	if err != nil {
		return err
	}
	if len(s.batch.events) > 0 && s.batch.bytes+len(e.line) > s.sink.cfg.Batch {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	s.batch.events = append(s.batch.events, e)
	s.batch.bytes += len(e.line)
	return nil
}

func (s *sending) flush(ctx context.Context) error {
	if len(s.batch.events) == 0 {
		return nil
	}
	s.batch.first = s.done
	rejected, err := s.to.send(ctx, s.batch)
	if kept := s.delivery.Reject(ctx, rejected); err == nil {
		err = kept
	}
	if err != nil {
		return err
	}
	s.done += int64(len(s.batch.events))
	s.batch.events, s.batch.bytes = s.batch.events[:0], 0
	return s.keep(ctx)
}

// keep notes how far the delivery came.
func (s *sending) keep(ctx context.Context) error {
	n := note{Of: s.of, Sent: s.done}
	if p := s.to.position(); p != nil {
		b, err := json.Marshal(p)
		if err != nil {
			return err
		}
		n.Position = b
	}
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return s.delivery.Keep(ctx, string(b))
}
