// Package slack tells people what a run found, in one message, and what happens
// between runs; and takes their answers, see Interactions.
package slack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Config says where messages are posted, and whom they name. Exactly one of
// Webhook and Token is set; Token needs Channel. Both are asked for each
// delivery, so that they can be exchanged.
type Config struct {
	Webhook   func() (string, error) // reveals the URL of an incoming webhook
	Token     func() (string, error) // reveals a bot token
	Channel   string                 // id or name
	API       string                 // default https://slack.com/api/
	Owners    map[string]string      // owner → id of a user (U…, W…), user group (S…) or channel (C…)
	Alert     string                 // whom a missed run is addressed to: channel (default), here, none, or an id as of Owners
	SkipQuiet bool                   // post nothing of a run that changed nothing
	Buttons   bool                   // repairs can be approved and denied by button: see Interactions
	Details   int                    // how much of each list is told, default 200

	Command func(rest string) string                                    // renders a command as it is typed; default: after crosscheck
	Runs    func(ctx context.Context, id string) (audit.Run, error)     // a run on record, to compare with; may be nil
	Asked   func(ctx context.Context, repair string) (string, error)    // the note of the delivery that asked for a repair, empty if there is none; may be nil
	About   func(ctx context.Context, r audit.Repair) (Violated, error) // what a repair would mend; may be nil
	Wait    func(ctx context.Context, d time.Duration) (stopped error)  // default: by the clock
	Now     func() time.Time                                            // required
	Client  *http.Client                                                // default: one with a time limit
}

// Violated is a control and what it found. Its zero value is something that is
// not on record any more.
type Violated struct {
	Control    audit.Control
	Violations []audit.Violation
}

// Sink posts to Slack. It promises at least once; the delivery's key is in the
// message's metadata and small print.
type Sink struct {
	cfg  Config
	wire wire
	mu   sync.Mutex
	next time.Time // when the next message may be posted
}

var (
	mentionForm = regexp.MustCompile(`^[UWSC][A-Z0-9]{5,20}$`)
	channelForm = regexp.MustCompile(`^(#?[\p{L}\p{N}_-]{1,80}|[CGD][A-Z0-9]{5,20})$`)
)

// New checks the configuration.
func New(cfg Config) (*Sink, error) {
	cfg.Alert = cmp.Or(cfg.Alert, "channel")
	switch {
	case (cfg.Webhook == nil) == (cfg.Token == nil):
		return nil, errors.New("one of webhook and token is required")
	case cfg.Token != nil && !channelForm.MatchString(cfg.Channel):
		return nil, errors.New("with a token, the id of a channel is required, such as C0123456789")
	case cfg.Webhook != nil && cfg.Channel != "":
		return nil, errors.New("a webhook posts to the channel it was made for: leave channel out, or use a token")
	case cfg.Now == nil:
		return nil, errors.New("Now is required")
	case cfg.Details < 0:
		return nil, errors.New("Details cannot be negative")
	case !slices.Contains([]string{"channel", "here", "none"}, cfg.Alert) && !mentionForm.MatchString(cfg.Alert):
		return nil, errors.New("alert: expected channel, here, none, or the id of a user, user group or channel")
	}
	for owner, id := range cfg.Owners {
		if !mentionForm.MatchString(id) {
			return nil, fmt.Errorf("owners: expected the id of a user (U…), user group (S…) or channel (C…) for %q", owner)
		}
	}
	cfg.API = cmp.Or(cfg.API, slack.APIURL)
	if !strings.HasSuffix(cfg.API, "/") {
		cfg.API += "/"
	}
	cfg.Details = cmp.Or(cfg.Details, 200)
	if cfg.Command == nil {
		cfg.Command = func(rest string) string { return "crosscheck " + rest }
	}
	if cfg.Wait == nil {
		cfg.Wait = wait
	}
	return &Sink{cfg: cfg, wire: newWire(cfg.Client)}, nil
}

// Name implements audit.Sink.
func (s *Sink) Name() string { return "slack" }

// Deliver implements audit.Sink.
func (s *Sink) Deliver(ctx context.Context, rec audit.Record, d audit.Delivery) error {
	t, err := s.read(ctx, rec)
	if err != nil {
		return fmt.Errorf("reading run %s: %w", short(rec.Run.ID), err)
	}
	if t.quiet() {
		if s.cfg.SkipQuiet {
			return nil
		}
		return s.post(ctx, d, place{channel: s.cfg.Channel}, s.calm(t, d.Key()), nil)
	}
	head, thread := s.full(t, d.Key(), s.cfg.Token != nil)
	return s.post(ctx, d, place{channel: s.cfg.Channel}, head, thread)
}

// Announces implements audit.Announcer.
func (s *Sink) Announces(kind audit.AnnouncementKind) bool {
	return slices.Contains([]audit.AnnouncementKind{audit.OfMissed, audit.OfRepair, audit.OfNudge}, kind)
}

// Announce implements audit.Announcer.
func (s *Sink) Announce(ctx context.Context, a audit.Announcement, d audit.Delivery) error {
	at := place{channel: s.cfg.Channel}
	switch {
	case a.Missed != nil:
		return s.post(ctx, d, at, s.missed(*a.Missed, d.Key()), nil)
	case a.Nudge != nil:
		if id := s.cfg.Owners[a.Nudge.Owner]; s.cfg.Token != nil && strings.ContainsAny(id[:min(1, len(id))], "UWC") {
			at.channel = id // to them alone
		}
		return s.post(ctx, d, at, s.nudge(*a.Nudge, d.Key()), nil)
	case a.Repair != nil:
		at, err := s.below(ctx, *a.Repair)
		if err != nil {
			return err
		}
		return s.post(ctx, d, at, s.repair(*a.Repair, s.about(ctx, *a.Repair), d.Key()), nil)
	}
	return fmt.Errorf("announcement %q holds nothing", a.Key)
}

// command is what a person types.
func (s *Sink) command(rest string) string { return s.cfg.Command(rest) }

// mention renders an id that New checked.
func mention(id string) string {
	switch {
	case id == "" || id == "none":
		return ""
	case id == "here" || id == "channel":
		return "<!" + id + ">"
	case id[0] == 'S':
		return "<!subteam^" + id + ">"
	case id[0] == 'C':
		return "<#" + id + ">"
	}
	return "<@" + id + ">"
}

// wait waits by the clock.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
