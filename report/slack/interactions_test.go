package slack_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	slackgo "github.com/slack-go/slack"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/report/slack"
)

const signing = "8f742231b10e8888abcd99yyyzzz85a5"

var repairID = audit.Digest([]byte("repair"))

// desk is where clicks arrive, with what came of them.
type desk struct {
	*slack.Interactions
	t       *testing.T
	clock   *clock
	mu      sync.Mutex
	decided []string
	replies []map[string]any
	answer  *httptest.Server
	outcome func() (string, error)
	log     strings.Builder
}

func newDesk(t *testing.T, change func(*slack.InteractionsConfig)) *desk {
	t.Helper()
	d := &desk{t: t, clock: newClock(), outcome: func() (string, error) { return "It runs in the next window.", nil }}
	d.answer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m map[string]any
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.replies = append(d.replies, m)
	}))
	t.Cleanup(d.answer.Close)
	cfg := slack.InteractionsConfig{
		Secret: func() (string, error) { return signing, nil }, Now: d.clock.Now, Log: slog.New(slog.NewTextHandler(&d.log, nil)), Answer: d.answer.URL,
		People: map[string]slack.Person{"U0SAM": {Name: "sam", Roles: []string{"viewer", "approver"}}, "U0VIEWER": {Name: "vi", Roles: []string{"viewer", "auditor", "operator"}}},
		Decide: func(_ context.Context, repair string, approve bool, by slack.Person) (string, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.decided = append(d.decided, fmt.Sprint(repair == repairID, " ", approve, " ", by.ID, " ", by.Name))
			return d.outcome()
		},
		After: make(chan time.Time), // a decision is waited for
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if d.Interactions, err = slack.NewInteractions(cfg); err != nil {
		t.Fatal(err)
	}
	d.clock.forward(time.Hour)
	return d
}

// press is the payload of a click, as Slack documents it.
func (d *desk) press(user, action, value, at string) string {
	return fmt.Sprintf(`{"type":"block_actions","user":{"id":%q,"username":"x","team_id":"T1"},"api_app_id":"A1","token":"t","trigger_id":"1.2","response_url":%q,
		"container":{"type":"message","message_ts":"1.2","channel_id":"C1"},"channel":{"id":"C1"},"message":{"ts":"1.2","blocks":[{"type":"section","block_id":"b","text":{"type":"mrkdwn","text":"Repair"}},{"type":"actions","elements":[]}]},
		"actions":[{"action_id":%q,"block_id":"crosscheck_repair","type":"button","value":%q,"action_ts":%q}]}`, user, d.answer.URL+"/actions/T1/secret", action, value, at)
}

func (d *desk) approve() string {
	return d.press("U0SAM", "crosscheck_approve", repairID, "1700000000.123")
}

func sign(at time.Time, secret, body string) http.Header {
	stamp := fmt.Sprint(at.Unix())
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v0:" + stamp + ":" + body))
	h := http.Header{}
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	h.Set("X-Slack-Request-Timestamp", stamp)
	h.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	return h
}

func (d *desk) send(body string, h http.Header) int {
	d.t.Helper()
	req := httptest.NewRequestWithContext(d.t.Context(), http.MethodPost, "/slack", strings.NewReader(body))
	req.Header = h
	w := httptest.NewRecorder()
	d.ServeHTTP(w, req)
	d.Wait()
	return w.Code
}

// TestClick: what an approver presses is decided in their name, once, and said in place of the buttons.
func TestClick(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]string{"crosscheck_approve": "approved", "crosscheck_deny": "denied"} {
		d := newDesk(t, nil)
		body := form(d.press("U0SAM", action, repairID, "1700000000.123"))
		h := sign(d.clock.Now(), signing, body)
		if code := d.send(body, h); code != http.StatusOK {
			t.Fatalf("status %d", code)
		}
		if diff := cmp.Diff(d.decided, []string{fmt.Sprint("true ", want == "approved", " U0SAM sam")}); diff != "" {
			t.Errorf("decided (-got +want):\n%s", diff)
		}
		reply := fmt.Sprint(d.replies)
		if len(d.replies) != 1 || d.replies[0]["replace_original"] != true || !strings.Contains(reply, want+" by <@U0SAM>. It runs in the next window.") || strings.Contains(reply, "actions") {
			t.Errorf("reply: %s", reply)
		}
	}
}

