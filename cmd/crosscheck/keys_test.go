package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestRedactionKey(t *testing.T) { // not parallel: it sets where keys are
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	path := filepath.Join(dir, "crosscheck", "redaction.key")
	passing, err := passingRedactor()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("what keeps nothing has made a key")
	}
	tokens := make([]string, 8)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			r, err := redactor()
			if err != nil {
				t.Error(err)
				return
			}
			tokens[i] = r.Token("secret")
		})
	}
	wg.Wait()
	for _, got := range tokens {
		if got != tokens[0] {
			t.Fatalf("two keys were made at once: tokens %q", tokens)
		}
	}
	if passing.Token("secret") == tokens[0] {
		t.Error("a passing key is the installation's, which did not exist yet")
	}
	if again, err := passingRedactor(); err != nil || again.Token("secret") != tokens[0] {
		t.Errorf("the installation's key is not used: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "crosscheck", ".redaction-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := os.WriteFile(path, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"redactor":        func() error { _, err := redactor(); return err },
		"passingRedactor": func() error { _, err := passingRedactor(); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "short") {
			t.Errorf("%s with a damaged key: %v, want an error that names the file and not what is in it", name, err)
		}
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain text":        "plain text",
		"Grüße · 東京":        "Grüße · 東京",
		"red \x1b[31malert": `red \x1b[31malert`,
		"two\nlines":        `two\nlines`,
		"\xff":              `\xff`,
		"right\u202eleft":   `right\u202eleft`,
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
}
