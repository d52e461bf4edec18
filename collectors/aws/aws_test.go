package aws_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/aws"
)

func TestNew(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*aws.Config)
		want   string // part of the error; empty: none
	}{
		"as it should be":     {func(*aws.Config) {}, ""},
		"no account":          {func(c *aws.Config) { c.Account = "" }, "account"},
		"account of 13":       {func(c *aws.Config) { c.Account += "1" }, "12 digits"},
		"account of letters":  {func(c *aws.Config) { c.Account = "11112222333x" }, "12 digits"},
		"no region":           {func(c *aws.Config) { c.Regions = nil }, "regions is required"},
		"no region's name":    {func(c *aws.Config) { c.Regions = []string{"../etc"} }, `region "../etc"`},
		"global as a region":  {func(c *aws.Config) { c.Regions = []string{"global"} }, `region "global"`},
		"region twice":        {func(c *aws.Config) { c.Regions = []string{"eu-west-1", "eu-west-1"} }, "twice"},
		"no redactor":         {func(c *aws.Config) { c.Redactor = nil }, "redactor"},
		"no logger":           {func(c *aws.Config) { c.Log = nil }, "logger"},
		"a role":              {func(c *aws.Config) { c.RoleARN = "arn:aws:iam::" + account + ":role/path/auditor" }, ""},
		"another's role":      {func(c *aws.Config) { c.RoleARN = "arn:aws:iam::999988887777:role/auditor" }, "999988887777"},
		"not a role":          {func(c *aws.Config) { c.RoleARN = "auditor" }, "role_arn"},
		"an id for no role":   {func(c *aws.Config) { c.ExternalID = "x" }, "external_id"},
		"endpoint no URL":     {func(c *aws.Config) { c.Endpoint = "localhost:5555" }, "endpoint"},
		"endpoint not HTTP":   {func(c *aws.Config) { c.Endpoint = "file:///etc/passwd" }, "endpoint"},
		"regions elsewhere":   {func(c *aws.Config) { c.Regions = []string{"us-gov-west-1", "eu-isoe-west-1", "eusc-de-east-1"} }, ""},
		"tunables below zero": {func(c *aws.Config) { c.Parallel, c.MaxAttempts, c.MaxPages = -1, -1, -1 }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config("http://127.0.0.1:1")
			tt.change(&cfg)
			_, err := aws.New(cfg)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("New() = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	want := []string{globalOrigin, westOrigin, "aws/" + account + "/eu-central-1"}
	if diff := cmp.Diff(want, collector(t, config("http://127.0.0.1:1")).Origins()); diff != "" {
		t.Errorf("Origins() (-want +got):\n%s", diff)
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	want := []string{
		"ec2:DescribeInstances", "ec2:DescribeSecurityGroups", "ec2:DescribeVolumes", "ec2:GetEbsEncryptionByDefault",
		"iam:GenerateCredentialReport", "iam:GetAccountPasswordPolicy", "iam:GetAccountSummary", "iam:GetCredentialReport",
		"iam:ListAccessKeys", "iam:ListMFADevices", "iam:ListUserTags", "iam:ListUsers",
		"rds:DescribeDBInstances",
		"s3:GetAccountPublicAccessBlock", "s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetBucketLogging", "s3:GetBucketOwnershipControls",
		"s3:GetBucketPolicy", "s3:GetBucketPolicyStatus", "s3:GetBucketPublicAccessBlock", "s3:GetBucketTagging", "s3:GetBucketVersioning",
		"s3:GetEncryptionConfiguration", "s3:ListAllMyBuckets",
	}
	if diff := cmp.Diff(want, aws.Permissions()); diff != "" {
		t.Errorf("Permissions() (-want +got):\n%s", diff)
	}
}

// A role is assumed, with its external id, and everything is read as it.
func TestRole(t *testing.T) {
	t.Parallel()
	e := usual()
	cfg := config(e.start(t))
	cfg.RoleARN, cfg.ExternalID = "arn:aws:iam::"+account+":role/auditor", "42"
	c := collector(t, cfg)
	for _, origin := range c.Origins() {
		if _, err := c.Collect(t.Context(), audit.Request{Origin: origin}, &audittest.Writer{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := e.count("sts:AssumeRole"); n != 1 || !e.signed("ASIAROLE42") {
		t.Errorf("the role was assumed %d times, and used: %t; want once, for all origins", n, e.signed("ASIAROLE42"))
	}
}

// What the SDK's own environment says is heeded.
func TestEnvironment(t *testing.T) {
	e := usual()
	nothing := filepath.Join(t.TempDir(), "none")
	for key, value := range map[string]string{
		"AWS_ENDPOINT_URL": e.start(t), "AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_CONFIG_FILE": nothing, "AWS_SHARED_CREDENTIALS_FILE": nothing, "AWS_MAX_ATTEMPTS": "1",
	} {
		t.Setenv(key, value)
	}
	cfg := config("")
	cfg.Credentials = nil
	got := audittest.Collector(t, collector(t, cfg))
	if n := len(got[westOrigin].Resources); n != 25 || !e.signed("AKIAENV") {
		t.Errorf("%d documents, signed with the key of the environment: %t; want 25 and true", n, e.signed("AKIAENV"))
	}
}
