package slack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/crosscheck-dev/crosscheck/audit/audittest"
)

// clock is simulated: who waits moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: audittest.Moment} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) Wait(ctx context.Context, d time.Duration) error {
	c.forward(d)
	return ctx.Err()
}

// posted is a message that the server took.
type posted struct {
	channel, ts, thread string
	text                string
	blocks              []block
	metadata            json.RawMessage
}

type block struct {
	Type     string    `json:"type"`
	Text     *textual  `json:"text"`
	Elements []element `json:"elements"`
}

type textual struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim"`
}

type element struct {
	Type     string          `json:"type"`
	ActionID string          `json:"action_id"`
	Value    string          `json:"value"`
	Text     json.RawMessage `json:"text"`
	Verbatim bool            `json:"verbatim"`
}

// all is everything that a message says.
func (p posted) all() string {
	var b strings.Builder
	for _, x := range p.blocks {
		if x.Text != nil {
			fmt.Fprintln(&b, x.Text.Text)
		}
		for _, e := range x.Elements {
			fmt.Fprintln(&b, e.Type, e.ActionID, e.Value, string(e.Text))
		}
	}
	return b.String()
}

// server is no real Slack, which cannot run here: it holds the limits that Slack
// documents, and keeps what it is sent.
type server struct {
	*httptest.Server
	t      *testing.T
	clock  *clock
	mu     sync.Mutex
	took   []posted
	last   map[string]time.Time
	fault  func(call string, n int) (status int, body string, header map[string]string) // 0: none; the nth call, from 1
	after  func(call string, n int)                                                     // once it was taken, before the answer
	calls  map[string]int
	deaf   bool // the app may not read channels
	secret string
}

const token = "xoxb-1234-secret-token"

func serve(t *testing.T, c *clock) *server {
	t.Helper()
	s := &server{t: t, clock: c, last: map[string]time.Time{}, calls: map[string]int{}, secret: "T000/B000/XXXXSECRETXXXX"}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/chat.postMessage", s.call("post", s.postMessage))
	mux.HandleFunc("POST /api/conversations.history", s.call("history", s.history))
	mux.HandleFunc("POST /api/conversations.replies", s.call("replies", s.history))
	mux.HandleFunc("POST /services/"+s.secret, s.call("hook", s.hook))
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *server) messages() []posted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]posted{}, s.took...)
}

func (s *server) webhook() (string, error) { return s.URL + "/services/" + s.secret, nil }

