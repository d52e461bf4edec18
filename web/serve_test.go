package web_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/web"
)

// serve answers on a free port until the test ends.
func serve(t *testing.T, change func(*web.ServeConfig)) *web.Server {
	t.Helper()
	cfg := web.ServeConfig{Listen: "127.0.0.1:0", Handler: newSite(t, nil).handler, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	s, err := web.Listen(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestListenNamesTheField(t *testing.T) {
	t.Parallel()
	handler := http.NotFoundHandler()
	log := slog.New(slog.DiscardHandler)
	for name, tt := range map[string]struct {
		cfg  web.ServeConfig
		want string
	}{
		"for everybody":    {web.ServeConfig{Listen: ":0"}, "configure api.tokens"},
		"no such address":  {web.ServeConfig{Listen: "192.0.2.1:1", Authenticated: true}, "api.listen:"},
		"no certificate":   {web.ServeConfig{Listen: "127.0.0.1:0", CertFile: "/nonexistent/c.pem", KeyFile: "k"}, "api.tls:"},
		"half of its pair": {web.ServeConfig{Listen: "127.0.0.1:0", KeyFile: "k"}, "api.tls:"},
	} {
		tt.cfg.Handler, tt.cfg.Log = handler, log
		if _, err := web.Listen(t.Context(), tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := web.Listen(t.Context(), web.ServeConfig{Listen: ":0", Authenticated: true, Handler: handler, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	over, end := context.WithCancel(t.Context())
	end()
	if err := s.Serve(over); err != nil {
		t.Error(err)
	}
}

// TestSlowHeaders has a client that never ends its headers cut off. Nothing is
// timed: the test waits until it is.
func TestSlowHeaders(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *web.ServeConfig) { c.HeaderWithin = 20 * time.Millisecond })
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1.1 4") || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("%q, %v", answer, err)
	}
}

// TestSlowBody has a client that never ends its body cut off: by the clock of
// the handler the time for it is over at once.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *web.ServeConfig) {
		c.Handler = newSite(t, func(c *web.Config) { c.Now = func() time.Time { return asOf.AddDate(-1, 0, 0) } }).handler
	})
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "POST /api/v1/reaudits HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+secrets[web.Operator]+
		"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 4") || err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestLargeHeaders(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	go func() {
		_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Large: "+strings.Repeat("a", 64<<10)+"\r\n\r\n")
	}()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, " 431 ") {
		t.Errorf("%q, %v", line, err)
	}
}

// TestOverTheWire asks over a real connection, also what only a raw request can hold.
func TestOverTheWire(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for target, want := range map[string]string{
		"/healthz": " 200 ", "/api/v1/runs/..%2f..%2fetc%2fpasswd": " 404 ", "/api/v1/runs/%00": " 404 ", "/../../etc/passwd": " 404 ", "http://evil/healthz": " 200 ", "*": " 4",
	} {
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+secrets[web.Viewer]+"\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if line, _, _ := strings.Cut(string(answer), "\n"); err != nil || !strings.Contains(line, want) || strings.Contains(string(answer), "root:") {
			t.Errorf("%s: %q, %v", target, answer, err)
		}
		_ = conn.Close()
	}
}

// certificate writes a pair that calls itself name.
func certificate(t *testing.T, dir, name string, at time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"c.pem": {Type: "CERTIFICATE", Bytes: cert}, "k.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		path := filepath.Join(dir, file)
		if err := errors.Join(os.WriteFile(path, pem.EncodeToMemory(block), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTLS has a renewed certificate in use without a restart, and a broken one not.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate(t, dir, "first", asOf)
	s := serve(t, func(c *web.ServeConfig) {
		c.CertFile, c.KeyFile = filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	})
	peer := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{InsecureSkipVerify: true}) // the name is what is tested
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := peer(); got != "first" {
		t.Errorf("serves %s", got)
	}
	certificate(t, dir, "second", asOf.Add(time.Minute))
	if got := peer(); got != "second" {
		t.Errorf("after the renewal serves %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "c.pem"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := peer(); got != "second" {
		t.Errorf("after a torn renewal serves %s", got)
	}
	if _, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Get("https://" + s.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

func TestCurrent(t *testing.T) {
	t.Parallel()
	c := &web.Current{}
	s := serve(t, func(cfg *web.ServeConfig) { cfg.Handler = c })
	code := func() int {
		t.Helper()
		resp, err := http.Get("http://" + s.Addr().String() + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if got := code(); got != 503 {
		t.Errorf("before: %d", got)
	}
	c.Set(newSite(t, nil).handler)
	if got := code(); got != 200 {
		t.Errorf("after: %d", got)
	}
}
