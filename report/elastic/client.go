package elastic

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
)

// check tells what is wrong with how the cluster is reached, and reads no file.
func check(cfg Config) error {
	_, err := options(cfg)
	if err == nil {
		_, err = proxy(cfg)
	}
	return err
}

func newClient(cfg Config) (*elastictransport.Client, error) {
	list, err := options(cfg)
	if err != nil {
		return nil, err
	}
	transport, err := roundTripper(cfg)
	if err != nil {
		return nil, err
	}
	return elastictransport.NewClient(append(list, elastictransport.WithTransport(transport))...)
}

func options(cfg Config) ([]elastictransport.Option, error) {
	urls, err := addresses(cfg)
	if err != nil {
		return nil, err
	}
	out := []elastictransport.Option{
		elastictransport.WithURLs(urls...),
		elastictransport.WithUserAgent(cfg.UserAgent),
	}
	switch {
	case cfg.APIKey != "" && (cfg.Username != "" || cfg.Password != ""):
		return nil, errors.New("api_key and username exclude each other")
	case (cfg.Username == "") != (cfg.Password == ""):
		return nil, errors.New("username and password: expected both")
	case cfg.APIKey != "":
		key := cfg.APIKey
		if strings.Contains(key, ":") { // id:key, which base64 never has
			key = base64.StdEncoding.EncodeToString([]byte(key))
		}
		out = append(out, elastictransport.WithAPIKey(key))
	case cfg.Username != "":
		out = append(out, elastictransport.WithBasicAuth(cfg.Username, cfg.Password))
	}
	if len(urls) == 1 {
		out = append(out, elastictransport.WithDisableRetry()) // the outbox does that
	} else {
		out = append(out, elastictransport.WithRetry(len(urls)-1, http.StatusBadGateway))
	}
	return out, nil
}

func addresses(cfg Config) ([]*url.URL, error) {
	list := slices.Clone(cfg.URLs)
	switch {
	case cfg.CloudID != "" && len(list) > 0:
		return nil, errors.New("url and cloud_id exclude each other")
	case cfg.CloudID != "":
		address, err := addressOf(cfg.CloudID)
		if err != nil {
			return nil, fmt.Errorf("cloud_id: %w", err)
		}
		list = []string{address}
	case len(list) == 0:
		return nil, errors.New("url or cloud_id is required")
	}
	out := make([]*url.URL, len(list))
	for i, raw := range list {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, errors.New("url: expected one such as https://elastic.example.com:9200, without user and query")
		}
		out[i] = u
	}
	return out, nil
}

// addressOf decodes a cloud ID: name:base64(host$elasticsearch$kibana).
func addressOf(id string) (string, error) {
	bad := errors.New("expected one as Elastic Cloud shows it: a name, a colon and base64")
	_, encoded, ok := strings.Cut(id, ":")
	if !ok {
		return "", bad
	}
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", bad
	}
	parts := strings.Split(string(b), "$")
	if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		return "", bad
	}
	host, port, _ := strings.Cut(parts[0], ":")
	address := "https://" + parts[1] + "." + host
	if port != "" {
		address += ":" + port
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() != parts[1]+"."+host || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil ||
		strings.ContainsFunc(u.Host, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_:", r)
		}) {
		return "", bad
	}
	return address, nil
}

func proxy(cfg Config) (func(*http.Request) (*url.URL, error), error) {
	if cfg.Proxy == "" {
		return http.ProxyFromEnvironment, nil
	}
	u, err := url.Parse(cfg.Proxy)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" {
		return nil, errors.New("proxy: expected a URL such as http://proxy.example.com:3128")
	}
	return http.ProxyURL(u), nil
}

func roundTripper(cfg Config) (http.RoundTripper, error) {
	through, err := proxy(cfg)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{
		Proxy: through, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: cfg.Workers + 1, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if cfg.CAFile != "" {
		if t.TLSClientConfig.RootCAs, err = trusted(cfg.CAFile); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func trusted(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file: %s holds no certificate in PEM", file)
	}
	return pool, nil
}
