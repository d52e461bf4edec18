package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

const (
	maxBody     = 64 << 10         // bytes of a request's body
	maxSigned   = 256 << 10        // and of one of Slack's, which holds the message whose button was pressed
	heavyAtOnce = 4                // requests that read a run's verdicts, and as many that start something, at once
	heavyWithin = 60 * time.Second // and how long one may take
)

// server holds what the handlers share.
type server struct {
	Config
	openapi  []byte
	heavy    chan struct{} // who reads
	starting chan struct{} // who starts something: readers do not keep them from it
	archives *archives
}

// route is one method of one path. Every one is in this table and nowhere else.
type route struct {
	method string
	path   string
	role   Role // that of the token that is needed
	handle func(*server, http.ResponseWriter, *request) error
}

// request is an authorized request.
type request struct {
	*http.Request
	token Token // zero where the route asks for none
	id    string
	rc    *http.ResponseController
}

func routes() []route {
	return []route{
		{"GET", "/healthz", anybody, (*server).health},
		{"GET", "/readyz", anybody, (*server).ready},
		{"GET", "/metrics", scraper, (*server).metrics},
		{"POST", "/slack/interactions", signed, (*server).slack},
		{"GET", "/api/v1/openapi.json", anybody, (*server).document},

		{"GET", "/api/v1/runs", Viewer, (*server).listRuns},
		{"POST", "/api/v1/runs", Operator, (*server).startRun},
		{"GET", "/api/v1/runs/{id}", Viewer, (*server).showRun},
		{"POST", "/api/v1/reaudits", Operator, (*server).startReaudit},
		{"GET", "/api/v1/jobs", Viewer, (*server).listJobs},
		{"GET", "/api/v1/jobs/{id}", Viewer, (*server).showJob},
		{"GET", "/api/v1/decisions", Viewer, (*server).listDecisions},
		{"GET", "/api/v1/decisions/{id}", Viewer, (*server).showDecision},
		{"GET", "/api/v1/violations", Viewer, (*server).listViolations},
		{"GET", "/api/v1/violations/history", Viewer, (*server).showHistory},
		{"GET", "/api/v1/controls", Viewer, (*server).listControls},
		{"GET", "/api/v1/controls/{id}", Viewer, (*server).showControl},
		{"GET", "/api/v1/packs", Auditor, (*server).listPacks},
		{"GET", "/api/v1/packs/{run}", Auditor, (*server).downloadPack},
		{"GET", "/api/v1/deliveries", Operator, (*server).listDeliveries},
		{"POST", "/api/v1/deliveries/retry", Operator, (*server).retryDeliveries},
		{"GET", "/api/v1/repairs", Viewer, (*server).listRepairs},
		{"POST", "/api/v1/repairs", Operator, (*server).requestRepair},
		{"GET", "/api/v1/repairs/{id}", Viewer, (*server).showRepair},
		{"POST", "/api/v1/repairs/{id}/approve", Approver, (*server).approveRepair},
		{"POST", "/api/v1/repairs/{id}/deny", Approver, (*server).denyRepair},
		{"POST", "/api/v1/repairs/{id}/settle", Operator, (*server).settleRepair},
		{"GET", "/api/v1/kill-switch", Viewer, (*server).showSwitch},
		{"PUT", "/api/v1/kill-switch", Operator, (*server).setSwitch},
	}
}