// TestReplays: the same request is acted on once, however it comes again.
func TestReplays(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	body := form(d.approve())
	h := sign(d.clock.Now(), signing, body)
	retry := h.Clone()
	retry.Set("X-Slack-Retry-Num", "1")
	later := sign(d.clock.Now().Add(3*time.Second), signing, body)
	again := later.Clone()
	again.Set("X-Slack-Retry-Num", "2")
	for i, tt := range []struct {
		header http.Header
		want   int
	}{{h, 200}, {h, 401}, {retry, 200}, {later, 200}, {again, 200}, {later, 401}} {
		if code := d.send(body, tt.header); code != tt.want {
			t.Errorf("request %d: status %d, want %d", i, code, tt.want)
		}
	}
	if len(d.decided) != 1 {
		t.Errorf("decided %d times: %q", len(d.decided), d.decided)
	}
	// Another click of the same button is another one.
	body = form(d.press("U0SAM", "crosscheck_approve", repairID, "1700000009.123"))
	if code := d.send(body, sign(d.clock.Now(), signing, body)); code != 200 || len(d.decided) != 2 {
		t.Errorf("status %d, decided %d times", code, len(d.decided))
	}
	d.clock.forward(6 * time.Minute)
	if code := d.send(body, h); code != 401 || len(d.decided) != 2 {
		t.Errorf("once it is forgotten it is too old: status %d, decided %d times", code, len(d.decided))
	}
}

// TestRestart: what was accepted before a restart is not accepted after it.
func TestRestart(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	body := form(d.approve())
	h := sign(d.clock.Now(), signing, body)
	c := d.clock
	after := newDesk(t, func(cfg *slack.InteractionsConfig) { cfg.Now = c.Now }) // begins within the second of the click
	if code := after.send(body, h); code != 401 || len(after.decided) != 0 {
		t.Errorf("status %d, decided %q", code, after.decided)
	}
}