func (s *server) call(name string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.calls[name]++
		n, fault := s.calls[name], s.fault
		s.mu.Unlock()
		if fault != nil {
			if status, body, header := fault(name, n); status != 0 {
				for k, v := range header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
				return
			}
		}
		h(w, r)
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (s *server) postMessage(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.Form.Get("token") != token && r.Header.Get("Authorization") != "Bearer "+token {
		answer(w, map[string]any{"ok": false, "error": "invalid_auth"})
		return
	}
	p := posted{channel: r.Form.Get("channel"), thread: r.Form.Get("thread_ts"), text: r.Form.Get("text"), metadata: json.RawMessage(r.Form.Get("metadata"))}
	s.take(w, p, r.Form.Get("blocks"), func(code string) { answer(w, map[string]any{"ok": false, "error": code}) }, func(p posted) {
		answer(w, map[string]any{"ok": true, "channel": p.channel, "ts": p.ts, "message": map[string]any{"text": p.text}})
	})
}

func (s *server) hook(w http.ResponseWriter, r *http.Request) {
	var m struct {
		Text   string
		Blocks json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		http.Error(w, "invalid_payload", http.StatusBadRequest)
		return
	}
	s.take(w, posted{channel: "hook", text: m.Text}, string(m.Blocks), func(code string) { http.Error(w, code, http.StatusBadRequest) }, func(posted) {
		_, _ = io.WriteString(w, "ok")
	})
}

func (s *server) take(w http.ResponseWriter, p posted, blocks string, refuse func(string), ok func(posted)) {
	s.mu.Lock()
	now := s.clock.Now()
	if last, seen := s.last[p.channel]; seen && now.Sub(last) < time.Second {
		s.mu.Unlock()
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	if wrong := check(p.text, blocks, &p.blocks); wrong != "" {
		s.mu.Unlock()
		s.t.Errorf("the message breaks a limit of Slack's: %s\n%.2000s", wrong, blocks)
		refuse("invalid_blocks")
		return
	}
	s.last[p.channel] = now
	p.ts = fmt.Sprintf("%d.%06d", now.Unix(), len(s.took))
	s.took = append(s.took, p)
	n, after := len(s.took), s.after
	s.mu.Unlock()
	if after != nil {
		after("post", n)
	}
	ok(p)
}

func (s *server) history(w http.ResponseWriter, r *http.Request) {
	if s.deaf {
		answer(w, map[string]any{"ok": false, "error": "missing_scope"})
		return
	}
	_ = r.ParseForm()
	var list []map[string]any
	for _, p := range s.messages() {
		if p.channel == r.Form.Get("channel") && (r.Form.Get("ts") == "" && p.thread == "" || r.Form.Get("ts") != "" && (p.thread == r.Form.Get("ts") || p.ts == r.Form.Get("ts"))) {
			list = append(list, map[string]any{"type": "message", "ts": p.ts, "text": p.text, "metadata": p.metadata})
		}
	}
	// Three to a page, the latest first in a channel, as Slack does.
	if r.Form.Get("ts") == "" {
		slices.Reverse(list)
	}
	from, _ := strconv.Atoi(r.Form.Get("cursor"))
	from, next := min(from, len(list)), ""
	if from+3 < len(list) {
		next = strconv.Itoa(from + 3)
	}
	answer(w, map[string]any{"ok": true, "messages": list[from:min(from+3, len(list))], "has_more": next != "", "response_metadata": map[string]string{"next_cursor": next}})
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }

// check says which limit a message breaks.
func check(text, blocks string, into *[]block) string {
	if text == "" || units(text) > 4000 {
		return "no text for notifications, or too long a one"
	}
	if err := json.Unmarshal([]byte(blocks), into); err != nil {
		return err.Error()
	}
	if len(*into) == 0 || len(*into) > 50 {
		return fmt.Sprintf("%d blocks", len(*into))
	}
	total := 0
	for _, b := range *into {
		texts, most := []textual{}, 3000
		if b.Text != nil {
			texts = append(texts, *b.Text)
		}
		switch b.Type {
		case "header":
			most = 150
			if b.Text == nil || b.Text.Type != "plain_text" {
				return "a header that is no plain text"
			}
		case "section":
			if b.Text == nil {
				return "a section without text"
			}
		case "context":
			if len(b.Elements) == 0 || len(b.Elements) > 10 {
				return "context elements"
			}
			for _, e := range b.Elements {
				texts = append(texts, textual{Type: "mrkdwn", Text: elementText(e), Verbatim: e.Verbatim})
			}
		case "actions":
			for _, e := range b.Elements {
				if units(e.Value) > 2000 {
					return "a button's value"
				}
			}
		default:
			return "block of type " + b.Type
		}
		for _, t := range texts {
			if n := units(t.Text); n == 0 || n > most {
				return fmt.Sprintf("%s of %d characters", b.Type, n)
			}
			total += units(t.Text)
			if t.Type == "mrkdwn" {
				if wrong := markup(t); wrong != "" {
					return wrong
				}
			}
		}
	}
	if total > 12000 {
		return fmt.Sprintf("%d characters in all", total)
	}
	return ""
}

// elementText is the text of a context's element, which has it as a string.
func elementText(e element) string {
	var s string
	if json.Unmarshal(e.Text, &s) != nil {
		return ""
	}
	return s
}

var (
	tag     = regexp.MustCompile(`<[^>]*>?`)
	allowed = regexp.MustCompile(`^<(@[UW][A-Z0-9]+|!subteam\^S[A-Z0-9]+|#C[A-Z0-9]+|!channel|!here)>$`)
	entity  = regexp.MustCompile(`&(amp|lt|gt);`)
)

// markup reads markup as Slack does, as far as harm goes: what may be a tag, an
// unescaped character, and code spans that do not end.
func markup(t textual) string {
	if !t.Verbatim {
		return "a text in which Slack looks for links and names"
	}
	for _, x := range tag.FindAllString(t.Text, -1) {
		if !allowed.MatchString(x) {
			return "a tag: " + x
		}
	}
	rest := tag.ReplaceAllString(t.Text, "")
	if strings.ContainsAny(rest, "<>") || strings.Contains(entity.ReplaceAllString(rest, ""), "&") {
		return "an unescaped character: " + rest
	}
	parts, outside := strings.Split(rest, "```"), ""
	if len(parts)%2 == 0 {
		return "a block of code that does not end"
	}
	for i := 0; i < len(parts); i += 2 {
		outside += parts[i]
	}
	for line := range strings.SplitSeq(outside, "\n") {
		if strings.Count(line, "`")%2 == 1 {
			return "a code span that does not end: " + line
		}
	}
	for _, r := range t.Text {
		if r != '\n' && !strconv.IsPrint(r) {
			return fmt.Sprintf("an invisible character %U", r)
		}
	}
	return ""
}

// mentions are the tags of all texts.
func mentions(list []posted) (out []string) {
	for _, p := range list {
		for _, b := range p.blocks {
			if b.Text != nil && b.Text.Type == "mrkdwn" {
				out = append(out, tag.FindAllString(b.Text.Text, -1)...)
			}
		}
	}
	return out
}

// formatted is what is bold, struck out or slanted outside of code.
func formatted(text string) (out []string) {
	text = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`").ReplaceAllString(text, "")
	return regexp.MustCompile(`\*[^*\n]+\*|_[^_\n]+_|~[^~\n]+~`).FindAllString(text, -1)
}

func form(payload string) string { return url.Values{"payload": {payload}}.Encode() }
