// Package webhook repairs by asking another system: a POST with a JSON body,
// signed over its time and content, with the repair's id as idempotency key.
//
// What is signed is "v1:<timestamp>:<body>", by HMAC-SHA256 under the shared
// secret; a receiver refuses a timestamp that is over five minutes off, and a
// key that it has seen.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/remediate"
)

// The headers of a request. No value of a resource is in any of them.
const (
	TimestampHeader = "X-Crosscheck-Timestamp"
	SignatureHeader = "X-Crosscheck-Signature"
	KeyHeader       = "Idempotency-Key"
)

// Endpoint is one system that may be asked.
type Endpoint struct {
	URL    string
	Secret string // shared, at least 16 bytes
}

// Config says who may be asked.
type Config struct {
	Endpoints map[string]Endpoint // by name
	Client    *http.Client        // default: one that follows no redirect
	Now       func() time.Time    // required
	UserAgent string
}

// Runner implements remediate.Runner.
type Runner struct{ cfg Config }

// New makes no request.
func New(cfg Config) (*Runner, error) {
	if cfg.Now == nil {
		return nil, errors.New("now is required")
	}
	for name, e := range cfg.Endpoints {
		u, err := url.Parse(e.URL)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil:
			return nil, fmt.Errorf("webhook %s: expected a URL without user", name)
		case len(e.Secret) < 16:
			return nil, fmt.Errorf("webhook %s: its secret has fewer than 16 bytes", name)
		}
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &Runner{cfg}, nil
}

// told is what a runbook tells this runner.
type told struct {
	Webhook string         `json:"webhook"` // its name in the configuration
	With    map[string]any `json:"with"`
	Undo    bool           `json:"undo"`    // the system takes "undo" and "capture" too
	DryRun  bool           `json:"dry_run"` // and "dry_run"
}

// Check implements remediate.Checker.
func (r *Runner) Check(b remediate.Runbook) error {
	var t told
	if err := remediate.Decode(b.Act, &t); err != nil {
		return err
	}
	switch _, ok := r.cfg.Endpoints[t.Webhook]; {
	case !ok:
		return fmt.Errorf("act.webhook %q: not among remediation.webhooks", t.Webhook)
	case b.DryRun && !t.DryRun:
		return errors.New("act.dry_run: the system must take it where dry_run is true")
	case b.RollBack && !t.Undo:
		return errors.New("act.undo: the system must take it where roll_back is true")
	}
	return nil
}

// request is the body.
type request struct {
	Action   string           `json:"action"` // act, dry_run, capture or undo
	Repair   string           `json:"repair"`
	Runbook  string           `json:"runbook"`
	Version  string           `json:"version"`
	Resource string           `json:"resource"`
	Origin   string           `json:"origin"`
	Type     string           `json:"type"`
	Targets  []map[string]any `json:"targets"`
	Before   json.RawMessage  `json:"before,omitempty"` // of undo: what capture gave
}

// Capture implements remediate.Runner: what the system answers, where it takes undo.
func (r *Runner) Capture(ctx context.Context, c remediate.Call) (json.RawMessage, error) {
	var t told
	if err := remediate.Decode(c.Runbook.Fill(c.Targets[0]), &t); err != nil {
		return nil, err
	}
	if !t.Undo {
		return nil, nil
	}
	b, err := r.ask(ctx, c, "capture", nil)
	if err != nil {
		return nil, err
	}
	v, err := audit.DecodeJSON(b)
	if err != nil {
		return nil, errors.New("capture: the answer is no JSON")
	}
	return audit.Canonical(v)
}

// Act implements remediate.Runner.
func (r *Runner) Act(ctx context.Context, c remediate.Call) (string, error) {
	action := "act"
	if c.DryRun {
		action = "dry_run"
	}
	b, err := r.ask(ctx, c, action, nil)
	return string(b), err
}

// Undo implements remediate.Runner.
func (r *Runner) Undo(ctx context.Context, c remediate.Call, before json.RawMessage) (string, error) {
	b, err := r.ask(ctx, c, "undo", before)
	return string(b), err
}

// maxAnswer bounds what an answer may make us hold.
const maxAnswer = 1 << 20

func (r *Runner) ask(ctx context.Context, c remediate.Call, action string, before json.RawMessage) ([]byte, error) {
	body := request{
		Action: action, Repair: c.Repair, Runbook: c.Runbook.ID, Version: c.Runbook.Version,
		Resource: c.Resource, Origin: c.Origin, Type: c.Type, Before: before,
	}
	var to Endpoint
	for _, target := range c.Targets {
		var t told
		if err := remediate.Decode(c.Runbook.Fill(target), &t); err != nil {
			return nil, err
		}
		var ok bool
		if to, ok = r.cfg.Endpoints[t.Webhook]; !ok {
			return nil, fmt.Errorf("webhook %q is not configured", t.Webhook)
		}
		body.Targets = append(body.Targets, t.With)
	}
	b, err := audit.Canonical(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(b))
	if err != nil {
		return nil, withoutURL(err)
	}
	req.GetBody = nil // nor does the transport try again by itself
	stamp := strconv.FormatInt(r.cfg.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", r.cfg.UserAgent)
	req.Header.Set(TimestampHeader, stamp)
	req.Header.Set(SignatureHeader, Sign(to.Secret, stamp, b))
	if action == "act" || action == "undo" { // the others change nothing, and may be asked twice
		req.Header.Set(KeyHeader, c.Repair+"-"+action)
	}
	resp, err := r.cfg.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", remediate.ErrAtWork, withoutURL(err))
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	err = errors.Join(err, resp.Body.Close())
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", remediate.ErrAtWork, err)
	case resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusGatewayTimeout: // who stands before it gave up
		return answer, fmt.Errorf("%s: answered %d: %w", action, resp.StatusCode, remediate.ErrAtWork)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("%s: the answer is larger than %d bytes", action, maxAnswer)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return answer, fmt.Errorf("%s: answered %d", action, resp.StatusCode)
	}
	return answer, nil
}

// Sign is the signature of a body at a time.
func Sign(secret, stamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v1:" + stamp + ":"))
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// withoutURL leaves out the address, whose path may be a secret.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
