package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/web/metrics"
)

// ending is a certificate that ends at a moment, after its key as some tools write it.
func ending(t *testing.T, at time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: at.Add(-time.Hour), NotAfter: at}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte("-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
}

func jwt(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

// TestExpiring reads what files and the environment say of when credentials end.
func TestExpiring(t *testing.T) {
	at := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	dir := t.TempDir()
	cert := ending(t, at)
	write(t, filepath.Join(dir, "api.pem"), string(cert))
	write(t, filepath.Join(dir, "token"), jwt(`{"exp":1798858000}`)+"\n")
	write(t, filepath.Join(dir, "kubeconfig"), `apiVersion: v1
kind: Config
current-context: prod
contexts:
  - {name: prod, context: {cluster: c, user: both}}
  - {name: opaque, context: {cluster: c, user: opaque}}
  - {name: nobody, context: {cluster: c, user: gone}}
clusters: [{name: c, cluster: {server: "https://192.0.2.1"}}]
users:
  - {name: both, user: {client-certificate-data: `+base64.StdEncoding.EncodeToString(cert)+`, tokenFile: token}}
  - {name: opaque, user: {token: opaque-token}}
`)
	write(t, filepath.Join(dir, "aws"), "[profile people]\nsso_session = acme\nsso_account_id = 111122223333\nsso_role_name = r\n[sso-session acme]\nsso_region = eu-west-1\nsso_start_url = https://acme.awsapps.com/start\n[profile keys]\nregion = eu-west-1\n")
	t.Setenv("HOME", dir)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "aws"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "none"))
	t.Setenv("AWS_PROFILE", "")
	t.Setenv("AWS_SESSION_TOKEN", "t")
	t.Setenv("AWS_CREDENTIAL_EXPIRATION", "2026-11-26T12:00:00Z")
	path, err := ssocreds.StandardCachedTokenFilepath("acme")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, `{"accessToken":"x","expiresAt":"2026-11-26T18:00:00Z"}`)
	kube := filepath.Join(dir, "kubeconfig")
	got := expiring(configs.Config{
		Sources: configs.Sources{
			AWS:        []configs.AWS{{Account: "1", Profile: "people"}, {Account: "2", Profile: "keys"}, {Account: "3", Profile: "missing"}, {Account: "4"}},
			Kubernetes: []configs.Kubernetes{{Name: "prod", Kubeconfig: kube}, {Name: "o", Kubeconfig: kube, Context: "opaque"}, {Name: "n", Kubeconfig: kube, Context: "nobody"}, {Name: "x", Kubeconfig: kube, Context: "none"}, {Name: "i", InCluster: true}, {Name: "m", Kubeconfig: kube + "none"}},
		},
		API: configs.API{TLS: &configs.TLS{CertFile: filepath.Join(dir, "api.pem")}},
	})
	want := []metrics.Credential{
		{Source: "aws", Name: "1", Kind: "session", Expires: time.Date(2026, 11, 26, 18, 0, 0, 0, time.UTC)},
		{Source: "aws", Name: "4", Kind: "session", Expires: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)},
		{Source: "kubernetes", Name: "prod", Kind: "certificate", Expires: at},
		{Source: "kubernetes", Name: "prod", Kind: "token", Expires: time.Unix(1798858000, 0).UTC()},
		{Source: "api", Name: "tls", Kind: "certificate", Expires: at},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("expiring() (-got +want):\n%s", diff)
	}
}

func FuzzCredentials(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte(jwt(`{"exp":1e300}`)))
	f.Add([]byte(jwt(`{"exp":-1}`)))
	f.Add([]byte(jwt(`[]`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		certificateEnd(b)
		if at, ok := jwtEnd(string(b)); ok && (at.Year() < 1970 || at.Year() > 9999) {
			t.Errorf("%q ends at %s", b, at)
		}
	})
}
