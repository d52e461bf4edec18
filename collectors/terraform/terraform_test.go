package terraform_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/terraform"
)

var redactor = audit.NewRedactor([]byte("a key for tests, nowhere else used"))

func collector(t testing.TB, cfg terraform.Config) *terraform.Collector {
	t.Helper()
	cfg.Redactor = redactor
	if cfg.Log == nil {
		cfg.Log = audittest.Log()
	}
	if cfg.Name == "" {
		cfg.Name = "test"
	}
	c, err := terraform.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func input(name, content string) terraform.Input {
	return terraform.Input{Path: name, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader([]byte(content))), nil
	}}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"state.tfstate", "state-show.json", "plan.json"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			c := collector(t, terraform.Config{Files: []string{"testdata/" + file}})
			audittest.Collector(t, c)
			audittest.Narrowed(t, c, func(typ string) string { return typ + ".none" })
		})
	}
}

// replaced is an input with one text put in place of another.
func replaced(t *testing.T, in terraform.Input, old, text string) terraform.Input {
	t.Helper()
	r, err := in.Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return input(in.Path, string(bytes.ReplaceAll(b, []byte(old), []byte(text))))
}