// handler serves the table.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range routes() {
		mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) { s.serve(rt, w, r) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		w.Header().Set("Cache-Control", "no-store")
		if r.TLS != nil {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		// The mux would redirect what is not clean, and answer what it does not know in plain text.
		if _, pattern := mux.Handler(r); pattern == "" || path.Clean(r.URL.Path) != r.URL.Path {
			s.serve(route{method: r.Method, path: "", handle: (*server).unknown}, w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// serve answers one request of one route, and its failures.
func (s *server) serve(rt route, w http.ResponseWriter, r *http.Request) {
	started := s.Now()
	out := &answer{ResponseWriter: w}
	req := &request{Request: r, id: rand.Text()}
	out.Header().Set("X-Request-Id", req.id)
	if err := s.guarded(rt, out, req); err != nil {
		s.fail(out, req, rt, err)
	}
	if s.Observe != nil {
		s.Observe(strings.TrimSpace(rt.method+" "+rt.path), out.status, s.Now().Sub(started))
	}
}

// guarded turns a fault of ours into an error.
func (s *server) guarded(rt route, w http.ResponseWriter, req *request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.Log.ErrorContext(req.Context(), "internal error, please report it", "request", req.id, "route", rt.path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errors.New("panic")
		}
	}()
	return s.do(rt, w, req)
}

func (s *server) do(rt route, w http.ResponseWriter, req *request) error {
	req.rc = http.NewResponseController(w)
	if req.ContentLength != 0 {
		_ = req.rc.SetReadDeadline(s.Now().Add(bodyWithin)) // where there is none to set, there is none
		most := int64(maxBody)
		if rt.role == signed {
			most = maxSigned
		}
		req.Body = http.MaxBytesReader(w, req.Body, most)
	}
	var err error
	if rt.role != signed { // no page can sign
		err = s.addressed(req.Request)
	}
	if err != nil {
		return err
	}
	if req.token, err = s.authorize(req.Request, rt.role); err != nil {
		return err
	}
	if rt.method != http.MethodGet && req.token.Name != "" {
		s.Log.InfoContext(req.Context(), "asked for", "request", req.id, "route", rt.method+" "+rt.path, "token", req.token.Name)
	}
	return rt.handle(s, w, req)
}

// addressed refuses what a page in a browser on this machine may be made to ask
// under a name of its own, while there is no token that it lacks.
func (s *server) addressed(r *http.Request) error {
	if len(s.Tokens) > 0 {
		return nil
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback() {
		return nil
	}
	return problem(http.StatusMisdirectedRequest, "without tokens only requests to this machine are answered", "ask for http://localhost, or configure api.tokens")
}

// fail answers an error. Where the answer has begun, the connection is broken off instead.
func (s *server) fail(w *answer, req *request, rt route, err error) {
	if w.status != 0 {
		if req.Context().Err() == nil {
			s.Log.WarnContext(req.Context(), "answer broken off", "request", req.id, "route", rt.path, "error", err.Error())
		}
		panic(http.ErrAbortHandler) // the only way to tell the client that it is not whole
	}
	known := *problemOf(err)
	known.Request = req.id
	if known.Status >= http.StatusInternalServerError && req.Context().Err() == nil {
		s.Log.ErrorContext(req.Context(), "request failed", "request", req.id, "route", rt.method+" "+rt.path, "status", known.Status, "error", err.Error())
	}
	switch known.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="crosscheck"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	body, err := audit.Canonical(known)
	if err != nil {
		body = []byte("{}")
	}
	w.WriteHeader(known.Status)
	_, _ = w.Write(append(body, '\n'))
}

// unknown answers for every path that the table does not have.
func (s *server) unknown(w http.ResponseWriter, r *request) error {
	var allow []string
	for _, rt := range routes() {
		one := http.NewServeMux()
		one.HandleFunc(rt.path, func(http.ResponseWriter, *http.Request) {})
		if _, pattern := one.Handler(r.Request); pattern == rt.path && path.Clean(r.URL.Path) == r.URL.Path {
			allow = append(allow, rt.method)
		}
	}
	if len(allow) == 0 {
		return problem(http.StatusNotFound, "there is nothing here", "/api/v1/openapi.json lists what there is")
	}
	slices.Sort(allow)
	w.Header().Set("Allow", strings.Join(slices.Compact(allow), ", "))
	return problem(http.StatusMethodNotAllowed, "this cannot be done here", "use one of "+strings.Join(allow, ", "))
}

// heavily does what reads much, when not too much else does so.
func (s *server) heavily(ctx context.Context, do func(ctx context.Context) error) error {
	return oneOf(ctx, s.heavy, do)
}

func oneOf(ctx context.Context, places chan struct{}, do func(ctx context.Context) error) error {
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	default:
		return problem(http.StatusServiceUnavailable, "too much is being read at once", "ask again in a few seconds")
	}
	ctx, stop := context.WithTimeout(ctx, heavyWithin)
	defer stop()
	return do(ctx)
}

// answer remembers whether an answer has begun.
type answer struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// reply answers with a JSON value.
func reply(w http.ResponseWriter, status int, v any) error {
	b, err := audit.Canonical(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(append(b, '\n'))
	return err
}
