package remediate_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/remediate"
)

func TestEmbeddedRunbooks(t *testing.T) {
	t.Parallel()
	list, err := remediate.Load(remediate.Embedded())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range list {
		got = append(got, r.ID)
		if !r.DryRun || !r.RollBack {
			t.Errorf("%s has no dry run, or cannot be rolled back", r.ID)
		}
	}
	want := []string{
		"ec2-close-administration-ports", "ec2-encrypt-by-default", "ec2-tag-owner", "iam-deactivate-stale-key",
		"kubernetes-default-deny", "kubernetes-drop-privileges", "rds-protect-from-deletion", "s3-block-public-access", "s3-enable-versioning",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestWhatIsSomebodysNeedsAPerson: beside a policy that lets everyone in, another one changes nothing.
func TestWhatIsSomebodysNeedsAPerson(t *testing.T) {
	t.Parallel()
	list, err := remediate.Load(remediate.Embedded())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(r remediate.Runbook) bool { return r.ID == "kubernetes-default-deny" })
	for path, want := range map[string]bool{"/data/metadata/name": true, "/name": false} {
		d := audit.Found{Decision: audit.Decision{
			Control: "NET-003", Outcome: audit.Fail, Violations: []audit.Violation{{Path: path}},
		}, Origin: "kubernetes/prod", Type: "v1/Namespace"}
		if got := list[i].Repairs(d); got != want {
			t.Errorf("Repairs() of a violation at %s = %v, want %v", path, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	swap := func(old, now string) string { return strings.Replace(book, old, now, 1) }
	tests := map[string]struct{ text, want string }{
		"unknown field":          {book + "shell: true\n", "field shell not found"},
		"two documents":          {book + "---\nid: x\n", "more than one"},
		"alias":                  {swap("title: Close a bucket", "title: &a Close\nx: *a"), "aliases"},
		"no control":             {swap("[STO-001]", "[]"), "at least one"},
		"odd control":            {swap("[STO-001]", "[x]"), "no control's id"},
		"any type":               {swap(`"aws/AWS::S3::Bucket"`, `"aws/*"`), "expected source/type"},
		"unknown runner":         {swap("runner: exec", "runner: bash"), "runner"},
		"unanchored pattern":     {swap("'^[a-z0-9.-]{3,63}$'", "'[a-z]+'"), "whole value"},
		"no pattern":             {swap("pattern: '^[a-z0-9.-]{3,63}$', ", ""), "whole value"},
		"no bound":               {swap(", max: 63}", "}"), "max 0"},
		"unknown parameter":      {swap("act: {bucket: {param: bucket}}", "act: {bucket: {param: other}}"), `no parameter "other"`},
		"parameter from nowhere": {swap("from: document", "from: env"), "expected document"},
		"parameter without body": {swap("{from: document, pointer: /name, pattern: '^[a-z0-9.-]{3,63}$', max: 63}", "null"), "expected from"},
		"pointer":                {swap("pointer: /name", "pointer: name"), "begins with /"},
		"nothing to do":          {swap("act: {bucket: {param: bucket}}\n", ""), "act is required"},
		"endless wait":           {swap("wait: 1s", "wait: 100h"), "at most an hour"},
		"too large":              {book + "# " + strings.Repeat("x", 70_000), "more than"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := remediate.Parse([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse: %v, want %q", err, tt.want)
			}
		})
	}
}

func TestLoadTakesTheLaterFolder(t *testing.T) {
	t.Parallel()
	own := strings.Replace(book, "version: 1.0.0", "version: 2.0.0", 1)
	list, err := remediate.Load(fstest.MapFS{"close-bucket.yaml": {Data: []byte(book)}}, fstest.MapFS{"close-bucket.yaml": {Data: []byte(own)}})
	if err != nil || len(list) != 1 || list[0].Version != "2.0.0" || list[0].Digest != audit.Digest([]byte(own)) {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := remediate.Load(fstest.MapFS{"other.yaml": {Data: []byte(book)}}); err == nil || !strings.Contains(err.Error(), "name of its file") {
		t.Errorf("a file of another name: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*remediate.Config)
		want   string
	}{
		"unknown runbook": {func(c *remediate.Config) { c.Uses = map[string]remediate.Use{"x": {Mode: audit.ModeAuto}} }, "no such runbook"},
		"no runner":       {func(c *remediate.Config) { c.Runners = nil }, "not configured"},
		"no mode":         {using(remediate.Use{}), "expected suggest"},
		"bad window":      {using(remediate.Use{Mode: audit.ModeAuto, Windows: []remediate.Window{{From: "25:00", To: "1:00", Zone: time.UTC}}}), "expected one such as"},
		"setting is missing": {func(c *remediate.Config) {
			c.Runbooks = []remediate.Runbook{parsed(t, strings.Replace(book, "from: document, pointer: /name", "from: settings, pointer: /bucket", 1))}
		}, "with.bucket is required"},
		"setting does not fit": {func(c *remediate.Config) {
			c.Runbooks = []remediate.Runbook{parsed(t, strings.Replace(book, "from: document, pointer: /name", "from: settings, pointer: /bucket", 1))}
			c.Uses = map[string]remediate.Use{"close-bucket": {Mode: audit.ModeAuto, With: map[string]string{"bucket": "A B"}}}
		}, "does not match"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			var cfg remediate.Config
			setup(t, w, func(c *remediate.Config) { cfg = *c })
			tt.change(&cfg)
			if _, err := remediate.New(cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: %v, want %q", err, tt.want)
			}
		})
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	night := remediate.Window{Days: []string{"fri"}, From: "22:00", To: "05:00", Zone: berlin}
	day := remediate.Window{From: "09:00", To: "24:00", Zone: berlin}
	tests := map[string]struct {
		w    remediate.Window
		at   string
		want bool
	}{
		"friday evening":           {night, "2026-11-27T22:00:00+01:00", true},
		"just before":              {night, "2026-11-27T21:59:59+01:00", false},
		"saturday morning":         {night, "2026-11-28T04:59:00+01:00", true},
		"over":                     {night, "2026-11-28T05:00:00+01:00", false},
		"friday morning":           {night, "2026-11-27T04:00:00+01:00", false},
		"by the zone's own clock":  {night, "2026-11-27T21:00:00Z", true},
		"to midnight":              {day, "2026-11-27T23:59:59+01:00", true},
		"in summer it is UTC+2":    {day, "2026-07-01T07:00:00Z", true},
		"in winter it is UTC+1":    {day, "2026-12-01T07:59:00Z", false},
		"the hour that is twice":   {remediate.Window{From: "02:00", To: "03:00", Zone: berlin}, "2026-10-25T01:30:00Z", true},
		"the hour that is missing": {remediate.Window{From: "02:00", To: "03:00", Zone: berlin}, "2026-03-29T01:30:00Z", false},
		"nonsense is never open":   {remediate.Window{From: "x", To: "y", Zone: berlin}, "2026-10-25T01:30:00Z", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, err := time.Parse(time.RFC3339, tt.at)
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.w.Open(at); got != tt.want {
				t.Errorf("Open = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, not, want string }{
		"known":          {"said s3cr3t-value loudly", "s3cr3t-value", "said [redacted] loudly"},
		"password":       {`{"password": "hunter2", "user": "jo"}`, "hunter2", `"user": "jo"`},
		"env":            {"DB_PASSWORD=hunter2 next", "hunter2", "DB_PASSWORD=[redacted] next"},
		"bearer":         {"Authorization: Bearer abc.def.ghi", "abc.def", ""},
		"aws key":        {"key AKIAIOSFODNN7EXAMPLE used", "AKIAIOSFODNN7EXAMPLE", "key [redacted] used"},
		"aws secret":     {"it is wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY.", "wJalr", "it is [redacted]."},
		"jwt":            {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_x", "eyJzdWIi", ""},
		"url":            {"https://jo:pw@host/x", "jo:pw", "host/x"},
		"private key":    {"-----BEGIN RSA PRIVATE KEY-----\nabc\ndef\n-----END RSA PRIVATE KEY-----\nafter", "abc", "after"},
		"cut off key":    {"-----BEGIN PRIVATE KEY-----\nabc", "abc", ""},
		"terminal":       {"a\x1b[31mred\x07", "\x1b", "red"},
		"slack":          {"xoxb-123456789-abcdefghij", "123456789", ""},
		"digests stay":   {"decision " + strings.Repeat("0a", 32), "nothing", strings.Repeat("0a", 32)},
		"names stay":     {"did s3:PutPublicAccessBlock {\"bucket\":\"acme-logs\"}, was null", "nothing", "acme-logs"},
		"it is bounded":  {strings.Repeat("word ", 10_000), "nothing", "[cut]"},
		"broken unicode": {"a\xff\xfeb", "\xff", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := remediate.Clean(tt.in, "s3cr3t-value")
			if strings.Contains(got, tt.not) || !strings.Contains(got, tt.want) || len(got) > 9<<10 {
				t.Errorf("Clean = %q", got)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(book))
	f.Add([]byte("id: [\n"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		r, err := remediate.Parse(b)
		if err == nil {
			r.Fill(remediate.Values{"bucket": "x"})
		}
	})
}

func FuzzClean(f *testing.F) {
	f.Add("password=x", "secret")
	f.Fuzz(func(t *testing.T, s, secret string) {
		if got := remediate.Clean(s, secret); len(got) > 9<<10 {
			t.Errorf("%d bytes are kept", len(got))
		}
	})
}
