package slack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/report"
)

// pace is how often Slack takes a message for a channel.
const pace = time.Second

// place is where a message goes. Thread is empty for one of its own.
type place struct{ channel, thread string }

// note is what the ledger keeps of a delivery that is under way.
type note struct {
	Begun   bool   `json:"begun,omitempty"` // a message may have been posted that is not noted
	Channel string `json:"channel,omitempty"`
	TS      string `json:"ts,omitempty"`     // of the message
	Parts   int    `json:"parts,omitempty"`  // of its thread that are posted
	Thread  string `json:"thread,omitempty"` // digest of the thread: another one begins anew
	Done    bool   `json:"done,omitempty"`
}

func parseNote(text string) (n note) {
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return note{}
	}
	return n
}

func (n note) keep(ctx context.Context, d audit.Delivery) error {
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return d.Keep(ctx, string(b))
}

// post sends a message and its thread. What an earlier try posted is not posted
// again, as far as the ledger knows, and Slack where its app may read the channel.
func (s *Sink) post(ctx context.Context, d audit.Delivery, at place, m message, thread []message) error {
	n := parseNote(d.Note)
	if !d.Last.IsZero() && d.Detail == "" {
		n = note{} // it was delivered, and a person wants it once more
	}
	if n.Done {
		return nil
	}
	reveal := s.cfg.Token
	if reveal == nil {
		reveal = s.cfg.Webhook
	}
	secret, err := reveal()
	if err != nil {
		return err // it may be there again before anybody looks
	}
	if s.cfg.Webhook != nil {
		if err := s.hook(ctx, secret, m); err != nil {
			return discreet(err, secret)
		}
		n.Done = true
		return n.keep(ctx, d)
	}
	p := poster{s: s, d: d, at: at, note: n, api: slack.New(secret, slack.OptionAPIURL(s.cfg.API), slack.OptionHTTPClient(s.wire))}
	return discreet(p.all(ctx, m, thread), secret)
}

// discreet keeps a secret out of an error, wherever it may come from.
func discreet(err error, secret string) error {
	if err == nil || !leaks(err.Error(), secret) {
		return err
	}
	safe := errors.New("delivering to slack: the error holds a secret and is not shown")
	if report.IsPermanent(err) {
		return report.Permanent(safe)
	}
	return safe
}

// leaks tells whether a text holds a secret, or the path of a secret URL.
func leaks(text, secret string) bool {
	if secret != "" && strings.Contains(text, secret) {
		return true
	}
	_, path, ok := strings.Cut(secret, "://")
	_, path, found := strings.Cut(path, "/")
	return ok && found && path != "" && strings.Contains(text, path)
}

func (s *Sink) hook(ctx context.Context, address string, m message) error {
	if err := s.turn(ctx); err != nil {
		return err
	}
	return classified(s.wire.hook(ctx, address, m))
}

// turn waits until the next message may be posted.
func (s *Sink) turn(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.next.Sub(s.cfg.Now()); d > 0 {
		if err := s.cfg.Wait(ctx, min(d, pace)); err != nil {
			return err
		}
	}
	s.next = s.cfg.Now().Add(pace)
	return nil
}

// poster posts one delivery by the API.
type poster struct {
	s    *Sink
	d    audit.Delivery
	at   place
	note note
	api  *slack.Client
}

func (p *poster) all(ctx context.Context, m message, thread []message) error {
	digest, err := digestOf(thread)
	if err != nil {
		return err
	}
	if p.note.TS != "" && p.note.Thread != digest {
		p.note.Parts = 0 // it reads otherwise now: the rest of it would not fit what was posted
	}
	p.note.Thread = digest
	if p.note.Begun {
		if err := p.recall(ctx); err != nil {
			return err
		}
	}
	if p.note.TS == "" {
		channel, ts, err := p.one(ctx, m, p.at.thread, 0)
		if err != nil {
			return err
		}
		p.note.Channel, p.note.TS = channel, ts
		if err := p.kept(ctx); err != nil {
			return err
		}
	}
	for p.note.Parts < len(thread) {
		if _, _, err := p.one(ctx, thread[p.note.Parts], p.note.TS, p.note.Parts+1); err != nil {
			return err
		}
		p.note.Parts++
		if err := p.kept(ctx); err != nil {
			return err
		}
	}
	p.note.Done = true
	return p.kept(ctx)
}

