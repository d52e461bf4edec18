package aws_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/remediate"
	"github.com/crosscheck-dev/crosscheck/remediate/aws"
)

// cloud answers who asks, and keeps what else is asked: names that AWS would
// refuse must not get that far. What actions do to a real server, and how they
// are undone, is tested in cmd/crosscheck (e2e).
type cloud struct {
	mu      sync.Mutex
	account string
	asked   []string
	forms   []url.Values
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, _ := io.ReadAll(req.Body)
	form, _ := url.ParseQuery(string(b))
	if form.Get("Action") == "GetCallerIdentity" {
		_, _ = io.WriteString(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Account>`+c.account+`</Account><Arn>arn:aws:iam::1:user/x</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`)
		return
	}
	c.asked = append(c.asked, req.Method+" "+req.URL.EscapedPath()+" "+form.Get("Action"))
	c.forms = append(c.forms, form)
	switch action := form.Get("Action"); {
	case action == "DescribeDBInstances":
		_, _ = io.WriteString(w, "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances><DBInstance><DeletionProtection>false</DeletionProtection></DBInstance></DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>")
	case action == "ModifyDBInstance":
		_, _ = io.WriteString(w, "<ModifyDBInstanceResponse><ModifyDBInstanceResult/></ModifyDBInstanceResponse>")
	case action != "":
		_, _ = io.WriteString(w, "<"+action+"Response></"+action+"Response>")
	default:
		_, _ = io.WriteString(w, "<PublicAccessBlockConfiguration/>")
	}
}

func setup(t *testing.T, account string) (*cloud, *aws.Runner) {
	t.Helper()
	c := &cloud{account: account}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	r, err := aws.New(aws.Config{Accounts: []aws.Account{{ID: "111122223333", Endpoint: srv.URL, Credentials: credentials.NewStaticCredentialsProvider("FAKE", "FAKE", "")}}})
	if err != nil {
		t.Fatal(err)
	}
	return c, r
}

func call(t *testing.T, act, value string) remediate.Call {
	t.Helper()
	b, err := remediate.Parse([]byte(`id: act
version: 1.0.0
title: Act
controls: [STO-001]
types: ["aws/AWS::S3::Bucket"]
runner: aws
parameters:
  v: {from: document, pointer: /name, pattern: '^.*$', max: 4096}
act: ` + act + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return remediate.Call{Repair: "r", Runbook: b, Origin: "aws/111122223333/eu-west-1", Targets: []remediate.Values{{"v": value}}}
}

func TestHostileNamesReachNothing(t *testing.T) {
	t.Parallel()
	names := []string{
		"../other", "a/b", "bucket?acl", "bucket#x", "x y", "$(id)", "{{x}}", `"}`, "<a/>", "a&Action=DeleteUser", "x\r\nX-Evil: 1", "*", "-", "", "i-*", strings.Repeat("a", 300),
	}
	acts := []string{
		`{action: "s3:PutPublicAccessBlock", with: {bucket: {param: v}}}`,
		`{action: "s3:PutBucketVersioning", with: {bucket: {param: v}}}`,
		`{action: "ec2:RevokeSecurityGroupIngress", with: {group: {param: v}, protocol: tcp, cidr: 0.0.0.0/0}}`,
		`{action: "ec2:RevokeSecurityGroupIngress", with: {group: sg-1, protocol: tcp, cidr: {param: v}}}`,
		`{action: "ec2:RevokeSecurityGroupIngress", with: {group: sg-1, protocol: {param: v}, cidr: 0.0.0.0/0}}`,
		`{action: "ec2:RevokeSecurityGroupIngress", with: {group: sg-1, protocol: tcp, from_port: {param: v}, cidr: 0.0.0.0/0}}`,
		`{action: "ec2:CreateTags", with: {resource: {param: v}, key: owner, value: x}}`,
		`{action: "iam:UpdateAccessKey", with: {user: {param: v}, key: AKIA0000000000000000}}`,
		`{action: "rds:ModifyDBInstance", with: {database: {param: v}}}`,
	}
	for _, act := range acts {
		for _, name := range names {
			if name == "-" && strings.Contains(act, "iam") {
				continue // a user may be called that
			}
			c, r := setup(t, "111122223333")
			if _, err := r.Act(t.Context(), call(t, act, name)); err == nil {
				t.Errorf("%s with %q was done", act, name)
			}
			if len(c.asked) > 0 {
				t.Errorf("%s with %q asked %v", act, name, c.asked)
			}
		}
	}
}

// TestTextIsOneField: a tag's value may be any text, and is one field of a form.
func TestTextIsOneField(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"a&Action=TerminateInstances", "a=b;c", "$(id)", "{{x}}", `"<&>'`, "ünï", "%0d%0aX: y"} {
		c, r := setup(t, "111122223333")
		if _, err := r.Act(t.Context(), call(t, `{action: "ec2:CreateTags", with: {resource: i-0abc, key: owner, value: {param: v}}}`, value)); err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		last := c.forms[len(c.forms)-1]
		if last.Get("Tag.1.Value") != value || len(last["Action"]) != 1 || last.Get("Action") != "CreateTags" {
			t.Errorf("%q: asked with %v", value, last)
		}
	}
}

