package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/elastic/go-elasticsearch/v8/esapi"

	"github.com/crosscheck-dev/crosscheck/report"
)

// maxAnswer bounds what is read of an answer. That to a bulk request of 5 MiB has about 1 MiB.
const maxAnswer = 64 << 20

// product is the header by which Elasticsearch says that it is one.
const product = "X-Elastic-Product"

// Error is an answer of Elasticsearch that is no success.
type Error struct {
	Asked  string // the method and path
	Status int
	Type   string // of the error, as Elasticsearch names it; empty where something else answered
	Reason string
}

func (e *Error) Error() string {
	out := fmt.Sprintf("%s: Elasticsearch answered %d", e.Asked, e.Status)
	if e.Type != "" {
		out += " " + e.Type
	}
	if e.Reason != "" {
		out += ": " + e.Reason
	}
	return out
}

// is tells whether an error is an answer of a status, and of a type unless that is empty.
func is(err error, status int, typ string) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == status && (typ == "" || e.Type == typ)
}

// ask sends a request whose answer is small, and reads it into out unless that is nil.
func (s *Sink) ask(ctx context.Context, method, path string, body []byte, out any) error {
	return s.do(ctx, method+" "+path, out, func(ctx context.Context, t esapi.Transport) (*esapi.Response, error) {
		req, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		if len(body) > 0 {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := t.Perform(req)
		if err != nil {
			return nil, err
		}
		return &esapi.Response{StatusCode: resp.StatusCode, Header: resp.Header, Body: resp.Body}, nil
	})
}

// do sends a request, sees that it was Elasticsearch that answered, and tells
// which errors no retry cures.
func (s *Sink) do(ctx context.Context, asked string, out any, send func(context.Context, esapi.Transport) (*esapi.Response, error)) (err error) {
	client, err := s.client()
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeoutCause(ctx, s.cfg.Timeout, fmt.Errorf("no answer within %s", s.cfg.Timeout))
	defer stop()
	resp, err := send(ctx, client)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err
		}
		return fmt.Errorf("%s: %w", asked, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: reading the answer: %w", asked, err)
	case len(b) > maxAnswer:
		return fmt.Errorf("%s: the answer is larger than %d bytes", asked, maxAnswer)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return s.failed(asked, resp, b)
	case resp.Header.Get(product) != "Elasticsearch":
		return report.Permanent(fmt.Errorf("%s: what answered is not Elasticsearch (no header %s: Elasticsearch): see that url is that of Elasticsearch, not of OpenSearch, Kibana or a login page", asked, product))
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s: the answer makes no sense: %w", asked, err)
	}
	return nil
}

// failed reads an answer that is no success.
func (s *Sink) failed(asked string, resp *esapi.Response, body []byte) error {
	e := &Error{Asked: asked, Status: resp.StatusCode}
	var answer struct{ Error json.RawMessage }
	if json.Unmarshal(body, &answer) == nil {
		var cause problem
		if json.Unmarshal(answer.Error, &cause) == nil {
			e.Type, e.Reason = clip(cause.Type), clip(cause.says())
		}
		var text string
		if json.Unmarshal(answer.Error, &text) == nil { // some handlers answer with a sentence
			e.Reason = clip(text)
		}
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return report.Permanent(fmt.Errorf("%w: the credentials are refused: see api_key, or username and password", e))
	case http.StatusForbidden:
		if e.Type == blocked {
			return e
		}
		return report.Permanent(fmt.Errorf("%w: the credentials lack a privilege: docs/operators.md lists those that are needed", e))
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if after := s.retryAfter(resp.Header.Get("Retry-After")); after > 0 {
			return report.RetryAfter(e, after)
		}
	}
	return e
}

// retryAfter reads the header: seconds, or a date.
func (s *Sink) retryAfter(v string) time.Duration {
	if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil && n > 0 {
		return time.Duration(min(n, 24*60*60)) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(at.Sub(s.cfg.Now()), 0), 24*time.Hour)
	}
	return 0
}

// problem is an error as Elasticsearch tells it.
type problem struct {
	Type     string   `json:"type"`
	Reason   string   `json:"reason"`
	CausedBy *problem `json:"caused_by"`
}

func (p problem) says() string {
	if p.CausedBy != nil && p.CausedBy.Reason != "" && !strings.Contains(p.Reason, p.CausedBy.Reason) {
		return p.Reason + ": " + p.CausedBy.Reason
	}
	return p.Reason
}

// blocked is the type of a refusal to write to an index that is read-only.
const blocked = "cluster_block_exception"
