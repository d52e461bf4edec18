package configs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/crosscheck-dev/crosscheck/configs"
)

// TestSlackExample reads the example's section, which is a comment there.
func TestSlackExample(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("crosscheck.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(b), "  # slack:\n")
	if !ok {
		t.Fatal("the example has no section for Slack")
	}
	text := head + "sources: {demo: true}\nsinks:\n  slack:\n"
	for line := range strings.SplitSeq(section, "\n") {
		rest, ok := strings.CutPrefix(line, "  # ")
		if !ok {
			break
		}
		text += "  " + rest + "\n"
	}
	text += strings.TrimPrefix(regexp.MustCompile(`(?m)^# nudges: .*$`).FindString(string(b)), "# ") + "\n"
	got, err := configs.Parse([]byte(text), "c.yaml")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	want := configs.Slack{
		Channel: "C0123456789", Alert: "channel", Details: 200, Owners: map[string]string{"payments": "U0123456789"},
		People: map[string]configs.SlackPerson{"U0123456789": {Name: "jo@example.com", Roles: []string{"approver"}}},
	}
	if diff := cmp.Diff(*got.Sinks.Slack, want, cmpopts.IgnoreTypes(configs.Secret{})); diff != "" {
		t.Errorf("sinks.slack (-got +want):\n%s", diff)
	}
	if got.Sinks.Slack.Token.IsZero() || got.Sinks.Slack.SigningSecret.IsZero() || !got.Sinks.Slack.Webhook.IsZero() {
		t.Error("its secrets are not those written")
	}
	if got.Nudges != (configs.Nudges{Times: 3, Days: 7}) {
		t.Errorf("nudges: %+v", got.Nudges)
	}
}

func TestSlackErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ slack, want string }{
		"nothing":            {"{}", "sinks.slack: expected one of webhook and token"},
		"both":               {"{webhook: {env: W}, token: {env: T}, channel: C012345}", "sinks.slack: expected one of webhook and token"},
		"token, no channel":  {"{token: {env: T}}", "sinks.slack.channel: required with a token"},
		"webhook, channel":   {"{webhook: {env: W}, channel: C012345}", "sinks.slack.channel: a webhook posts to"},
		"channel":            {"{token: {env: T}, channel: \"<!here>\"}", "sinks.slack.channel: expected the id"},
		"owner":              {"{webhook: {env: W}, owners: {payments: \"@jo\"}}", "sinks.slack.owners.payments: expected the id of a user"},
		"owners":             {"{webhook: {env: W}, owners: [a]}", "sinks.slack.owners: expected a mapping of owners to ids, got a list"},
		"alert":              {"{webhook: {env: W}, alert: everyone}", "sinks.slack.alert: expected channel, here, none"},
		"person":             {"{webhook: {env: W}, people: {jo: {name: jo}}}", "sinks.slack.people.jo: expected the id of a user"},
		"role":               {"{webhook: {env: W}, people: {U012345: {name: jo, roles: [boss]}}}", "roles[0]: expected viewer or auditor or operator or approver"},
		"nobody approves":    {"{webhook: {env: W}, signing_secret: {env: S}, people: {U012345: {name: jo, roles: [viewer]}}}", "sinks.slack.people: with a signing secret, expected somebody with the role approver"},
		"a nameless person":  {"{webhook: {env: W}, people: {U012345: {roles: [approver]}}}", "people.U012345.name: required"},
		"details":            {"{webhook: {env: W}, details: 0}", "sinks.slack.details: expected a whole number from 1 to 2000"},
		"details of nothing": {"{webhook: {env: W}, details: many}", "sinks.slack.details: expected a whole number"},
		"misspelt":           {"{webhok: {env: W}}", "did you mean webhook?"},
	}
	for name, tt := range tests {
		_, err := configs.Parse([]byte(head+"sources: {demo: true}\nsinks: {slack: "+tt.slack+"}\n"), "c.yaml")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	for _, text := range []string{"times: 1", "days: 0", "days: week", "off: 1", "often: 2"} {
		if _, err := configs.Parse([]byte(head+"sources: {demo: true}\nnudges: {"+text+"}\n"), "c.yaml"); err == nil {
			t.Errorf("nudges: {%s}: no error", text)
		}
	}
}
