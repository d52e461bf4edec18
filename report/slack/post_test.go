package slack_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
	"github.com/crosscheck-dev/crosscheck/report"
	"github.com/crosscheck-dev/crosscheck/report/slack"
)

// busy is an estate whose thread has several parts.
func busy() (out []bucket) {
	for i := range 120 {
		out = append(out, bucket{name: fmt.Sprintf("b%03d", i), fails: "STO NET", owner: "payments"})
	}
	return out
}

// TestPace: a message a second, the thread's too; the server refuses more.
func TestPace(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, in := serve(t, c), install(t, c)
	in.night(nil, busy()...)
	started := c.Now()
	if err := in.flush(in.sink(s, nil)); err != nil {
		t.Fatal(err)
	}
	list := s.messages()
	if took := c.Now().Sub(started); len(list) < 4 || took != time.Duration(len(list)-1)*time.Second {
		t.Errorf("%d messages took %s", len(list), took)
	}
	for _, m := range list[1:] {
		if m.thread != list[0].ts {
			t.Errorf("a part is not in the thread: %q", m.thread)
		}
	}
}

// TestKilled: wherever a delivery is cut off, nothing of it is posted twice
// where the app may read the channel, and at most one message where it may not.
func TestKilled(t *testing.T) {
	t.Parallel()
	c := newClock()
	probe, in := serve(t, c), install(t, c)
	in.night(nil, busy()...)
	if err := in.flush(in.sink(probe, nil)); err != nil {
		t.Fatal(err)
	}
	whole := len(probe.messages())
	for _, deaf := range []bool{false, true} {
		for at := 1; at <= whole; at++ {
			t.Run(fmt.Sprintf("after message %d, deaf %t", at, deaf), func(t *testing.T) {
				t.Parallel()
				c := newClock()
				s, in := serve(t, c), install(t, c)
				s.deaf = deaf
				rec := in.night(nil, busy()...)
				ctx, kill := context.WithCancel(t.Context())
				s.after = func(_ string, n int) {
					if n == at {
						kill() // Slack has it, and nobody sees its answer
						<-ctx.Done()
						panic(http.ErrAbortHandler)
					}
				}
				if err := in.outbox(in.sink(s, nil)).Flush(ctx); err == nil {
					t.Fatal("a delivery that was cut off is said to be done")
				}
				c.forward(time.Hour)
				if err := in.flush(in.sink(s, nil)); err != nil {
					t.Fatal(err)
				}
				want := whole
				if deaf {
					want++
				}
				if n := len(s.messages()); n != want {
					t.Errorf("%d messages, want %d", n, want)
				}
				if d := in.owed(rec.Run.ID); d.Status != audit.Delivered {
					t.Errorf("it is %s", d.Status)
				}
				c.forward(time.Hour)
				if err := in.flush(in.sink(s, nil)); err != nil || len(s.messages()) != want {
					t.Errorf("what is delivered was delivered again: %v", err)
				}
			})
		}
	}
}

// TestAgain: what was delivered is posted once more when a person asks for it.
func TestAgain(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"token", "webhook"} {
		c := newClock()
		s, in := serve(t, c), install(t, c)
		sink := in.sink(s, map[string]func(*slack.Config){"token": nil, "webhook": in.byWebhook(s)}[by])
		rec := in.night(nil, bucket{name: "a", fails: "STO"})
		if err := in.flush(sink); err != nil {
			t.Fatal(err)
		}
		n := len(s.messages())
		c.forward(time.Minute)
		if _, err := in.ledger.Retry(t.Context(), ledger.DeliveryQuery{Sink: "slack", Subject: rec.Run.ID}, c.Now(), true); err != nil {
			t.Fatal(err)
		}
		if err := in.flush(sink); err != nil || len(s.messages()) != 2*n {
			t.Errorf("%s: %d messages, want %d, %v", by, len(s.messages()), 2*n, err)
		}
	}
}

// TestThreadChanged: where the rest would read otherwise than what is posted,
// as after another library was loaded, the thread begins anew: nothing is lost.
func TestThreadChanged(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, in := serve(t, c), install(t, c)
	rec := in.night(nil, busy()...)
	s.fault = func(call string, n int) (int, string, map[string]string) {
		if call == "post" && n == 3 {
			return http.StatusServiceUnavailable, "", nil
		}
		return 0, "", nil
	}
	if err := in.flush(in.sink(s, nil)); err == nil {
		t.Fatal("no error")
	}
	rec.Catalog.Controls[0].Title = "Another title"
	in.vaults[rec.Run.ID] = rec
	c.forward(time.Hour)
	if err := in.flush(in.sink(s, nil)); err != nil {
		t.Fatal(err)
	}
	heads, names := 0, map[string]bool{}
	for _, m := range s.messages()[2:] {
		if m.thread == "" {
			heads++
		}
		for i := range 120 {
			if name := fmt.Sprintf("`b%03d`", i); strings.Contains(m.all(), name) {
				names[name] = true
			}
		}
	}
	if heads != 0 || len(names) != 120 {
		t.Errorf("%d more messages outside of the thread, %d of 120 names told in it", heads, len(names))
	}
}

