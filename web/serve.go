package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
)

// The limits of a connection. A download may take longer: see downloadPack. There
// is no http.Server.ReadTimeout, which would end the context of every request
// that is answered later than it: bodies have their own deadline, see do.
const (
	headerWithin = 5 * time.Second
	bodyWithin   = 30 * time.Second
	writeWithin  = 90 * time.Second
	idleWithin   = 2 * time.Minute
	maxHeader    = 16 << 10
	maxConns     = 256
	stopWithin   = 15 * time.Second
)

// ServeConfig says where to answer, and by what.
type ServeConfig struct {
	Listen        string // host:port
	Authenticated bool   // tokens are configured: other machines may ask
	CertFile      string // with KeyFile, in PEM; empty: no TLS
	KeyFile       string
	Handler       http.Handler
	HeaderWithin  time.Duration // that the headers of a request may take, default 5 seconds
	Log           *slog.Logger
}

// Server answers requests at one address.
type Server struct {
	ln   net.Listener
	http *http.Server
}

// Listen takes the address, so that what is wrong with it is known before
// anything else begins. Serve, or Close, is called after it.
func Listen(ctx context.Context, cfg ServeConfig) (*Server, error) {
	if cfg.Handler == nil || cfg.Log == nil {
		return nil, errors.New("web: Handler and Log are required")
	}
	var secure *tls.Config
	if cfg.CertFile != "" || cfg.KeyFile != "" {
		p := &pair{cert: cfg.CertFile, key: cfg.KeyFile}
		if _, err := p.get(nil); err != nil {
			return nil, fmt.Errorf("api.tls: %w", err)
		}
		secure = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.get}
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("api.listen: %w", err)
	}
	// A name may stand for more than the configuration could see.
	if at, ok := ln.Addr().(*net.TCPAddr); !cfg.Authenticated && (!ok || !at.IP.IsLoopback()) {
		return nil, errors.Join(fmt.Errorf("api.listen: %s can be reached from other machines: configure api.tokens, or listen on 127.0.0.1", cfg.Listen), ln.Close())
	}
	ln = netutil.LimitListener(ln, maxConns)
	if secure != nil {
		ln = tls.NewListener(ln, secure)
	}
	within := cfg.HeaderWithin
	if within == 0 {
		within = headerWithin
	}
	return &Server{ln: ln, http: &http.Server{
		Handler: cfg.Handler, ReadHeaderTimeout: within, WriteTimeout: writeWithin, IdleTimeout: idleWithin,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}}, nil
}

// Addr is where it listens.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Serve answers until ctx ends, then lets what is under way end, for 15 seconds at most.
func (s *Server) Serve(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.http.Serve(s.ln) }()
	select {
	case err := <-done:
		return fmt.Errorf("api: %w", err)
	case <-ctx.Done():
	}
	within, stop := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer stop()
	err := s.http.Shutdown(within)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close() // whoever still reads has had their time
	}
	if ended := <-done; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// pair is a certificate with its key, read again when its files change.
type pair struct {
	cert, key string

	mu     sync.Mutex
	read   [2]time.Time
	loaded *tls.Certificate
}

// get implements tls.Config.GetCertificate. Where what is there now is no good,
// what was read before stays in use.
func (p *pair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var at [2]time.Time
	for i, path := range []string{p.cert, p.key} {
		info, err := os.Stat(path)
		if err != nil {
			return p.orOld(err)
		}
		at[i] = info.ModTime()
	}
	if p.loaded != nil && at == p.read {
		return p.loaded, nil
	}
	c, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		return p.orOld(err)
	}
	p.loaded, p.read = &c, at
	return p.loaded, nil
}

func (p *pair) orOld(err error) (*tls.Certificate, error) {
	if p.loaded != nil {
		return p.loaded, nil
	}
	return nil, err
}

// Current is a handler that can be replaced while requests are answered, as when
// the configuration is read again. Its zero value answers 503.
type Current struct{ at atomic.Pointer[http.Handler] }

// Set has every later request answered by h.
func (c *Current) Set(h http.Handler) { c.at.Store(&h) }

// ServeHTTP implements http.Handler.
func (c *Current) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := c.at.Load()
	if h == nil {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"crosscheck has not begun","remedy":"ask again in a few seconds"}`+"\n")
		return
	}
	(*h).ServeHTTP(w, r)
}
