package configs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/crosscheck-dev/crosscheck/configs"
)

func number(s string) json.Number { return json.Number(s) }

func token(t *testing.T, dir, value string) (configs.Secret, []string) {
	t.Helper()
	c, err := configs.Parse([]byte(head+"sources:\n  netbox:\n    - name: a\n      url: https://n\n      token: "+value+"\n"), filepath.Join(dir, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return c.Sources.NetBox[0].Token, c.Warnings
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"good": "s3cret\n", "empty": "\n", "large": strings.Repeat("x", 70_000)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("CROSSCHECK_TEST_TOKEN", "s3cret")
	tests := map[string]struct{ value, want, err string }{
		"env":        {"{env: CROSSCHECK_TEST_TOKEN}", "s3cret", ""},
		"env unset":  {"{env: CROSSCHECK_TEST_NONE}", "", "sources.netbox[0].token: environment variable CROSSCHECK_TEST_NONE is not set"},
		"file":       {"{file: good}", "s3cret", ""},
		"no file":    {"{file: none}", "", "no such file"},
		"empty file": {"{file: empty}", "", "is empty"},
		"large file": {"{file: large}", "", "more than 65536 bytes"},
		"inline":     {"s3cret", "s3cret", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, warnings := token(t, dir, tt.value)
			got, err := s.Reveal()
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Reveal() = %q, %v; want %q, %q", got, err, tt.want, tt.err)
			}
			if (name == "inline") != (len(warnings) == 1 && strings.Contains(warnings[0], "c.yaml:8: sources.netbox[0].token")) {
				t.Errorf("warnings: %q", warnings)
			}
			if strings.Contains(strings.Join(warnings, ""), "s3cret") {
				t.Errorf("a warning holds the secret: %q", warnings)
			}
		})
	}
	var none configs.Secret
	if _, err := none.Reveal(); err == nil || !none.IsZero() {
		t.Errorf("Reveal() of nothing: %v", err)
	}
}

func TestSecretIsNeverShown(t *testing.T) {
	t.Parallel()
	s, _ := token(t, t.TempDir(), "s3cret")
	holder := struct {
		Token configs.Secret
		List  []*configs.Secret
	}{s, []*configs.Secret{&s}}
	var buf bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&buf, verb, s)
		fmt.Fprintf(&buf, verb, &s)
		fmt.Fprintf(&buf, verb, holder)
	}
	b, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	buf.Write(b)
	if b, err = yaml.Marshal(holder); err != nil {
		t.Fatal(err)
	}
	buf.Write(b)
	for _, h := range []slog.Handler{slog.NewTextHandler(&buf, nil), slog.NewJSONHandler(&buf, nil)} {
		slog.New(h).Info("m", "token", s, "pointer", &s, "holder", holder)
	}
	for _, form := range []string{"s3cret", fmt.Sprintf("%x", "s3cret")} {
		if strings.Contains(buf.String(), form) {
			t.Errorf("the secret is shown:\n%s", buf.String())
		}
	}
}