// TestAnswers: what Slack's answers come to, and that none of them gives a secret away.
func TestAnswers(t *testing.T) {
	t.Parallel()
	type answer struct {
		status int
		body   string
		header map[string]string
	}
	tests := map[string]struct {
		webhook bool
		answer  answer
		status  audit.DeliveryStatus
		after   time.Duration // not tried before
		says    string
	}{
		"rate limit":             {false, answer{429, "", map[string]string{"Retry-After": "120"}}, audit.Waiting, 2 * time.Minute, "429"},
		"rate limit, no time":    {false, answer{429, "", nil}, audit.Waiting, time.Second, "429"},
		"rate limit, nonsense":   {false, answer{429, "", map[string]string{"Retry-After": "soon"}}, audit.Waiting, time.Second, "429"},
		"rate limit, for ever":   {false, answer{429, "", map[string]string{"Retry-After": "99999999999"}}, audit.Waiting, time.Second, "429"},
		"rate limit of webhook":  {true, answer{429, "", map[string]string{"Retry-After": "60"}}, audit.Waiting, time.Minute, "429"},
		"ratelimited":            {false, answer{200, `{"ok":false,"error":"ratelimited"}`, nil}, audit.Waiting, 30 * time.Second, "ratelimited"},
		"down":                   {false, answer{503, "<html>" + token, nil}, audit.Waiting, 0, "503"},
		"down, webhook":          {true, answer{500, "T000/B000/XXXXSECRETXXXX", nil}, audit.Waiting, 0, "500"},
		"internal":               {false, answer{200, `{"ok":false,"error":"internal_error"}`, nil}, audit.Waiting, 0, "internal_error"},
		"no JSON":                {false, answer{200, "<html>proxy login " + token, nil}, audit.Waiting, 0, "no JSON"},
		"empty":                  {false, answer{200, "", nil}, audit.Waiting, 0, "no JSON"},
		"of another shape":       {false, answer{200, `[1]`, nil}, audit.Waiting, 0, "no JSON"},
		"no message":             {false, answer{200, `{"ok":true}`, nil}, audit.Waiting, 0, "names no message"},
		"unknown":                {false, answer{200, `{"ok":false,"error":"something_new"}`, nil}, audit.Waiting, 0, "something_new"},
		"nonsense":               {false, answer{200, `{"ok":false,"error":"` + token + ` <b>"}`, nil}, audit.Waiting, 0, "does not say why"},
		"wrong token":            {false, answer{200, `{"ok":false,"error":"invalid_auth"}`, nil}, audit.Refused, 0, "sinks.slack.token"},
		"no channel":             {false, answer{200, `{"ok":false,"error":"channel_not_found"}`, nil}, audit.Refused, 0, "sinks.slack.channel"},
		"not invited":            {false, answer{200, `{"ok":false,"error":"not_in_channel"}`, nil}, audit.Refused, 0, "/invite"},
		"scope":                  {false, answer{200, `{"ok":false,"error":"missing_scope"}`, nil}, audit.Refused, 0, "chat:write"},
		"webhook removed":        {true, answer{404, "no_service", nil}, audit.Refused, 0, "sinks.slack.webhook"},
		"webhook forbidden":      {true, answer{403, "action_prohibited", nil}, audit.Refused, 0, "administrator"},
		"webhook, archived":      {true, answer{410, "channel_is_archived", nil}, audit.Refused, 0, "archived"},
		"webhook, nonsense":      {true, answer{403, "T000/B000/XXXXSECRETXXXX", nil}, audit.Refused, 0, "sinks.slack.webhook"},
		"webhook, malformed":     {true, answer{400, "invalid_blocks", nil}, audit.Refused, 0, "report it"},
		"webhook that redirects": {true, answer{302, "", map[string]string{"Location": "http://evil.example/T000/B000/XXXXSECRETXXXX"}}, audit.Refused, 0, "redirects"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			s, in := serve(t, c), install(t, c)
			rec := in.night(nil, bucket{name: "a", fails: "STO"})
			s.fault = func(string, int) (int, string, map[string]string) {
				return tt.answer.status, tt.answer.body, tt.answer.header
			}
			var change func(*slack.Config)
			if tt.webhook {
				change = in.byWebhook(s)
			}
			err := in.flush(in.sink(s, change))
			d := in.owed(rec.Run.ID)
			if err == nil || d.Status != tt.status || !strings.Contains(d.Detail, tt.says) {
				t.Errorf("it is %s: %s (%v), want %s: %s", d.Status, d.Detail, err, tt.status, tt.says)
			}
			for _, secret := range []string{token, s.secret, "XXXXSECRETXXXX"} {
				if strings.Contains(fmt.Sprint(err, d.Detail), secret) {
					t.Errorf("the error gives the secret away: %v", err)
				}
			}
			if tt.status == audit.Waiting && d.Next.Before(d.Last.Add(tt.after)) {
				t.Errorf("it is tried again after %s, want %s at least", d.Next.Sub(d.Last), tt.after)
			}
			s.fault = nil
			c.forward(25 * time.Hour)
			if err := in.flush(in.sink(s, change)); tt.status == audit.Waiting && (err != nil || len(s.messages()) == 0) {
				t.Errorf("it is not delivered once Slack is back: %v", err)
			}
		})
	}
}

