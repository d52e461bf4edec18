package slack

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
)

// The bounds of a request, and how long Slack is kept waiting for an answer: it
// gives up after three seconds.
const (
	maxRequest = 256 << 10
	patience   = 2 * time.Second
	maxClicks  = 10000
)

// Approver is the role that may decide on repairs.
const Approver = "approver"

// Person is somebody in Slack whom the configuration knows.
type Person struct {
	ID    string // Slack's
	Name  string // as in the ledger
	Roles []string
}

// Decide approves or denies a repair for a person, who has the role of an
// approver. The message is for them; of an error too they are told the text. It
// must refuse who asked for the repair, and stay as it is when called again.
type Decide func(ctx context.Context, repair string, approve bool, by Person) (message string, err error)

// InteractionsConfig says who may press which button.
type InteractionsConfig struct {
	Secret func() (string, error) // reveals the app's signing secret; required
	People map[string]Person      // by Slack's id of the user
	Decide Decide                 // required
	Now    func() time.Time       // required
	Log    *slog.Logger           // required
	Within time.Duration          // of one decision, default a minute
	Answer string                 // where answers may go, default https://hooks.slack.com/
	Client *http.Client           // default: one with a time limit
	After  <-chan time.Time       // tests: ends the wait for a decision; nil: by the clock
}

// Interactions answers Slack's requests when somebody presses Approve or Deny.
// It is called by anybody on the network: a request is acted on only if it is
// signed, new, by a known person with the role of an approver. What was clicked
// within the second in which the process began, or before, is refused, so that
// a restart forgets no click.
type Interactions struct {
	cfg     InteractionsConfig
	wire    wire
	started time.Time
	seen    once
	work    sync.WaitGroup
}

// NewInteractions checks the configuration.
func NewInteractions(cfg InteractionsConfig) (*Interactions, error) {
	if cfg.Secret == nil || cfg.Decide == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("slack interactions: Secret, Decide, Now and Log are required")
	}
	cfg.Within = cmp.Or(cfg.Within, time.Minute)
	cfg.Answer = cmp.Or(cfg.Answer, "https://hooks.slack.com/")
	return &Interactions{cfg: cfg, wire: newWire(cfg.Client), started: cfg.Now(), seen: once{most: 2 * maxClicks, seen: map[string]time.Time{}}}, nil
}

// Wait returns when all that was accepted is decided. It is called once no more requests come.
func (x *Interactions) Wait() { x.work.Wait() }

// ServeHTTP implements http.Handler.
func (x *Interactions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	c, status, err := x.accept(w, r)
	switch {
	case errors.Is(err, errNotOurs), errors.Is(err, errReplayed) && status == http.StatusOK:
		w.WriteHeader(http.StatusOK) // nothing to do, and nothing to try again
		return
	case err != nil:
		x.cfg.Log.WarnContext(r.Context(), "request of slack refused", "error", err.Error(), "status", status)
		http.Error(w, err.Error(), status)
		return
	}
	done := make(chan struct{})
	ctx := context.WithoutCancel(r.Context()) // Slack hangs up after three seconds; what was accepted is decided
	x.work.Go(func() {
		defer close(done)
		x.decide(ctx, c)
	})
	after := x.cfg.After
	if after == nil {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-done:
	case <-after:
	}
	w.WriteHeader(http.StatusOK)
}

