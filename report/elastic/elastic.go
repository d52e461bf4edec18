// Package elastic delivers runs to Elasticsearch, where people search: a
// document for each decision that is not a plain pass, for what a run closed, for
// the run and its counts, each exactly once.
package elastic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Config of a sink. URLs or CloudID, and Now and Log, are required.
type Config struct {
	URLs      []string // of one cluster's nodes, or of a proxy before them
	CloudID   string   // instead of URLs
	APIKey    string   // as Kibana shows it (base64), or id:key; instead of Username and Password
	Username  string
	Password  string
	CAFile    string // PEM certificates trusted beside the system's
	Proxy     string // default: as HTTPS_PROXY and its kin say
	Namespace string // of the data stream, default "default"
	Retention int    // days that history is kept, default 400, which is a year's audit and a month
	View      int    // days that the current state keeps what no run mentions, default 90, at least 30
	Passes    bool   // index passes too
	Manual    bool   // an administrator sets Elasticsearch up: only see that it is done

	UserAgent string
	Timeout   time.Duration                              // of one request, default 2 minutes
	Bytes     int                                        // of one bulk request, default 5 MiB
	Workers   int                                        // bulk requests at once, default 2
	Now       func() time.Time                           // required
	Wait      func(context.Context, time.Duration) error // before a retry; default: a timer
	Log       *slog.Logger                               // required
}

// The bounds of what is kept. 400 days hold an audit of twelve months with the
// month that auditors take; 30 bridge runs that are missed.
const (
	LeastRetention = 400
	LeastView      = 30
)

// Sink delivers to one cluster. A decision is there once, however often and by
// whatever crash its delivery was cut short.
type Sink struct {
	cfg    Config
	client func() (*elastictransport.Client, error)
	mu     sync.Mutex // of set
	set    bool       // the cluster was seen to be set up
}

// namespaces are what Elastic allows in the last part of a data stream's name.
var namespaces = regexp.MustCompile(`^[a-z0-9][a-z0-9_.]{0,99}$`)

// New checks the configuration. It asks nothing of the server.
func New(cfg Config) (*Sink, error) {
	cfg.Namespace = cmp.Or(cfg.Namespace, "default")
	cfg.Retention = cmp.Or(cfg.Retention, LeastRetention)
	cfg.View = cmp.Or(cfg.View, 90)
	cfg.Timeout = cmp.Or(cfg.Timeout, 2*time.Minute)
	cfg.Bytes = cmp.Or(cfg.Bytes, 5<<20)
	cfg.Workers = cmp.Or(cfg.Workers, 2)
	if cfg.Wait == nil {
		cfg.Wait = wait
	}
	switch {
	case cfg.Now == nil || cfg.Log == nil:
		return nil, errors.New("Now and Log are required")
	case !namespaces.MatchString(cfg.Namespace):
		return nil, fmt.Errorf("namespace %q: expected small letters, digits, dots and underscores", cfg.Namespace)
	case cfg.Retention < LeastRetention:
		return nil, fmt.Errorf("retention of %d days: expected at least %d, so that an audit of twelve months finds all of them", cfg.Retention, LeastRetention)
	case cfg.View < LeastView:
		return nil, fmt.Errorf("view of %d days: expected at least %d, so that missed runs do not empty it", cfg.View, LeastView)
	case cfg.Timeout < 0 || cfg.Bytes < 0 || cfg.Workers < 0:
		return nil, errors.New("Timeout, Bytes and Workers cannot be negative")
	}
	if err := check(cfg); err != nil {
		return nil, err
	}
	return &Sink{cfg: cfg, client: sync.OnceValues(func() (*elastictransport.Client, error) { return newClient(cfg) })}, nil
}

// Name implements audit.Sink.
func (s *Sink) Name() string { return "elasticsearch" }

// Stream is the data stream that history is written to.
func (s *Sink) Stream() string { return "logs-" + dataset + "-" + s.cfg.Namespace }

// Deliver implements audit.Sink.
func (s *Sink) Deliver(ctx context.Context, rec audit.Record, d audit.Delivery) error {
	exceptions, err := exceptionsOf(ctx, rec)
	if err != nil {
		return err
	}
	return s.deliver(ctx, d, func(yield func(id string, doc []byte) error) error {
		return newWriter(s.cfg, rec, d.Key(), exceptions).documents(ctx, yield)
	})
}

// Announces implements audit.Announcer: repairs are part of a violation's history.
func (s *Sink) Announces(kind audit.AnnouncementKind) bool { return kind == audit.OfRepair }

// Announce implements audit.Announcer.
func (s *Sink) Announce(ctx context.Context, a audit.Announcement, d audit.Delivery) error {
	if a.Repair == nil {
		return nil
	}
	return s.deliver(ctx, d, func(yield func(id string, doc []byte) error) error {
		return repairDocument(s.cfg, a, d.Key(), yield)
	})
}

// documents gives what is delivered, always the same in the same order.
type documents func(yield func(id string, doc []byte) error) error

// deliver writes documents to the index that the delivery began on.
func (s *Sink) deliver(ctx context.Context, d audit.Delivery, docs documents) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	for range 3 {
		p, err := s.pin(ctx, &d)
		if err != nil {
			return err
		}
		b := s.bulk(ctx, d, p)
		err = docs(b.add)
		if err = b.close(err); err == nil {
			return s.settle(ctx, d, p)
		}
		if !errors.Is(err, errReadOnly) {
			return err
		}
		// The index cannot be written to any more: go on in the next one, from the beginning.
		if err := s.abandon(ctx, &d, p); err != nil {
			return err
		}
	}
	return fmt.Errorf("the indices of %s became read-only three times in one delivery", s.Stream())
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// clip bounds what a server says before it is kept.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + "…"
	}
	return s
}
