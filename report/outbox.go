package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Queue is where deliveries wait, as the ledger keeps it.
type Queue interface {
	// Claim makes this process the only one that delivers to a sink, until release.
	Claim(sink string) (release func() error, err error)
	// Due gives what a sink is owed and may be tried at a moment, the oldest first.
	Due(ctx context.Context, sink string, at time.Time, limit int) ([]audit.Delivery, error)
	// Tried keeps how a try went.
	Tried(ctx context.Context, d audit.Delivery) error
}

// Config of an outbox.
type Config struct {
	Queue   Queue
	Sinks   []audit.Sink
	Record  func(ctx context.Context, run string) (audit.Record, error) // a run on record, by its id
	Now     func() time.Time
	Log     *slog.Logger
	Tell    func(audit.Event)                                    // may be nil; told of each try of a run
	Observe func(sink string, status string, took time.Duration) // may be nil; told of each try: delivered, retried or refused
	Within  time.Duration                                        // of one try, default 30 minutes
	Poll    time.Duration                                        // how often Run looks for what others queued, default 5 seconds
}

// Outbox delivers what the queue holds, each sink by itself: one that hangs or
// is down delays neither another sink nor the next run.
type Outbox struct {
	cfg  Config
	wake map[string]chan struct{}
}

// New checks the configuration.
func New(cfg Config) (*Outbox, error) {
	switch {
	case cfg.Queue == nil || cfg.Record == nil || cfg.Now == nil || cfg.Log == nil:
		return nil, errors.New("outbox: Queue, Record, Now and Log are required")
	case cfg.Within < 0 || cfg.Poll < 0:
		return nil, errors.New("outbox: Within and Poll cannot be negative")
	}
	if cfg.Within == 0 {
		cfg.Within = 30 * time.Minute
	}
	if cfg.Poll == 0 {
		cfg.Poll = 5 * time.Second
	}
	o := &Outbox{cfg: cfg, wake: map[string]chan struct{}{}}
	for _, s := range cfg.Sinks {
		if o.wake[s.Name()] != nil {
			return nil, fmt.Errorf("outbox: two sinks are called %s", s.Name())
		}
		o.wake[s.Name()] = make(chan struct{}, 1)
	}
	return o, nil
}

// Sinks names those that every run is owed to, in the order configured.
func (o *Outbox) Sinks() []string {
	out := make([]string, len(o.cfg.Sinks))
	for i, s := range o.cfg.Sinks {
		out[i] = s.Name()
	}
	return out
}

// Announcers names the sinks that take announcements of a kind.
func (o *Outbox) Announcers(kind audit.AnnouncementKind) []string {
	var out []string
	for _, s := range o.cfg.Sinks {
		if a, ok := s.(audit.Announcer); ok && a.Announces(kind) {
			out = append(out, s.Name())
		}
	}
	return out
}

