package main

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"strings"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/web/metrics"
)

// expiring tells when credentials stop working, as far as files and the
// environment say so. Nobody is asked; what cannot be told is left out.
func expiring(cfg configs.Config) []metrics.Credential {
	var out []metrics.Credential
	add := func(source, name, kind string, at time.Time, ok bool) {
		if ok {
			out = append(out, metrics.Credential{Source: source, Name: name, Kind: kind, Expires: at.UTC()})
		}
	}
	for _, s := range cfg.Sources.AWS {
		at, ok := awsSession(s.Profile)
		add("aws", s.Account, "session", at, ok)
	}
	for _, s := range cfg.Sources.Kubernetes {
		if s.InCluster {
			continue // its token is renewed by the cluster, every hour
		}
		cert, token := kubeCredentials(s)
		at, ok := certificateEnd(cert)
		add("kubernetes", s.Name, "certificate", at, ok)
		at, ok = jwtEnd(token)
		add("kubernetes", s.Name, "token", at, ok)
	}
	if t := cfg.API.TLS; t != nil {
		at, ok := certificateEnd(small(t.CertFile))
		add("api", "tls", "certificate", at, ok)
	}
	return out
}

// small reads a file of at most a megabyte; nothing where it cannot.
func small(path string) []byte {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil
	}
	return b
}

// certificateEnd is when the first certificate of a PEM file ends: that which is shown.
func certificateEnd(b []byte) (time.Time, bool) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return time.Time{}, false
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return time.Time{}, false
		}
		return c.NotAfter, true
	}
}

// jwtEnd is when a token ends that says so itself: a JWT. It is not verified,
// which is for those who are shown it.
func jwtEnd(token string) (time.Time, bool) {
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	if err := json.Unmarshal(b, &claims); err != nil || claims.Exp < 1 || claims.Exp > 1e11 {
		return time.Time{}, false
	}
	return time.Unix(int64(claims.Exp), 0), true
}

// kubeCredentials are the client certificate and token of a kubeconfig's context.
func kubeCredentials(s configs.Kubernetes) (cert []byte, token string) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = s.Kubeconfig
	cfg, err := rules.Load()
	if err != nil {
		return nil, ""
	}
	name := s.Context
	if name == "" {
		name = cfg.CurrentContext
	}
	at, ok := cfg.Contexts[name]
	if !ok {
		return nil, ""
	}
	user, ok := cfg.AuthInfos[at.AuthInfo]
	if !ok {
		return nil, ""
	}
	if cert = user.ClientCertificateData; len(cert) == 0 {
		cert = small(user.ClientCertificate)
	}
	if token = user.Token; token == "" {
		token = string(small(user.TokenFile))
	}
	return cert, token
}

// awsSession is when a session ends: one that the environment holds, or the one
// that a person logged in to for a profile.
func awsSession(profile string) (time.Time, bool) {
	if profile == "" && os.Getenv("AWS_SESSION_TOKEN") != "" {
		at, err := time.Parse(time.RFC3339, os.Getenv("AWS_CREDENTIAL_EXPIRATION")) // as `aws configure export-credentials` sets it
		return at, err == nil
	}
	if profile == "" {
		if profile = os.Getenv("AWS_PROFILE"); profile == "" {
			profile = awsconfig.DefaultSharedConfigProfile
		}
	}
	shared, err := sharedProfile(profile)
	if err != nil {
		return time.Time{}, false
	}
	key := shared.SSOStartURL
	if shared.SSOSession != nil {
		key = shared.SSOSession.Name
	}
	if key == "" {
		return time.Time{}, false
	}
	path, err := ssocreds.StandardCachedTokenFilepath(key)
	if err != nil {
		return time.Time{}, false
	}
	var cached struct {
		ExpiresAt time.Time `json:"expiresAt"`
	}
	if json.Unmarshal(small(path), &cached) != nil || cached.ExpiresAt.IsZero() {
		return time.Time{}, false
	}
	return cached.ExpiresAt, true
}

// sharedProfile reads a profile where AWS's tools look for it.
func sharedProfile(name string) (awsconfig.SharedConfig, error) {
	return awsconfig.LoadSharedConfigProfile(context.Background(), name, func(o *awsconfig.LoadSharedConfigOptions) {
		o.ConfigFiles, o.CredentialsFiles = sharedFile("AWS_CONFIG_FILE"), sharedFile("AWS_SHARED_CREDENTIALS_FILE")
	})
}

// sharedFile is where the environment says that a file is; nil: where it usually is.
func sharedFile(variable string) []string {
	if path := os.Getenv(variable); path != "" {
		return []string{path}
	}
	return nil
}