// accept reads a request, and takes each only once.
func (x *Interactions) accept(w http.ResponseWriter, r *http.Request) (click, int, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return click{}, http.StatusMethodNotAllowed, errors.New("expected POST")
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return click{}, http.StatusUnsupportedMediaType, errors.New("expected a form")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return click{}, http.StatusRequestEntityTooLarge, fmt.Errorf("the request could not be read, or has more than %d bytes", maxRequest)
	}
	secret, err := x.cfg.Secret()
	if err != nil {
		x.cfg.Log.ErrorContext(r.Context(), "slack's signing secret cannot be read", "error", err.Error())
		return click{}, http.StatusServiceUnavailable, errors.New("not ready")
	}
	now := x.cfg.Now()
	signature, at, err := verified(r.Header, body, secret, now)
	if err == nil && at.Unix() <= x.started.Unix() {
		err = errStale
	}
	if err != nil {
		return click{}, http.StatusUnauthorized, err
	}
	until := at.Add(window + time.Second)
	again := http.StatusUnauthorized
	if r.Header.Get("X-Slack-Retry-Num") != "" {
		again = http.StatusOK // Slack did not see our answer: it was acted on
	}
	if err := x.seen.take("request "+signature, now, until); err != nil {
		return click{}, refused(err, again), err
	}
	c, err := parseClick(body)
	if err != nil {
		return c, http.StatusBadRequest, err
	}
	// A click sent again may be signed anew.
	if err := x.seen.take(fmt.Sprintf("click %s %t %s %s", c.user, c.approve, c.repair, c.at), now, now.Add(2*window)); err != nil {
		return c, refused(err, http.StatusOK), err
	}
	return c, http.StatusOK, nil
}

func refused(err error, again int) int {
	if errors.Is(err, errBusy) {
		return http.StatusServiceUnavailable
	}
	return again
}

// decide has a click decided, and tells who clicked what came of it.
func (x *Interactions) decide(ctx context.Context, c click) {
	ctx, stop := context.WithTimeout(ctx, x.cfg.Within)
	defer stop()
	text, settled := x.outcome(ctx, c)
	if err := x.answer(ctx, c, text, settled); err != nil {
		x.cfg.Log.WarnContext(ctx, "slack was not answered", "repair", c.repair, "error", err.Error())
	}
}

func (x *Interactions) outcome(ctx context.Context, c click) (text string, settled bool) {
	defer func() {
		if p := recover(); p != nil { // one click must not end the daemon
			x.cfg.Log.ErrorContext(ctx, "internal error, please report it", "panic", fmt.Sprint(p), "repair", c.repair)
			text, settled = "Nobody knows what came of it: an internal error. Look at the repair before you try again.", false
		}
	}()
	verb := "denied"
	if c.approve {
		verb = "approved"
	}
	by, known := x.cfg.People[c.user]
	if !known || !slices.Contains(by.Roles, Approver) {
		x.cfg.Log.WarnContext(ctx, "somebody who may not decide on repairs tried to", "user", c.user, "known", known, "repair", c.repair)
		return "You may not decide on repairs: that takes the role approver in sinks.slack.people of crosscheck's configuration.", false
	}
	by.ID = c.user
	message, err := x.cfg.Decide(ctx, c.repair, c.approve, by)
	if err != nil {
		x.cfg.Log.WarnContext(ctx, "not decided", "user", c.user, "repair", c.repair, "approve", c.approve, "error", err.Error())
		return "Not " + verb + ": " + plain(cmp.Or(message, err.Error())), false
	}
	return fmt.Sprintf("Repair %s %s by %s. %s", code(short(c.repair)), verb, "<@"+c.user+">", plain(message)), true
}

// answer replaces the buttons by what was decided, or tells who clicked alone.
func (x *Interactions) answer(ctx context.Context, c click, text string, settled bool) error {
	if c.reply == "" {
		return nil
	}
	base, err := url.Parse(x.cfg.Answer)
	if err != nil {
		return err
	}
	u, err := url.Parse(c.reply)
	if err != nil || u.Scheme != base.Scheme || u.Host != base.Host || u.User != nil {
		return errors.New("the address to answer to is not Slack's")
	}
	m := map[string]any{"text": text, "response_type": "ephemeral", "replace_original": false}
	if settled {
		m["response_type"] = "in_channel"
		if len(c.blocks) > 0 {
			m["replace_original"], m["blocks"] = true, append(anys(c.blocks), slack.NewSectionBlock(markup(text), nil, nil))
		}
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("the address to answer to is not Slack's")
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := x.wire.Do(req)
	if err != nil {
		if strings.Contains(err.Error(), u.Path) {
			err = errors.New("the error holds a secret and is not shown")
		}
		return err
	}
	return resp.Body.Close()
}

func anys(list []json.RawMessage) []any {
	out := make([]any, len(list))
	for i, b := range list {
		out[i] = b
	}
	return out
}
