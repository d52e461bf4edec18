package netbox

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	api "github.com/netbox-community/go-netbox/v4"

	"github.com/crosscheck-dev/crosscheck/audit"
)

const (
	maxBody  = 32 << 20 // one answer; 500 devices are 1.5 MB
	attempts = 3
	maxPause = 30 * time.Second
)

// session is one reading: go-netbox builds the requests, its transport takes
// the answers before the typed decoder sees them. That decoder fails a whole
// page over one status that it does not know.
type session struct {
	c     *Collector
	api   *api.APIClient
	calls map[string]*audit.Call
	watch *audit.Stopwatch
}

// open prepares a session. It reads the CA file and sends nothing.
func (c *Collector) open(watch *audit.Stopwatch) (*session, error) {
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	cfg := api.NewConfiguration()
	cfg.Servers = api.ServerConfigurations{{URL: c.base}}
	cfg.UserAgent = "crosscheck"
	cfg.HTTPClient = client
	return &session{c: c, api: api.NewAPIClient(cfg), calls: map[string]*audit.Call{}, watch: watch}, nil
}

func (c *Collector) client() (*http.Client, error) {
	client := &http.Client{Timeout: c.cfg.Timeout}
	if c.cfg.HTTPClient != nil {
		own := *c.cfg.HTTPClient
		own.Timeout = cmp.Or(own.Timeout, c.cfg.Timeout)
		client = &own
	}
	next := cmp.Or[http.RoundTripper](client.Transport, http.DefaultTransport)
	if c.cfg.CAFile != "" {
		pool, err := trusted(c.cfg.CAFile)
		if err != nil {
			return nil, &audit.SourceError{Code: audit.Failed, Operation: "ca_file", Err: err}
		}
		next = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		}
	}
	client.Transport = &transport{next: next, host: c.host, authorization: c.scheme + " " + c.cfg.Token}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client, nil
}

func trusted(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading certificates: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return pool, nil
}

// reply is what became of one request. It travels in the request's context.
type reply struct {
	extra  url.Values // query that the builders do not know
	done   bool       // NetBox, or something in its place, answered
	status int
	header http.Header
	body   []byte
	err    error // while sending or reading
}

type replyKey struct{}

// transport adds the token, for NetBox's own host alone, and keeps the answer.
type transport struct {
	next          http.RoundTripper
	host          string
	authorization string
}

// RoundTrip implements http.RoundTripper. What it returns is an empty object:
// the true answer is in the context's reply.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	r, ok := req.Context().Value(replyKey{}).(*reply)
	if !ok || req.URL.Host != t.host {
		return nil, fmt.Errorf("refused a request to %q: only %q gets the token", req.URL.Host, t.host)
	}
	req = req.Clone(req.Context())
	q := req.URL.Query()
	for _, key := range slices.Sorted(maps.Keys(r.extra)) {
		q[key] = r.extra[key]
	}
	req.URL.RawQuery = q.Encode()
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", t.authorization)
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		r.err = err
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		r.err = err
		return nil, err
	}
	r.done, r.status, r.header, r.body = true, resp.StatusCode, resp.Header, body
	return &http.Response{
		Status: resp.Status, StatusCode: resp.StatusCode, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		ContentLength: 2, Body: io.NopCloser(bytes.NewReader([]byte("{}"))), Request: req,
	}, nil
}

// request is one call of the API, made through a builder of go-netbox.
type request struct {
	operation  string
	permission string
	parameters map[string]string
	extra      url.Values
	send       func(context.Context, *api.APIClient) error
}

// sent is what is left to say of a call of go-netbox: its answer is in the reply.
func sent(resp *http.Response, err error) error {
	if resp == nil {
		return err
	}
	return errors.Join(err, resp.Body.Close())
}

// ask sends a request, again where that may help, and returns the answer's
// body. An error is an *audit.SourceError or that of a cancelled context.
func (s *session) ask(ctx context.Context, r request) ([]byte, error) {
	call := s.call(r)
	for attempt := 1; ; attempt++ {
		answer := &reply{extra: r.extra}
		stop := s.watch.Start(r.operation)
		err := r.send(context.WithValue(ctx, replyKey{}, answer), s.api)
		call.Requests++
		if ctx.Err() != nil {
			stop(ctx.Err())
			return nil, ctx.Err()
		}
		if !answer.done {
			answer.err = cmp.Or(answer.err, err, errors.New("the request was not sent"))
		}
		failure := answer.failure(r.operation)
		if failure == nil {
			stop(nil)
			return answer.body, nil
		}
		stop(failure)
		call.Errors++
		pause, again := answer.pause(attempt)
		if !again {
			return nil, failure
		}
		if err := s.c.cfg.Wait(ctx, pause); err != nil {
			return nil, err
		}
	}
}

func (s *session) call(r request) *audit.Call {
	key := r.operation + fmt.Sprint(r.parameters)
	if s.calls[key] == nil {
		s.calls[key] = &audit.Call{Operation: r.operation, Permission: r.permission, Parameters: r.parameters}
	}
	return s.calls[key]
}

// made lists the calls, sorted.
func (s *session) made() (out []audit.Call) {
	for _, key := range slices.Sorted(maps.Keys(s.calls)) {
		out = append(out, *s.calls[key])
	}
	return out
}

// pause tells whether to ask again, and after how long.
func (r *reply) pause(attempt int) (time.Duration, bool) {
	if attempt >= attempts {
		return 0, false
	}
	if r.done {
		switch r.status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		default:
			return 0, false
		}
	} else if untrusted(r.err) {
		return 0, false
	}
	pause := time.Second << (attempt - 1)
	if seconds, err := strconv.Atoi(r.header.Get("Retry-After")); err == nil && seconds > 0 {
		pause = time.Duration(min(seconds, int(maxPause/time.Second))) * time.Second
	}
	return pause, true
}