// TestUnreachable: an error of the network names no secret, though net/http's holds the URL.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, in := serve(t, c), install(t, c)
	rec := in.night(nil, bucket{name: "a", fails: "STO"})
	address, _ := s.webhook()
	s.Close()
	hangs := &http.Client{Transport: slow{}, Timeout: time.Millisecond}
	for name, change := range map[string]func(*slack.Config){
		"webhook": in.byWebhook(s), "token": nil,
		"hangs": func(cfg *slack.Config) { in.byWebhook(s)(cfg); cfg.Client = hangs },
		"leaks": func(cfg *slack.Config) {
			in.byWebhook(s)(cfg)
			cfg.Client = &http.Client{Transport: leaking{address}}
		},
	} {
		err := in.sink(s, change).Deliver(t.Context(), rec, audit.Delivery{Sink: "slack", Kind: audit.OfRun, Subject: rec.Run.ID})
		if err == nil || report.IsPermanent(err) || strings.Contains(err.Error(), s.secret) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, wrong := range []string{"ftp://x/" + s.secret, "http://hooks.example/" + s.secret, s.secret, "https://%zz/" + s.secret, "https://h/\x00" + s.secret} {
		sink := in.sink(s, func(cfg *slack.Config) {
			in.byWebhook(s)(cfg)
			cfg.Webhook = func() (string, error) { return wrong, nil }
		})
		err := sink.Deliver(t.Context(), rec, audit.Delivery{Sink: "slack", Kind: audit.OfRun, Subject: rec.Run.ID})
		if !report.IsPermanent(err) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// TestSecretAway: a secret that is not there, as while its file is replaced or
// before its mount is, is asked for again: the delivery waits.
func TestSecretAway(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, in := serve(t, c), install(t, c)
	rec := in.night(nil, bucket{name: "a", fails: "STO"})
	sink := in.sink(s, func(cfg *slack.Config) {
		in.byWebhook(s)(cfg)
		cfg.Webhook = func() (string, error) { return "", errors.New("/run/secrets/slack: no such file") }
	})
	err := sink.Deliver(t.Context(), rec, audit.Delivery{Sink: "slack", Kind: audit.OfRun, Subject: rec.Run.ID})
	if err == nil || report.IsPermanent(err) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("Deliver() = %v", err)
	}
}

type slow struct{}

func (slow) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

type leaking struct{ text string }

func (l leaking) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("a proxy does not like " + l.text)
}

// TestDownForADay: every night's message is delivered once Slack is back, in order.
func TestDownForADay(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, in := serve(t, c), install(t, c)
	down := true
	s.fault = func(string, int) (int, string, map[string]string) {
		if down {
			return 502, "bad gateway", nil
		}
		return 0, "", nil
	}
	sink := in.sink(s, nil)
	for i, estate := range [][]bucket{{{name: "a", fails: "STO"}}, {{name: "a"}}, {{name: "a", fails: "NET"}}} {
		in.night(nil, estate...)
		if err := in.flush(sink); err == nil {
			t.Fatalf("night %d is said to be delivered", i+1)
		}
	}
	down = false
	c.forward(time.Hour)
	if err := in.flush(sink); err != nil {
		t.Fatal(err)
	}
	var heads []string
	for _, m := range s.messages() {
		if m.thread == "" {
			heads = append(heads, m.text)
		}
	}
	want := []string{"crosscheck: 1 new, 0 fixed, 0 still open", "crosscheck: 0 new, 1 fixed, 0 still open", "crosscheck: 1 new, 0 fixed, 0 still open"}
	if strings.Join(heads, "\n") != strings.Join(want, "\n") {
		t.Errorf("messages:\n%s\nwant:\n%s", strings.Join(heads, "\n"), strings.Join(want, "\n"))
	}
}

// TestConfig: what is wrong is said before anything is sent.
func TestConfig(t *testing.T) {
	t.Parallel()
	secret := func() (string, error) { return "s", nil }
	for name, cfg := range map[string]slack.Config{
		"neither":       {Now: time.Now},
		"both":          {Now: time.Now, Token: secret, Webhook: secret, Channel: "C0123456789"},
		"no channel":    {Now: time.Now, Token: secret},
		"two channels":  {Now: time.Now, Webhook: secret, Channel: "C0123456789"},
		"owner":         {Now: time.Now, Webhook: secret, Owners: map[string]string{"a": "<!channel>"}},
		"alert":         {Now: time.Now, Webhook: secret, Alert: "everyone"},
		"no clock":      {Webhook: secret},
		"less than all": {Now: time.Now, Webhook: secret, Details: -1},
	} {
		if _, err := slack.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
