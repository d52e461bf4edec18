package stream

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/report"
)

// HTTP is an endpoint that takes batches as OPA sends them: a POST of a JSON
// array, compressed by gzip. Idempotency-Key names a batch, the same each time.
type HTTP struct {
	URL    string
	Token  configs.Secret // bearer token; none if zero
	CAFile string         // trusted beside the system's
}

type endpoint struct {
	url    string
	host   string // of the URL, for errors: its path may hold a secret
	token  configs.Secret
	client *http.Client
	now    func() time.Time
}

func newHTTP(cfg HTTP, now func() time.Time) (target, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("http: url: expected one such as https://logs.example.com/logs")
	}
	pool, err := authorities(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("http: ca_file: %w", err)
	}
	return &endpoint{url: cfg.URL, host: u.Host, token: cfg.Token, now: now, client: &http.Client{
		Timeout: 2 * time.Minute,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			ResponseHeaderTimeout: time.Minute, MaxIdleConns: 2, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// authorities gives the system's and those of a file; nil, the system's, without one.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return pool, nil
}

func (e *endpoint) start(_ context.Context, key, _ string, _ json.RawMessage) (session, error) {
	token := ""
	if !e.token.IsZero() {
		var err error
		if token, err = e.token.Reveal(); err != nil {
			return nil, err
		}
	}
	return &posting{e, key, token}, nil
}

type posting struct {
	*endpoint
	key   string
	token string
}

func (*posting) position() any { return nil }

func (p *posting) close() error {
	p.client.CloseIdleConnections()
	return nil
}

// send posts a batch. One that the endpoint finds too large is halved; a single
// event that is too large is refused for good.
func (p *posting) send(ctx context.Context, b batch) ([]audit.Rejection, error) {
	status, err := p.post(ctx, b)
	if status != http.StatusRequestEntityTooLarge {
		return nil, err
	}
	if len(b.events) == 1 {
		return []audit.Rejection{{ID: b.events[0].id, Reason: fmt.Sprintf("%d bytes: %s", len(b.events[0].line), err), At: p.now()}}, nil
	}
	half := len(b.events) / 2
	first, err := p.send(ctx, batch{first: b.first, events: b.events[:half]})
	if err != nil {
		return first, err
	}
	second, err := p.send(ctx, batch{first: b.first + int64(half), events: b.events[half:]})
	return append(first, second...), err
}

func (p *posting) post(ctx context.Context, b batch) (status int, err error) {
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	for i, e := range b.events {
		sep := ","
		if i == 0 {
			sep = "["
		}
		if _, err := z.Write(append([]byte(sep), e.line...)); err != nil {
			return 0, err
		}
	}
	if _, err := z.Write([]byte("]")); err != nil {
		return 0, err
	}
	if err := z.Close(); err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, &body)
	if err != nil {
		return 0, errors.New("http: the URL cannot be requested")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("Idempotency-Key", fmt.Sprintf("%s-%d-%d", p.key, b.first, len(b.events)))
	req.Header.Set("User-Agent", "crosscheck")
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the rest of it is the URL
		}
		return 0, fmt.Errorf("%s: %w", p.host, err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return 0, fmt.Errorf("%s: %w", p.host, err)
	}
	return resp.StatusCode, p.judge(resp)
}

// judge tells whether the endpoint took a batch. What it says beside its status
// is not repeated: it may be anything.
func (p *posting) judge(resp *http.Response) error {
	err := fmt.Errorf("%s answered %d %s", p.host, resp.StatusCode, http.StatusText(resp.StatusCode))
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusTooManyRequests, code >= 500, code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		if s, perr := strconv.Atoi(resp.Header.Get("Retry-After")); perr == nil && s > 0 && s < 1<<20 {
			return report.RetryAfter(err, time.Duration(s)*time.Second)
		}
		return err
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return report.Permanent(fmt.Errorf("%w: mend its token, then `crosscheck deliveries retry`", err))
	default:
		return report.Permanent(err)
	}
}