// TestForged: nothing that is not signed, fresh and whole is acted on.
func TestForged(t *testing.T) {
	t.Parallel()
	type request struct {
		method, body string
		header       http.Header
	}
	tests := map[string]struct {
		change func(d *desk, r *request)
		want   int
	}{
		"no signature":   {func(_ *desk, r *request) { r.header.Del("X-Slack-Signature") }, 401},
		"no time":        {func(_ *desk, r *request) { r.header.Del("X-Slack-Request-Timestamp") }, 401},
		"another secret": {func(d *desk, r *request) { r.header = sign(d.clock.Now(), "guess", r.body) }, 401},
		"empty secret":   {func(d *desk, r *request) { r.header = sign(d.clock.Now(), "", r.body) }, 401},
		"another body":   {func(_ *desk, r *request) { r.body = strings.Replace(r.body, "U0SAM", "U0EVE", 1) }, 401},
		"another time":   {func(_ *desk, r *request) { r.header.Set("X-Slack-Request-Timestamp", "1700000000") }, 401},
		"old":            {func(d *desk, r *request) { r.header = sign(d.clock.Now().Add(-301*time.Second), signing, r.body) }, 401},
		"of the future":  {func(d *desk, r *request) { r.header = sign(d.clock.Now().Add(301*time.Second), signing, r.body) }, 401},
		"two signatures": {func(_ *desk, r *request) { r.header.Add("X-Slack-Signature", "v0=00") }, 401},
		"another version": {func(_ *desk, r *request) {
			r.header.Set("X-Slack-Signature", "v1"+r.header.Get("X-Slack-Signature")[2:])
		}, 401},
		"cut off":          {func(_ *desk, r *request) { r.header.Set("X-Slack-Signature", r.header.Get("X-Slack-Signature")[:20]) }, 401},
		"time of nonsense": {func(_ *desk, r *request) { r.header.Set("X-Slack-Request-Timestamp", "NaN") }, 401},
		"GET":              {func(_ *desk, r *request) { r.method = http.MethodGet }, 405},
		"JSON":             {func(_ *desk, r *request) { r.header.Set("Content-Type", "application/json") }, 415},
		"large": {func(d *desk, r *request) {
			r.body += "&x=" + strings.Repeat("x", 300<<10)
			r.header = sign(d.clock.Now(), signing, r.body)
		}, 413},
		"two payloads": {func(d *desk, r *request) { r.body += "&" + r.body; r.header = sign(d.clock.Now(), signing, r.body) }, 400},
		"no payload":   {func(d *desk, r *request) { r.body = "x=1"; r.header = sign(d.clock.Now(), signing, r.body) }, 400},
		"no JSON":      {func(d *desk, r *request) { r.body = form("{"); r.header = sign(d.clock.Now(), signing, r.body) }, 400},
		"a path for repair": {func(d *desk, r *request) {
			r.body = form(d.press("U0SAM", "crosscheck_approve", "../../x", "1.1"))
			r.header = sign(d.clock.Now(), signing, r.body)
		}, 400},
		"no user": {func(d *desk, r *request) {
			r.body = form(d.press("", "crosscheck_approve", repairID, "1.1"))
			r.header = sign(d.clock.Now(), signing, r.body)
		}, 400},
		"another button": {func(d *desk, r *request) {
			r.body = form(d.press("U0SAM", "other", repairID, "1.1"))
			r.header = sign(d.clock.Now(), signing, r.body)
		}, 200},
		"a shortcut": {func(d *desk, r *request) {
			r.body = form(`{"type":"shortcut"}`)
			r.header = sign(d.clock.Now(), signing, r.body)
		}, 200},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, nil)
			body := form(d.approve())
			r := request{http.MethodPost, body, sign(d.clock.Now(), signing, body)}
			tt.change(d, &r)
			req := httptest.NewRequestWithContext(t.Context(), r.method, "/slack", strings.NewReader(r.body))
			req.Header = r.header
			w := httptest.NewRecorder()
			d.ServeHTTP(w, req)
			d.Wait()
			if w.Code != tt.want || len(d.decided) != 0 {
				t.Errorf("status %d, decided %q, want %d and nothing", w.Code, d.decided, tt.want)
			}
			if strings.Contains(w.Body.String()+d.log.String(), signing) {
				t.Error("the secret is told")
			}
		})
	}
}

// TestWho: the role decides, and what the decision says reaches who clicked alone.
func TestWho(t *testing.T) {
	t.Parallel()
	for user, known := range map[string]bool{"U0VIEWER": false, "U0NOBODY": false, "U0SAM": true} {
		d := newDesk(t, nil)
		d.outcome = func() (string, error) { return "", errors.New("sam asked for it himself <!channel>") }
		body := form(d.press(user, "crosscheck_approve", repairID, "1.1"))
		if code := d.send(body, sign(d.clock.Now(), signing, body)); code != 200 {
			t.Errorf("%s: status %d", user, code)
		}
		if (len(d.decided) == 1) != known {
			t.Errorf("%s: decided %q", user, d.decided)
		}
		want := "You may not decide on repairs"
		if known {
			want = "Not approved: sam asked for it himself &lt;!channel&gt;"
		}
		if len(d.replies) != 1 || d.replies[0]["response_type"] != "ephemeral" || !strings.Contains(fmt.Sprint(d.replies[0]["text"]), want) {
			t.Errorf("%s: replies %v, want %q", user, d.replies, want)
		}
	}
}

// TestPatience: Slack is answered in time though a decision takes longer; it is made all the same.
func TestPatience(t *testing.T) {
	t.Parallel()
	release, after := make(chan struct{}), make(chan time.Time, 1)
	d := newDesk(t, func(cfg *slack.InteractionsConfig) {
		cfg.After = after
		decide := cfg.Decide
		cfg.Decide = func(ctx context.Context, repair string, approve bool, by slack.Person) (string, error) {
			after <- time.Time{} // two seconds are over
			<-release
			if err := ctx.Err(); err != nil {
				return "", err
			}
			return decide(ctx, repair, approve, by)
		}
	})
	body := form(d.approve())
	ctx, gone := context.WithCancel(t.Context())
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/slack", strings.NewReader(body))
	req.Header = sign(d.clock.Now(), signing, body)
	w := httptest.NewRecorder()
	d.ServeHTTP(w, req) // returns, or the test hangs
	gone()              // and Slack hangs up
	close(release)
	d.Wait()
	if w.Code != 200 || len(d.decided) != 1 || len(d.replies) != 1 {
		t.Errorf("status %d, decided %q, replies %v", w.Code, d.decided, d.replies)
	}
}

