package evidence_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/crosscheck-dev/crosscheck/evidence"
)

func TestLoadSignerMakesOneKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "signing.pem")
	prints := make([]string, 8)
	var wg sync.WaitGroup
	for i := range prints {
		wg.Go(func() {
			if s, err := evidence.LoadSigner(path); err != nil {
				t.Error(err)
			} else {
				prints[i] = s.Fingerprint()
			}
		})
	}
	wg.Wait()
	for _, p := range prints {
		if p != prints[0] || len(p) != 64 {
			t.Errorf("fingerprints %v, want one", prints)
			break
		}
	}
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v (%v), want %v", p, info.Mode(), err, want)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("%d files beside the key (%v)", len(entries), err)
	}
}

func TestLoadSignerRefuses(t *testing.T) {
	t.Parallel()
	good := filepath.Join(t.TempDir(), "good.pem")
	if _, err := evidence.LoadSigner(good); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		content []byte
		mode    os.FileMode
		says    string
	}{
		"readable by others": {content, 0o644, "chmod 600"},
		"readable by group":  {content, 0o640, "chmod 600"},
		"empty":              {nil, 0o600, "PRIVATE KEY"},
		"text":               {[]byte("hello"), 0o600, "PRIVATE KEY"},
		"two keys":           {append(content, content...), 0o600, "one PEM block"},
		"not PKCS#8":         {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), 0o600, "PKCS#8"},
		"other algorithm":    {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600, "Ed25519"},
		"huge":               {make([]byte, 1<<20), 0o600, "larger"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key.pem")
			write(t, path, tt.content)
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := evidence.LoadSigner(path)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("LoadSigner() = %v, want an error with %q", err, tt.says)
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(tt.content) {
				t.Error("the file was changed")
			}
		})
	}
}
