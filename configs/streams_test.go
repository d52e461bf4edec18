package configs_test

import (
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/configs"
)

func TestStreams(t *testing.T) {
	t.Parallel()
	const sinks = head + "sources: {demo: true}\nsinks: {streams: [%]}\n"
	for given, want := range map[string]string{
		`{file: f}`:          "sinks.streams[0].name: required",
		`{name: A, file: f}`: "sinks.streams[0].name: expected a name of lower-case letters",
		`{name: a}`:          "sinks.streams[0]: expected one of file, http and kafka",
		`{name: a, file: f, http: {url: "https://x"}}`:                        "sinks.streams[0]: expected one of file, http and kafka",
		`{name: a, file: f}, {name: a, file: g}`:                              "sinks.streams[1].name: stream a is configured twice",
		`{name: a, file: f}, {name: b, file: ./f}`:                            "sinks.streams[1].file: stream a writes there: two would write over each other",
		`{name: a, http: {}}`:                                                 "sinks.streams[0].http.url: required",
		`{name: a, http: {url: "https://u:p@x"}}`:                             "sinks.streams[0].http.url: expected a URL without user",
		`{name: a, kafka: {brokers: [], topic: t}}`:                           "sinks.streams[0].kafka.brokers: expected at least one",
		`{name: a, kafka: {brokers: [kafka], topic: t}}`:                      "sinks.streams[0].kafka.brokers[0]: expected a broker such as kafka.example.com:9092",
		`{name: a, kafka: {brokers: ["h:1"]}}`:                                "sinks.streams[0].kafka.topic: required",
		`{name: a, kafka: {brokers: ["h:1"], topic: t, user: u}}`:             "sinks.streams[0].kafka: expected mechanism, user and password together",
		`{name: a, kafka: {brokers: ["h:1"], topic: t, mechanism: kerberos}}`: "mechanism: expected plain or scram-sha-256 or scram-sha-512",
	} {
		_, err := configs.Parse([]byte(strings.Replace(sinks, "%", given, 1)), "c.yaml")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", given, err, want)
		}
	}
	cfg, err := configs.Parse([]byte(strings.Replace(sinks, "%",
		`{name: a, passes: true, file: f}, {name: b, kafka: {brokers: ["h:1"], topic: t, mechanism: plain, user: u, password: {env: P}}}`, 1)), "etc/c.yaml")
	if err != nil || len(cfg.Sinks.Streams) != 2 || cfg.Sinks.Streams[0].File != "etc/f" || !cfg.Sinks.Streams[0].Passes || cfg.Sinks.Streams[1].Kafka.Topic != "t" {
		t.Errorf("Parse() = %+v, %v", cfg.Sinks.Streams, err)
	}
	if len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0], "clear text") {
		t.Errorf("warnings %q", cfg.Warnings)
	}
}
