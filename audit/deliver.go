package audit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrElsewhere says that another process delivers to a sink.
var ErrElsewhere = errors.New("another process delivers to it")

// Sink is where a recorded run is delivered. What it promises (once, at least
// once) is its own; Deliver is called again for the same run after a failure,
// and after a crash of which nobody knows how far the call before had come.
type Sink interface {
	Name() string
	Deliver(ctx context.Context, rec Record, d Delivery) error
}

// Announcer is a sink that is also told what happens between runs.
type Announcer interface {
	Sink
	// Announces tells whether announcements of a kind are for this sink.
	Announces(kind AnnouncementKind) bool
	Announce(ctx context.Context, a Announcement, d Delivery) error
}

// DeliveryStatus says how it stands with a delivery.
type DeliveryStatus string

// The statuses. Refused is what no retry cures: it waits for a person, who
// retries it by `crosscheck deliveries retry`.
const (
	Waiting   DeliveryStatus = "waiting"
	Delivered DeliveryStatus = "delivered"
	Refused   DeliveryStatus = "refused"
)

// Delivery is one run or announcement on its way to one sink, as the ledger keeps it.
type Delivery struct {
	Seq      int64            `json:"seq"`
	Sink     string           `json:"sink"`
	Kind     AnnouncementKind `json:"kind"`    // OfRun, or that of the announcement
	Subject  string           `json:"subject"` // the run's id, or the announcement's key
	Status   DeliveryStatus   `json:"status"`
	Queued   time.Time        `json:"queued"`
	Tries    int              `json:"tries"`
	Last     time.Time        `json:"last,omitzero"`    // when it was tried last
	Next     time.Time        `json:"next,omitzero"`    // not tried before; only while it waits
	Detail   string           `json:"detail,omitempty"` // why the last try failed
	Note     string           `json:"-"`                // what the sink noted, see Keep
	Rejected int64            `json:"rejected"`         // documents that the sink refused for good
	Keeper   Keeper           `json:"-"`                // nil where nothing is kept

	Announcement Announcement `json:"-"` // zero for a run
}

// Keeper keeps what a sink must not forget in the middle of a delivery.
type Keeper interface {
	// KeepNote replaces the note of a delivery.
	KeepNote(ctx context.Context, seq int64, note string) error
	// KeepRejections keeps documents that a sink refused for good. One that is kept already stays as it is.
	KeepRejections(ctx context.Context, seq int64, list []Rejection) error
}

// Rejection is one document that a sink refused for good, with the reason.
type Rejection struct {
	ID     string    `json:"id"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Key is the delivery's idempotency key: the same for each try.
func (d Delivery) Key() string {
	return Digest([]byte("crosscheck/delivery/1\n" + d.Sink + "\n" + string(d.Kind) + "\n" + d.Subject))
}

// Keep lets the next try see a note, also one after a crash: how far this one
// came, or where it began. It is on disk when Keep returns.
func (d Delivery) Keep(ctx context.Context, note string) error {
	if d.Keeper == nil {
		return nil
	}
	if err := d.Keeper.KeepNote(ctx, d.Seq, note); err != nil {
		return fmt.Errorf("noting how far the delivery came: %w", err)
	}
	return nil
}

// Reject keeps documents that the sink refused for good: they are never dropped silently.
func (d Delivery) Reject(ctx context.Context, list []Rejection) error {
	if d.Keeper == nil || len(list) == 0 {
		return nil
	}
	if err := d.Keeper.KeepRejections(ctx, d.Seq, list); err != nil {
		return fmt.Errorf("keeping what was rejected: %w", err)
	}
	return nil
}

// AnnouncementKind says what is told.
type AnnouncementKind string

// The kinds. OfRun is no announcement: it is the kind of a run's own delivery.
const (
	OfRun    AnnouncementKind = "run"
	OfMissed AnnouncementKind = "missed" // an audit did not run, or came to nothing
	OfRepair AnnouncementKind = "repair" // a repair is asked for, approved, done, undone or unknown
	OfNudge  AnnouncementKind = "nudge"  // an owner met the same control again
)

// Announcement is what sinks are told between runs. One of the pointers is set.
type Announcement struct {
	Kind   AnnouncementKind `json:"kind"`
	Key    string           `json:"key"` // the same key is announced once
	At     time.Time        `json:"at"`
	Missed *Missed          `json:"missed,omitempty"`
	Repair *Repair          `json:"repair,omitempty"`
	Nudge  *Nudge           `json:"nudge,omitempty"`
}

// Missed is an audit that did not run when it should have, or ended without a record.
type Missed struct {
	Audit        string    `json:"audit"`
	Due          time.Time `json:"due"`
	Reason       string    `json:"reason"` // says whether it was made up for
	LastComplete time.Time `json:"last_complete,omitzero"`
}

// Nudge tells an owner that the same control failed again on what they own.
type Nudge struct {
	Owner   string  `json:"owner"`
	Control Control `json:"control"`
	Times   int     `json:"times"`
	Spells  []Spell `json:"spells"` // their own history of it, latest first, twenty at most
}

// History tells how violations were moved.
type History interface {
	// Moved gives the spells that a run opened, left open or closed, whatever
	// came after it, by origin, resource and control, as verdicts are ordered.
	// Of a run that moves no history (simulated, or a gate's) it gives none.
	Moved(ctx context.Context, run Run, yield func(Spell) error) error
}

// Moved gives the spells that the run opened, left open or closed.
func (r Record) Moved(ctx context.Context, yield func(Spell) error) error {
	if r.History == nil {
		return nil
	}
	return r.History.Moved(ctx, r.Run, yield)
}
