package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/crosscheck-dev/crosscheck/report"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 4 << 20

// wire sends requests. Its errors hold no URL, of which a webhook's is a
// secret, and of an answer only its status and Slack's word for what is wrong.
type wire struct{ client *http.Client }

// newWire follows no redirect: Slack has none, and a secret would go along.
func newWire(base *http.Client) wire {
	c := http.Client{Timeout: 30 * time.Second}
	if base != nil {
		c = *base
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return wire{&c}
}

// Do implements what slack-go sends with.
func (w wire) Do(req *http.Request) (*http.Response, error) {
	resp, err := w.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // it only explains the status
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	status := &statusError{code: resp.StatusCode, word: wordOf(strings.TrimSpace(string(b)))}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		status.after = time.Duration(min(n, 24*60*60)) * time.Second
	}
	return nil, status
}

// statusError is an answer that is not 200.
type statusError struct {
	code  int
	word  string // Slack's, empty if it has none
	after time.Duration
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("slack answered %d %s", e.code, http.StatusText(e.code))
	if e.word != "" {
		text += " (" + e.word + ")"
	}
	return text
}

var wordForm = regexp.MustCompile(`^[a-z][a-z_]{1,60}$`)

// wordOf is a code of Slack's, if it has the form of one: an answer's own text is not repeated.
func wordOf(s string) string {
	if wordForm.MatchString(s) {
		return s
	}
	return ""
}

// remedyOf says what to do about what no retry cures, empty of what is not known.
func remedyOf(word string) string {
	switch word {
	case "invalid_auth":
		return "the token is wrong: set sinks.slack.token to the app's bot token (xoxb-…)"
	case "not_authed":
		return "no token was sent: set sinks.slack.token to the app's bot token (xoxb-…)"
	case "account_inactive":
		return "the token's app or user was removed: install the app again and set its new token"
	case "token_revoked":
		return "the token was revoked: install the app again and set its new token"
	case "token_expired":
		return "the token has expired: use one without rotation, or set a new one"
	case "not_allowed_token_type":
		return "a bot token (xoxb-…) is needed: set it as sinks.slack.token"
	case "missing_scope":
		return "the app lacks the scope chat:write: add it and install the app again"
	case "no_permission":
		return "the app may not post there: invite it to the channel, or ask an administrator of Slack"
	case "channel_not_found":
		return "no such channel for this app: set sinks.slack.channel to its id (C…), and invite the app to it"
	case "not_in_channel":
		return "the app is not in the channel: type `/invite @crosscheck` there"
	case "is_archived":
		return "the channel is archived: set another one"
	case "channel_is_archived":
		return "the channel is archived: make a webhook for another one"
	case "restricted_action", "action_prohibited":
		return "a rule of the workspace forbids it: ask an administrator of Slack"
	case "invalid_token", "no_service", "no_service_id":
		return "the webhook was removed or is wrong: make a new one and set it as sinks.slack.webhook"
	case "no_active_hooks":
		return "the webhook was disabled: make a new one and set it as sinks.slack.webhook"
	case "no_team":
		return "the webhook's workspace is gone: make a new one and set it as sinks.slack.webhook"
	case "invalid_blocks", "invalid_blocks_format", "invalid_payload":
		return "it takes the message for malformed: please report it"
	case "msg_too_long", "msg_blocks_too_long":
		return "it takes the message for too long: please report it"
	case "user_not_found":
		return "no such user: look at sinks.slack.owners"
	}
	return ""
}

// passing are Slack's words for what passes by itself.
var passing = regexp.MustCompile(`^(rate_?limited|internal_error|fatal_error|service_unavailable|request_timeout|team_added_to_org|accesslimited|rollup_error|message_limit_exceeded)$`)

// classified says of an error whether a retry cures it, when, and what does otherwise.
func classified(err error) error {
	var status *statusError
	var answer slack.SlackErrorResponse
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		return status.classified()
	case errors.As(err, &answer):
		w := wordOf(answer.Err)
		remedy := remedyOf(w)
		switch {
		case remedy != "":
			return report.Permanent(fmt.Errorf("slack answered %s: %s", w, remedy))
		case w == "ratelimited" || w == "rate_limited":
			return report.RetryAfter(fmt.Errorf("slack answered %s", w), 30*time.Second)
		case passing.MatchString(w):
			return fmt.Errorf("slack answered %s", w)
		case w == "":
			return errors.New("slack refused the message, and does not say why in a way that can be repeated here")
		}
		return fmt.Errorf("slack answered %s", w) // a week of it is enough, see report.Outbox
	}
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &syntax) || errors.As(err, &mismatch) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("slack's answer is no JSON: a proxy may have given it")
	}
	var failed net.Error
	if errors.As(err, &failed) && failed.Timeout() {
		return errors.New("slack did not answer in time")
	}
	return fmt.Errorf("reaching slack: %w", err)
}

func (e *statusError) classified() error {
	switch {
	case e.code == http.StatusTooManyRequests:
		return report.RetryAfter(e, max(e.after, time.Second))
	case e.code >= 500 && e.after > 0:
		return report.RetryAfter(e, e.after)
	case e.code >= 500, e.code == http.StatusRequestTimeout, e.code == http.StatusTooEarly:
		return e
	}
	remedy := remedyOf(e.word)
	switch {
	case remedy != "":
	case e.code == http.StatusForbidden, e.code == http.StatusNotFound, e.code == http.StatusGone, e.code == http.StatusUnauthorized:
		remedy = "the webhook was removed or is wrong: make a new one and set it as sinks.slack.webhook"
	case e.code >= 300 && e.code < 400:
		remedy = "it redirects, which Slack does not: look at the address"
	default:
		remedy = "please report it"
	}
	return report.Permanent(fmt.Errorf("%w: %s", e, remedy))
}

// hook posts by an incoming webhook, which gives nothing back to refer to.
func (w wire) hook(ctx context.Context, address string, m message) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return report.Permanent(errors.New("sinks.slack.webhook is no https URL: set the one that Slack gave"))
	}
	no := false
	body, err := json.Marshal(slack.WebhookMessage{Text: m.fallback, Blocks: &slack.Blocks{BlockSet: m.blocks}, UnfurlLinks: &no, UnfurlMedia: &no})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return report.Permanent(errors.New("sinks.slack.webhook is no https URL: set the one that Slack gave"))
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