// one posts a message. That it is about to is on disk before.
func (p *poster) one(ctx context.Context, m message, thread string, part int) (channel, ts string, err error) {
	if err := p.s.turn(ctx); err != nil {
		return "", "", err
	}
	if !p.note.Begun {
		p.note.Begun = true
		if err := p.note.keep(ctx, p.d); err != nil {
			return "", "", err
		}
	}
	channel = p.at.channel
	if part > 0 && p.note.Channel != "" {
		channel = p.note.Channel
	}
	opts := []slack.MsgOption{
		slack.MsgOptionText(m.fallback, true), slack.MsgOptionBlocks(m.blocks...), slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl(),
		slack.MsgOptionMetadata(slack.SlackMetadata{EventType: eventType, EventPayload: map[string]any{
			"key": p.d.Key(), "part": part, "thread": p.note.Thread, "kind": string(p.d.Kind), "subject": p.d.Subject,
		}}),
	}
	if thread != "" {
		opts = append(opts, slack.MsgOptionTS(thread))
	}
	channel, ts, err = p.api.PostMessageContext(ctx, channel, opts...)
	if err == nil && ts == "" {
		err = errors.New("slack's answer names no message")
	}
	return channel, ts, classified(err)
}

// kept notes what is posted: after it nothing is in doubt.
func (p *poster) kept(ctx context.Context) error {
	p.note.Begun = false
	return p.note.keep(context.WithoutCancel(ctx), p.d)
}

// eventType marks our messages.
const eventType = "crosscheck_delivery"

// maxPages bounds how far back is looked for what an earlier try posted.
const maxPages = 20

// recall asks Slack what an earlier try posted that was not noted. An app that
// may not read the channel posts it again: at least once.
func (p *poster) recall(ctx context.Context) error {
	cursor := ""
	for range maxPages {
		list, next, err := p.page(ctx, cursor)
		var answer slack.SlackErrorResponse
		if errors.As(err, &answer) && !passing.MatchString(answer.Err) {
			return nil // it may not read there
		}
		if err != nil {
			return fmt.Errorf("asking what was posted: %w", classified(err))
		}
		for _, m := range list {
			p.recognise(m)
		}
		if cursor = next; cursor == "" {
			return nil
		}
	}
	return nil
}

// page reads a part of the thread, or of the channel since the delivery was queued.
func (p *poster) page(ctx context.Context, cursor string) (list []slack.Message, next string, err error) {
	channel, thread := cmp.Or(p.note.Channel, p.at.channel), cmp.Or(p.note.TS, p.at.thread)
	oldest := strconv.FormatInt(p.d.Queued.Add(-time.Minute).Unix(), 10)
	if thread != "" {
		list, _, next, err = p.api.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{
			ChannelID: channel, Timestamp: thread, Oldest: oldest, Limit: 200, Cursor: cursor, IncludeAllMetadata: true,
		})
		return list, next, err
	}
	answer, err := p.api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{
		ChannelID: channel, Oldest: oldest, Limit: 200, Cursor: cursor, IncludeAllMetadata: true,
	})
	if err != nil {
		return nil, "", err
	}
	return answer.Messages, answer.ResponseMetaData.NextCursor, nil
}

// recognise notes a message of this delivery.
func (p *poster) recognise(m slack.Message) {
	payload := m.Metadata.EventPayload
	if m.Metadata.EventType != eventType || payload["key"] != p.d.Key() {
		return
	}
	part, _ := payload["part"].(float64)
	switch {
	case part == 0 && p.note.TS == "":
		p.note.TS, p.note.Channel = m.Timestamp, p.at.channel
	case part > 0 && payload["thread"] == p.note.Thread:
		p.note.Parts = max(p.note.Parts, min(int(part), 1<<20))
	}
}

func digestOf(thread []message) (string, error) {
	if len(thread) == 0 {
		return "", nil
	}
	h := make([]any, len(thread))
	for i, m := range thread {
		h[i] = m.blocks
	}
	return audit.DigestOf(h)
}
