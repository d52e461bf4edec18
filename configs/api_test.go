package configs_test

import (
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/configs"
)

const apiHead = "version: 1\nentity: E\nsystem: S\nsources: {demo: true}\n"

func TestAPI(t *testing.T) {
	t.Parallel()
	const token = "tokens: [{name: jo, roles: [viewer], token: {env: T}}]"
	tests := map[string]struct {
		api  string
		want string // in the error; empty: none
		warn string
	}{
		"left out":                {"", "", ""},
		"loopback without tokens": {"api: {listen: '127.0.0.1:9'}", "", ""},
		"loopback of version 6":   {"api: {listen: '[::1]:9'}", "", ""},
		"localhost":               {"api: {listen: 'localhost:9'}", "", ""},
		"everybody, no tokens":    {"api: {listen: '0.0.0.0:8484'}", "c.yaml:5: api.listen: 0.0.0.0:8484 can be reached", ""},
		"all interfaces":          {"api: {listen: ':8484'}", "api.listen:", ""},
		"everybody of version 6":  {"api: {listen: '[::]:8484'}", "api.listen:", ""},
		"mapped loopback":         {"api: {listen: '[::ffff:127.0.0.1]:8484'}", "", ""},
		"a name":                  {"api: {listen: 'audit.example.com:8484'}", "configure api.tokens", ""},
		"not quite loopback":      {"api: {listen: '127.0.0.1.example.com:8484'}", "configure api.tokens", ""},
		"everybody, tokens":       {"api: {listen: '0.0.0.0:8484', " + token + "}", "", "api.listen: tokens go over the network in clear"},
		"everybody, tokens, TLS":  {"api: {listen: '0.0.0.0:8484', " + token + ", tls: {cert_file: c, key_file: k}}", "", ""},
		"no port":                 {"api: {listen: '127.0.0.1'}", "api.listen: expected an address", ""},
		"port too high":           {"api: {listen: '127.0.0.1:65536'}", "api.listen: expected an address", ""},
		"a list":                  {"api: {listen: []}", "api.listen: expected an address", ""},
		"unknown role":            {"api: {tokens: [{name: jo, roles: [admin], token: {env: T}}]}", "api.tokens[0].roles[0]: expected viewer or auditor", ""},
		"no role":                 {"api: {tokens: [{name: jo, token: {env: T}}]}", "api.tokens[0].roles: required", ""},
		"empty roles":             {"api: {tokens: [{name: jo, roles: [], token: {env: T}}]}", "api.tokens[0].roles: required", ""},
		"no token":                {"api: {tokens: [{name: jo, roles: [viewer]}]}", "api.tokens[0].token: required", ""},
		"twice":                   {"api: {tokens: [{name: jo, roles: [viewer], token: {env: T}}, {name: jo, roles: [viewer], token: {env: U}}]}", "api.tokens[1].name: two tokens are called jo", ""},
		"half of TLS":             {"api: {tls: {cert_file: c}}", "api.tls.key_file: required", ""},
		"unknown field":           {"api: {cors: true}", "api.cors: unknown field", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := configs.Parse([]byte(apiHead+tt.api), "c.yaml")
			switch {
			case tt.want == "" && err != nil:
				t.Fatal(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			if got := strings.Join(c.Warnings, "\n"); err == nil && (tt.warn == "") != (got == "") || !strings.Contains(got, tt.warn) {
				t.Errorf("warnings %q, want %q", got, tt.warn)
			}
			if tt.api == "" && c.API.Listen != "127.0.0.1:8484" {
				t.Errorf("listens on %q", c.API.Listen)
			}
		})
	}
}

func TestAPITokenIsHidden(t *testing.T) {
	t.Parallel()
	c, err := configs.Parse([]byte(apiHead+"api: {tokens: [{name: jo, roles: [viewer], token: sesame-sesame-sesame}]}"), "c.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 1 || strings.Contains(c.Warnings[0], "sesame") {
		t.Errorf("warnings %q", c.Warnings)
	}
}