// Flush tries once all that may be tried now, each sink by itself, and returns
// the errors by sink. What failed stays in the queue.
func (o *Outbox) Flush(ctx context.Context) error {
	errs := make([]error, len(o.cfg.Sinks))
	var wg sync.WaitGroup
	for i, s := range o.cfg.Sinks {
		wg.Go(func() {
			if err := o.flush(ctx, s); err != nil {
				errs[i] = fmt.Errorf("sink %s: %w", s.Name(), err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Deliver implements audit.Outbox for a process that ends after the run.
func (o *Outbox) Deliver(ctx context.Context, _ audit.Record) error { return o.Flush(ctx) }

func (o *Outbox) flush(ctx context.Context, s audit.Sink) error {
	release, err := o.cfg.Queue.Claim(s.Name())
	if errors.Is(err, audit.ErrElsewhere) {
		o.cfg.Log.DebugContext(ctx, "outbox", "sink", s.Name(), "error", err.Error())
		return nil // it is in the queue, and in good hands
	}
	if err != nil {
		return queueError{err}
	}
	_, err = o.due(ctx, s)
	return errors.Join(err, release())
}

// due tries what a sink is owed now, and tells how many there were. Each is
// tried once, so that one which always fails does not keep the others waiting.
func (o *Outbox) due(ctx context.Context, s audit.Sink) (n int, err error) {
	var errs []error
	seen := map[int64]bool{}
	for {
		list, err := o.cfg.Queue.Due(ctx, s.Name(), o.cfg.Now(), 100)
		if err != nil {
			return n, errors.Join(append(errs, queueError{err})...)
		}
		fresh := 0
		for _, d := range list {
			if seen[d.Seq] {
				continue
			}
			seen[d.Seq] = true
			fresh++
			n++
			if err := o.try(ctx, s, d); err != nil {
				errs = append(errs, err)
			}
			if ctx.Err() != nil {
				return n, errors.Join(append(errs, ctx.Err())...)
			}
		}
		if fresh == 0 {
			return n, errors.Join(errs...)
		}
	}
}

// try makes one delivery, and keeps how it went.
func (o *Outbox) try(ctx context.Context, s audit.Sink, d audit.Delivery) error {
	d.Tries++
	started := o.cfg.Now()
	err := o.deliver(ctx, s, d)
	if err != nil && ctx.Err() != nil {
		return err // we were stopped: that says nothing of the sink, and the try does not count
	}
	d.Last = o.cfg.Now()
	d.Status, d.Detail, d.Next = audit.Delivered, "", time.Time{}
	how := "delivered"
	switch {
	case err == nil:
	case IsPermanent(err):
		d.Status, d.Detail, how = audit.Refused, oneLine(err), "refused"
	case d.Last.Sub(d.Queued) > giveUp && d.Tries >= fewest:
		d.Status, d.Detail, how = audit.Refused, fmt.Sprintf("given up after %d tries: %s", d.Tries, oneLine(err)), "refused"
	default:
		d.Status, d.Detail, how = audit.Waiting, oneLine(err), "retried"
		d.Next = d.Last.Add(wait(d.Tries, err))
	}
	if err != nil {
		o.cfg.Log.WarnContext(ctx, "not delivered", "sink", d.Sink, "kind", string(d.Kind), "subject", d.Subject, "tries", d.Tries, "status", string(d.Status), "error", d.Detail)
	}
	if kept := o.cfg.Queue.Tried(context.WithoutCancel(ctx), d); kept != nil {
		err = errors.Join(err, queueError{unnoted{fmt.Errorf("noting the delivery in the ledger: %w", kept)}})
	}
	if o.cfg.Tell != nil && d.Kind == audit.OfRun {
		o.cfg.Tell(audit.Event{Stage: "delivered", Sink: d.Sink, Err: err})
	}
	if o.cfg.Observe != nil {
		o.cfg.Observe(d.Sink, how, d.Last.Sub(started))
	}
	return err
}

func (o *Outbox) deliver(ctx context.Context, s audit.Sink, d audit.Delivery) (err error) {
	ctx, stop := context.WithTimeoutCause(ctx, o.cfg.Within, fmt.Errorf("not done within %s", o.cfg.Within))
	defer stop()
	defer func() {
		if p := recover(); p != nil { // one sink's fault must not end the others
			err = fmt.Errorf("internal error, please report it: %v", p)
		}
		if cause := context.Cause(ctx); err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = errors.Join(cause, err)
		}
	}()
	if d.Kind != audit.OfRun {
		a, ok := s.(audit.Announcer)
		if !ok || !a.Announces(d.Kind) {
			return Permanent(fmt.Errorf("sink %s is not told of a %s any more: the configuration was changed since it was queued", d.Sink, d.Kind))
		}
		return a.Announce(ctx, d.Announcement, d)
	}
	rec, err := o.cfg.Record(ctx, d.Subject)
	if err != nil {
		return fmt.Errorf("reading run %s: %w", d.Subject, err)
	}
	return s.Deliver(ctx, rec, d)
}

// queueError keeps from trying anything: the ledger cannot be read, claimed or
// written to.
type queueError struct{ error }

func (q queueError) Unwrap() error { return q.error }

// unnoted says that nobody will know what was delivered.
type unnoted struct{ error }

func (u unnoted) Unwrap() error { return u.error }

// Wake has Run look at once for what is owed.
func (o *Outbox) Wake() {
	for _, c := range o.wake {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Run delivers until ctx ends: what is queued now, what others queue, and what
// waited long enough. It returns nil then.
func (o *Outbox) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, s := range o.cfg.Sinks {
		wg.Go(func() { o.serve(ctx, s) })
	}
	wg.Wait()
	return nil
}

// serve delivers to one sink until ctx ends, while no other process does. Where
// the ledger takes no note it waits longer each time: what was delivered would
// be delivered again.
func (o *Outbox) serve(ctx context.Context, s audit.Sink) {
	said, lost := "", 0
	for ctx.Err() == nil {
		err := o.flush(ctx, s)
		// What a try came to is logged there; what keeps from trying is said once, while it lasts.
		now := ""
		if q := (queueError{}); errors.As(err, &q) {
			now = q.Error()
		}
		if now != "" && now != said && ctx.Err() == nil {
			o.cfg.Log.WarnContext(ctx, "nothing can be delivered", "sink", s.Name(), "error", now)
		}
		said = now
		poll, wake := o.cfg.Poll, o.wake[s.Name()]
		if lost++; errors.As(err, &unnoted{}) {
			poll, wake = max(poll, wait(lost, nil)), nil
		} else {
			lost = 0
		}
		timer := time.NewTimer(poll)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// oneLine renders an error for a column: a server's page of HTML is no reason.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if r := []rune(text); len(r) > 500 {
		text = string(r[:500]) + "…"
	}
	return text
}