// TestPanic: a decision that panics ends nothing, and promises nothing.
func TestPanic(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(cfg *slack.InteractionsConfig) {
		cfg.Decide = func(context.Context, string, bool, slack.Person) (string, error) { panic("x") }
	})
	body := form(d.approve())
	if code := d.send(body, sign(d.clock.Now(), signing, body)); code != 200 || !strings.Contains(fmt.Sprint(d.replies), "Nobody knows") {
		t.Errorf("status %d, replies %v", code, d.replies)
	}
}

// TestAnswerElsewhere: an address that is not Slack's is not called.
func TestAnswerElsewhere(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"http://169.254.169.254/latest", "https://hooks.slack.com.evil.example/x", "http://user@%s/x", "file:///etc/passwd", "::"} {
		d := newDesk(t, nil)
		if strings.Contains(to, "%s") {
			to = fmt.Sprintf(to, strings.TrimPrefix(d.answer.URL, "http://"))
		}
		body := form(strings.Replace(d.approve(), d.answer.URL+"/actions/T1/secret", to, 1))
		if code := d.send(body, sign(d.clock.Now(), signing, body)); code != 200 || len(d.decided) != 1 || len(d.replies) != 0 {
			t.Errorf("%s: status %d, decided %q, replies %v", to, code, d.decided, d.replies)
		}
		if !strings.Contains(d.log.String(), "not Slack's") {
			t.Errorf("%s: the log says %s", to, d.log.String())
		}
	}
}

// TestAsSlackGo: what is signed here, slack-go's own verifier accepts too.
func TestAsSlackGo(t *testing.T) {
	t.Parallel()
	now := time.Now() // its verifier goes by the system's clock
	v, err := slackgo.NewSecretsVerifier(sign(now, signing, "payload=x"), signing)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(&v, "payload=x")
	if err := v.Ensure(); err != nil {
		t.Error(err)
	}
}

func FuzzClick(f *testing.F) {
	d := &desk{answer: &httptest.Server{URL: "https://hooks.slack.com"}}
	f.Add(form(d.approve()))
	f.Add(form(`{"type":"block_actions","actions":[{"action_id":"crosscheck_deny","value":"","action_ts":"1.1"}],"user":{"id":"U0SAM"}}`))
	f.Add(form(`{"type":"block_actions","actions":[{},{}],"message":{"blocks":[null,1,{"type":5}]}}`))
	f.Add("payload=%zz")
	f.Fuzz(func(t *testing.T, body string) {
		c := newClock()
		var repairs []string
		x, err := slack.NewInteractions(slack.InteractionsConfig{
			Secret: func() (string, error) { return signing, nil }, Now: c.Now, Log: audittest.Log(), Answer: "https://127.0.0.1:1/", After: make(chan time.Time),
			People: map[string]slack.Person{"U0SAM": {Roles: []string{"approver"}}},
			Decide: func(_ context.Context, repair string, _ bool, by slack.Person) (string, error) {
				repairs = append(repairs, repair)
				if by.ID != "U0SAM" {
					t.Errorf("decided by %q", by.ID)
				}
				return "", nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.forward(time.Minute)
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		req.Header = sign(c.Now(), signing, body)
		w := httptest.NewRecorder()
		x.ServeHTTP(w, req)
		x.Wait()
		if w.Code != 200 && w.Code != 400 && w.Code != 413 {
			t.Errorf("status %d", w.Code)
		}
		for _, r := range repairs {
			if r == "" || strings.Trim(r, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-") != "" {
				t.Errorf("repair %q", r)
			}
		}
	})
}
