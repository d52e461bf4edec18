package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/configs"
)

const repairing = head + `sources: {demo: true}
remediation:
  runbooks: books
  approvers: [user:jo, "token:slack-bot", "uid:1001"]
  request_ttl: 48h
  approval_ttl: 1h
  failures: 2
  stop_file: /run/stop
  aws: [{account: "111122223333", region: eu-west-1, role: {arn: "arn:aws:iam::111122223333:role/repair"}}]
  kubernetes: [{name: prod, context: repair}]
  webhooks: [{name: fixer, url: https://fix.example/hook, secret: {env: FIX}}]
  exec: {programs: [/usr/local/bin/fix], env: {TOKEN: {env: T}}}
  use:
    a-b:
      mode: approve
      max_targets: 3
      max_percent: 20
      origins: {allow: ["aws/*"], deny: ["aws/9*"]}
      namespaces: {deny: [kube-*]}
      tags: {deny: [repair=never]}
      windows: [{days: [mon, fri], from: "22:00", to: "04:00", zone: Europe/Berlin}, {from: "01:00", to: "24:00"}]
      with: {owner: platform}
    c-d: {mode: suggest}
`

func TestRemediation(t *testing.T) {
	t.Parallel()
	c, err := configs.Parse([]byte(repairing), "/etc/c.yaml")
	if err != nil {
		t.Fatal(err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	r := c.Remediation
	want := configs.Use{
		Mode: "approve", MaxTargets: 3, MaxPercent: 20, Origins: configs.AllowDeny{Allow: []string{"aws/*"}, Deny: []string{"aws/9*"}},
		Namespaces: configs.AllowDeny{Deny: []string{"kube-*"}}, Tags: configs.AllowDeny{Deny: []string{"repair=never"}},
		Windows: []configs.Window{{Days: []string{"mon", "fri"}, From: "22:00", To: "04:00", Zone: berlin}, {From: "01:00", To: "24:00", Zone: time.UTC}},
		With:    map[string]string{"owner": "platform"},
	}
	if diff := cmp.Diff(r.Use["a-b"], want, cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })); diff != "" {
		t.Errorf("Use (-got +want):\n%s", diff)
	}
	if r.Runbooks != "/etc/books" || r.RequestTTL != 48*time.Hour || r.ApprovalTTL != time.Hour || r.Failures != 2 || len(r.Approvers) != 3 ||
		r.AWS[0].Regions[0] != "eu-west-1" || r.Kubernetes[0].Context != "repair" || r.Webhooks[0].Name != "fixer" || r.Exec.Programs[0] != "/usr/local/bin/fix" {
		t.Errorf("Remediation = %+v", r)
	}
	if c, err := configs.Parse([]byte(head+"sources: {demo: true}\n"), "c.yaml"); err != nil || c.Remediation != nil {
		t.Errorf("without a section: %+v, %v", c.Remediation, err)
	}
}

func TestRemediationRefuses(t *testing.T) {
	t.Parallel()
	swap := func(old, now string) string { return strings.Replace(repairing, old, now, 1) }
	for name, tt := range map[string]struct{ text, want string }{
		"unknown field":      {swap("failures: 2", "shell: true"), "remediation.shell: unknown field"},
		"mode":               {swap("mode: approve", "mode: yes!"), "use.a-b.mode: expected suggest or approve or auto"},
		"no mode":            {swap("c-d: {mode: suggest}", "c-d: {}"), "use.c-d.mode: required"},
		"nobody approves":    {swap(`approvers: [user:jo, "token:slack-bot", "uid:1001"]`, "approvers: []"), "approvers: expected at least one"},
		"odd approver":       {swap("user:jo", "jo"), "approvers[0]: expected user:NAME"},
		"odd runbook":        {swap("    a-b:", "    ../x:"), "the id of a runbook"},
		"percent":            {swap("max_percent: 20", "max_percent: 120"), "from 1 to 100"},
		"nothing is allowed": {swap(`allow: ["aws/*"]`, "allow: []"), "expected at least one"},
		"day":                {swap("[mon, fri]", "[monday]"), "days[0]: expected mon"},
		"time":               {swap(`"22:00"`, `"25:00"`), "expected a time such as 22:00"},
		"zone":               {swap("Europe/Berlin", "Mars/Olympus"), "expected a time zone"},
		"local zone":         {swap("Europe/Berlin", "Local"), "expected a time zone"},
		"no window":          {swap(`from: "01:00", to: "24:00"`, `from: "01:00"`), "two different times"},
		"program":            {swap("[/usr/local/bin/fix]", "[fix]"), "expected an absolute path"},
		"environment":        {swap("TOKEN: {env: T}", "A-B: {env: T}"), "name of an environment variable"},
		"no secret":          {swap(", secret: {env: FIX}", ""), "webhooks[0].secret: required"},
		"ttl":                {swap("48h", "1s"), "expected a time span"},
		"account":            {swap(`"111122223333", region`, `"1", region`), "12 digits"},
		"no mapping":         {swap("with: {owner: platform}", "with: [x]"), "with: expected a mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := configs.Parse([]byte(tt.text), "c.yaml"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse: %v, want %q", err, tt.want)
			}
		})
	}
}

// TestRemediationOfTheExample takes the example's lines out of their comment.
func TestRemediationOfTheExample(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("crosscheck.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	before, section, ok := strings.Cut(string(b), "\n# remediation:")
	if !ok {
		t.Fatal("the example says nothing of remediation")
	}
	section, rest, _ := strings.Cut(section, "\n\n")
	text := before + "\nremediation:" + strings.ReplaceAll(section, "\n#", "\n") + "\n" + rest
	text = strings.ReplaceAll(text, "{env: NETBOX_TOKEN}", "{file: x}")
	c, err := configs.Parse([]byte(text), filepath.Join(t.TempDir(), "c.yaml"))
	if err != nil || c.Remediation.Use["s3-block-public-access"].Mode != "approve" || len(c.Remediation.Use) != 2 {
		t.Errorf("%+v, %v", c.Remediation, err)
	}
}