// TestPendingChangesStayPending: AWS would make them at once, were it asked to apply this one at once.
func TestPendingChangesStayPending(t *testing.T) {
	t.Parallel()
	c, r := setup(t, "111122223333")
	database := call(t, `{action: "rds:ModifyDBInstance", with: {database: {param: v}}}`, "ledger")
	before, err := r.Capture(t.Context(), database)
	if err != nil || string(before) != "[false]" {
		t.Fatalf("Capture() = %s, %v; want [false]", before, err)
	}
	if _, err := r.Act(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Undo(t.Context(), database, before); err != nil {
		t.Fatal(err)
	}
	var got []url.Values
	for _, form := range c.forms {
		if form.Get("Action") == "ModifyDBInstance" {
			got = append(got, form)
		}
	}
	want := []url.Values{modify("true"), modify("false")}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("asked to act and to undo (-got +want):\n%s", diff)
	}
}

func modify(protection string) url.Values {
	return url.Values{
		"Action": {"ModifyDBInstance"}, "Version": {"2014-10-31"},
		"DBInstanceIdentifier": {"ledger"}, "DeletionProtection": {protection},
	}
}

func TestOnlyInItsAccount(t *testing.T) {
	t.Parallel()
	const act = `{action: "s3:PutPublicAccessBlock", with: {bucket: {param: v}}}`
	c, r := setup(t, "999999999999")
	if _, err := r.Act(t.Context(), call(t, act, "logs")); err == nil || !strings.Contains(err.Error(), "999999999999") || len(c.asked) > 0 {
		t.Errorf("with the credentials of another account: %v, %v", err, c.asked)
	}
	c, r = setup(t, "111122223333")
	for _, origin := range []string{"aws/999999999999/eu-west-1", "kubernetes/prod", "aws/111122223333"} {
		x := call(t, act, "logs")
		x.Origin = origin
		if _, err := r.Act(t.Context(), x); err == nil || len(c.asked) > 0 {
			t.Errorf("in %s: %v, %v", origin, err, c.asked)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	_, r := setup(t, "1")
	for name, act := range map[string]string{
		"unknown action":  `{action: "s3:DeleteBucket", with: {bucket: x}}`,
		"unknown field":   `{action: "s3:PutPublicAccessBlock", with: {bucket: x, policy: y}}`,
		"missing field":   `{action: "s3:PutPublicAccessBlock"}`,
		"more than one":   `{action: "rds:ModifyDBInstance", with: {database: x, class: db.t4g.micro}}`,
		"beside the rest": `{action: "ec2:EnableEbsEncryptionByDefault", region: x}`,
	} {
		if err := r.Check(call(t, act, "x").Runbook); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	list, err := remediate.Load(remediate.Embedded())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range list {
		if b.Runner != "aws" {
			continue
		}
		if err := r.Check(b); err != nil {
			t.Errorf("%s: %v", b.ID, err)
		}
	}
}
