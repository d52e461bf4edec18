package configs_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/crosscheck-dev/crosscheck/configs"
)

const cluster = "version: 1\nentity: E\nsystem: S\nsources: {demo: true}\nsinks:\n  elasticsearch:\n"

func TestElasticsearch(t *testing.T) {
	t.Parallel()
	got, err := configs.Parse([]byte(cluster+`    url: [https://a.example.com:9200, https://b.example.com:9200]
    api_key: {env: ELASTIC_API_KEY}
    ca_file: ca.pem
    proxy: http://proxy.example.com:3128
    namespace: prod
    retention: 800
    view: 31
    passes: true
    setup: manual
`), "c.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := &configs.Elasticsearch{
		URLs: []string{"https://a.example.com:9200", "https://b.example.com:9200"}, CAFile: "ca.pem", Proxy: "http://proxy.example.com:3128",
		Namespace: "prod", Retention: 800, View: 31, Passes: true, Manual: true,
	}
	if diff := cmp.Diff(got.Sinks.Elastic, want, cmpopts.IgnoreTypes(configs.Secret{})); diff != "" || got.Sinks.Elastic.APIKey.IsZero() || len(got.Warnings) > 0 {
		t.Errorf("Parse() (-got +want), warnings %q:\n%s", got.Warnings, diff)
	}
}

func TestElasticsearchErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"nowhere":         {"    passes: true\n", "c.yaml:7: sinks.elasticsearch.url: required, or cloud_id"},
		"no mapping":      {"    - a\n", "c.yaml:7: sinks.elasticsearch: expected a mapping"},
		"two credentials": {"    url: https://a\n    api_key: {env: A}\n    username: u\n    password: {env: P}\n", "sinks.elasticsearch.api_key: expected no username and password beside it"},
		"only a password": {"    url: https://a\n    password: {env: P}\n", "sinks.elasticsearch.username: required beside password"},
		"user in url":     {"    url: https://u:p@a\n", "c.yaml:7: sinks.elasticsearch.url: expected a URL without user"},
		"a bad node":      {"    url: [https://a, b]\n", "c.yaml:7: sinks.elasticsearch.url[1]: expected a URL"},
		"short view":      {"    url: https://a\n    view: 29\n", "c.yaml:8: sinks.elasticsearch.view: expected a number of days, at least 30"},
		"days as text":    {"    url: https://a\n    retention: a year\n", "c.yaml:8: sinks.elasticsearch.retention: expected a number of days"},
		"setup":           {"    url: https://a\n    setup: later\n", "c.yaml:8: sinks.elasticsearch.setup: expected auto or manual"},
		"unknown":         {"    url: https://a\n    index: x\n", "c.yaml:8: sinks.elasticsearch.index: unknown field"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := configs.Parse([]byte(cluster+tt.text), "c.yaml"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse() = %v, want %q", err, tt.want)
			}
		})
	}
}

// TestInTheClear: credentials that anybody on the way can read are warned of.
func TestInTheClear(t *testing.T) {
	t.Parallel()
	for url, warned := range map[string]bool{
		"http://elastic.example.com:9200": true, "https://elastic.example.com": false, "http://127.0.0.1:9200": false, "http://localhost:9200": false, "http://[::1]:9200": false,
	} {
		got, err := configs.Parse([]byte(cluster+"    url: "+url+"\n    api_key: {env: A}\n"), "c.yaml")
		if err != nil || warned != (len(got.Warnings) == 1 && strings.Contains(got.Warnings[0], "in the clear")) {
			t.Errorf("%s: warnings %q, %v", url, got.Warnings, err)
		}
	}
}
