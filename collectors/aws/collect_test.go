package aws_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/aws"
)

const (
	globalOrigin = "aws/" + account + "/global"
	westOrigin   = "aws/" + account + "/eu-west-1"
)

// config reads an endpoint quickly: no wait of tests is worth more than milliseconds.
func config(endpoint string) aws.Config {
	return aws.Config{
		Account: account, Regions: []string{"eu-west-1", "eu-central-1"}, Endpoint: endpoint,
		Redactor: audit.NewRedactor([]byte("0123456789abcdef")), Log: audittest.Log(),
		Credentials: credentials.NewStaticCredentialsProvider("AKIATEST", "canary-secret", ""),
		MaxAttempts: 2, MaxBackoff: time.Millisecond, ReportPoll: time.Millisecond, ReportPolls: 3, Timeout: 20 * time.Second,
	}
}

func collector(t testing.TB, cfg aws.Config) *aws.Collector {
	t.Helper()
	c, err := aws.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// read collects one origin, which must not fail as a whole.
func read(t *testing.T, cfg aws.Config, origin string) (*audittest.Writer, audit.Collection) {
	t.Helper()
	w := &audittest.Writer{}
	col, _, err := audittest.Timed(t, collector(t, cfg), audit.Request{Origin: origin}, w)
	if err != nil {
		t.Fatalf("Collect(%s): %v", origin, err)
	}
	w.Sort()
	return w, col
}

func TestCollector(t *testing.T) {
	t.Parallel()
	got := audittest.Collector(t, collector(t, config(usual().start(t))))
	want := map[string]map[string]int{
		globalOrigin:                       {"AWS::::Account": 1, "AWS::IAM::User": 5},
		westOrigin:                         {"AWS::::Region": 1, "AWS::S3::Bucket": 4, "AWS::EC2::Instance": 5, "AWS::EC2::Volume": 5, "AWS::EC2::SecurityGroup": 5, "AWS::RDS::DBInstance": 5},
		"aws/" + account + "/eu-central-1": {"AWS::::Region": 1, "AWS::S3::Bucket": 1, "AWS::EC2::Instance": 5, "AWS::EC2::Volume": 5, "AWS::EC2::SecurityGroup": 5, "AWS::RDS::DBInstance": 5},
	}
	for origin, w := range got {
		types := map[string]int{}
		for _, r := range w.Resources {
			types[r.Type]++
			if len(r.Gaps) > 0 {
				t.Errorf("%s has gaps: %v", r.ID, r.Gaps)
			}
		}
		if diff := cmp.Diff(want[origin], types); diff != "" {
			t.Errorf("%s (-want +got):\n%s", origin, diff)
		}
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	e := usual()
	e.users, e.keys, e.machines = []string{"ada"}, 1, 1
	endpoint := e.start(t)
	redactor := audit.NewRedactor([]byte("0123456789abcdef"))
	token, password := redactor.Token("canary-referer"), redactor.Token("canary-password")
	tests := map[string]struct{ origin, id, want string }{
		"account": {globalOrigin, globalOrigin + "/AWS::::Account/" + account, `{
			"data":{
				"GetAccountPasswordPolicy":null,"GetAccountSummary":{"SummaryMap":{"AccountMFAEnabled":1}},
				"GetCredentialReport":{"GeneratedTime":"2026-11-21T01:00:00Z","arn":"arn:aws:iam::111122223333:root","mfa_active":"true","password_enabled":"not_supported","user":"<root_account>"},
				"GetPublicAccessBlock":null},
			"gaps":{},"id":"aws/111122223333/global/AWS::::Account/111122223333","name":"111122223333","origin":"aws/111122223333/global","redacted":[],"source":"aws","tags":{},"type":"AWS::::Account"}`},
		"user": {globalOrigin, globalOrigin + "/AWS::IAM::User/ada", `{
			"data":{
				"GetCredentialReport":{"GeneratedTime":"2026-11-21T01:00:00Z","arn":"arn:aws:iam::111122223333:user/ada","mfa_active":"false","password_enabled":"true","user":"ada"},
				"ListAccessKeys":{"AccessKeyMetadata":[{"AccessKeyId":"AKIA0","Status":"Active","UserName":"ada"}]},
				"ListMFADevices":{"MFADevices":[{"SerialNumber":"mfa0","UserName":"ada"}]},
				"ListUserTags":{"Tags":[{"Key":"key0","Value":"value0 of ada"}]},
				"ListUsers":{"Arn":"arn:aws:iam::111122223333:user/ada","CreateDate":"2026-01-02T03:04:05Z","Path":"/","UserName":"ada"}},
			"gaps":{},"id":"aws/111122223333/global/AWS::IAM::User/ada","name":"ada","origin":"aws/111122223333/global","redacted":[],"source":"aws","tags":{"key0":"value0 of ada"},"type":"AWS::IAM::User"}`},
		"region": {westOrigin, westOrigin + "/AWS::::Region/eu-west-1", `{
			"data":{"GetEbsEncryptionByDefault":{"EbsEncryptionByDefault":true}},
			"gaps":{},"id":"aws/111122223333/eu-west-1/AWS::::Region/eu-west-1","name":"eu-west-1","origin":"aws/111122223333/eu-west-1","redacted":[],"source":"aws","tags":{},"type":"AWS::::Region"}`},
		"bucket": {westOrigin, westOrigin + "/AWS::S3::Bucket/acme-a", `{
			"data":{
				"GetBucketAcl":{"Grants":[],"Owner":{"ID":"abc"}},
				"GetBucketEncryption":{"ServerSideEncryptionConfiguration":{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}},
				"GetBucketLocation":{"LocationConstraint":"eu-west-1"},"GetBucketLogging":{},"GetBucketOwnershipControls":null,
				"GetBucketPolicy":{"Policy":{"Statement":[{"Action":"s3:GetObject","Condition":{"NumericLessThan":{"s3:max-keys":10.50},"StringEquals":{"aws:Referer":"` + token + `"}},"Effect":"Allow","Principal":"*"}],"Version":"2012-10-17"}},
				"GetBucketPolicyStatus":{"PolicyStatus":{"IsPublic":true}},
				"GetBucketTagging":{"TagSet":[{"Key":"data_classification","Value":"restricted"}]},
				"GetBucketVersioning":{"Status":"Enabled"},"GetPublicAccessBlock":null,
				"ListBuckets":{"BucketRegion":"eu-west-1","CreationDate":"2026-01-02T03:04:05Z","Name":"acme-a"}},
			"gaps":{},"id":"aws/111122223333/eu-west-1/AWS::S3::Bucket/acme-a","name":"acme-a","origin":"aws/111122223333/eu-west-1",
			"redacted":["/data/GetBucketPolicy/Policy/Statement/0/Condition/StringEquals/aws:Referer"],
			"source":"aws","tags":{"data_classification":"restricted"},"type":"AWS::S3::Bucket"}`},
		"instance": {westOrigin, westOrigin + "/AWS::EC2::Instance/i-0", `{
			"data":{"DescribeInstances":{"InstanceId":"i-0","MetadataOptions":{"HttpTokens":"required"},"Tags":[{"Key":"Name","Value":"web 0"}]}},
			"gaps":{},"id":"aws/111122223333/eu-west-1/AWS::EC2::Instance/i-0","name":"web 0","origin":"aws/111122223333/eu-west-1","redacted":[],"source":"aws","tags":{"Name":"web 0"},"type":"AWS::EC2::Instance"}`},
		"volume": {westOrigin, westOrigin + "/AWS::EC2::Volume/vol-0", `{
			"data":{"DescribeVolumes":{"Encrypted":true,"Size":8,"VolumeId":"vol-0"}},
			"gaps":{},"id":"aws/111122223333/eu-west-1/AWS::EC2::Volume/vol-0","name":"vol-0","origin":"aws/111122223333/eu-west-1","redacted":[],"source":"aws","tags":{},"type":"AWS::EC2::Volume"}`},
		"security group": {westOrigin, westOrigin + "/AWS::EC2::SecurityGroup/sg-0", `{
			"data":{"DescribeSecurityGroups":{"GroupId":"sg-0","GroupName":"group 0 in eu-west-1"}},
			"gaps":{},"id":"aws/111122223333/eu-west-1/AWS::EC2::SecurityGroup/sg-0","name":"group 0 in eu-west-1","origin":"aws/111122223333/eu-west-1","redacted":[],"source":"aws","tags":{},"type":"AWS::EC2::SecurityGroup"}`},
		"database": {westOrigin, westOrigin + "/AWS::RDS::DBInstance/base-0", `{
			"data":{"DescribeDBInstances":{"DBInstanceIdentifier":"base-0","DeletionProtection":true,"PendingModifiedValues":{"MasterUserPassword":"` + password + `"},"TagList":[{"Key":"owner","Value":"payments"}]}},
			"gaps":{},"id":"aws/111122223333/eu-west-1/AWS::RDS::DBInstance/base-0","name":"base-0","origin":"aws/111122223333/eu-west-1",
			"redacted":["/data/DescribeDBInstances/PendingModifiedValues/MasterUserPassword"],"source":"aws","tags":{"owner":"payments"},"type":"AWS::RDS::DBInstance"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := read(t, config(endpoint), tt.origin)
			line, err := w.Find(t, tt.id).Line()
			if err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			if err := json.Compact(&want, []byte(tt.want)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.String(), string(line)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Every list call is served in pages of two; all of every page must arrive.
func TestPages(t *testing.T) {
	t.Parallel()
	endpoint := usual().start(t)
	users, col := read(t, config(endpoint), globalOrigin)
	west, more := read(t, config(endpoint), westOrigin)
	ada := users.Find(t, globalOrigin+"/AWS::IAM::User/ada").Data.(map[string]any)
	for operation, member := range map[string]string{"ListAccessKeys": "AccessKeyMetadata", "ListMFADevices": "MFADevices", "ListUserTags": "Tags"} {
		if got := ada[operation].(map[string]any)[member].([]any); len(got) != 5 {
			t.Errorf("%s gave %d elements, want 5", operation, len(got))
		}
	}
	want := map[string][2]int64{ // requests and items
		"iam:ListUsers": {3, 5}, "iam:ListAccessKeys": {15, 25}, "iam:ListMFADevices": {15, 25}, "iam:ListUserTags": {15, 25},
		"s3:ListBuckets": {2, 4}, "ec2:DescribeInstances": {3, 5}, "ec2:DescribeVolumes": {3, 5}, "ec2:DescribeSecurityGroups": {3, 5},
		"rds:DescribeDBInstances": {3, 5},
	}
	got := map[string][2]int64{}
	for _, c := range append(col.Calls, more.Calls...) {
		if _, ok := want[c.Operation]; ok && (c.Operation != "s3:ListBuckets" || c.Parameters["BucketRegion"] == "eu-west-1") {
			got[c.Operation] = [2]int64{c.Requests, c.Items}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if n := len(west.Resources); n != 25 {
		t.Errorf("%d documents in eu-west-1, want 25", n)
	}
}

func TestCalls(t *testing.T) {
	t.Parallel()
	_, col := read(t, config(usual().start(t)), westOrigin)
	if want := "arn:aws:iam::" + account + ":user/auditor"; col.Identity != want || !strings.HasPrefix(col.Endpoint, "127.0.0.1:") {
		t.Errorf("identity %q at %q, want %q at the test's server", col.Identity, col.Endpoint, want)
	}
	for _, c := range col.Calls {
		if c.Permission == "" && c.Operation != "sts:GetCallerIdentity" {
			t.Errorf("%s says nothing of the permission it takes", c.Operation)
		}
		if c.Errors != 0 {
			t.Errorf("%s counts %d errors: what is documented as absent is none", c.Operation, c.Errors)
		}
	}
}

// Buckets stand in their region's origin; those of no configured region are
// counted in a notice, and one whose region cannot be told is a gap.
func TestBucketRegions(t *testing.T) {
	t.Parallel()
	e := usual()
	e.mute = true // as moto and older stand-ins answer
	e.buckets = []bucket{{"a", "eu-west-1"}, {"b", "EU"}, {"c", ""}, {"d", "eu-central-1"}, {"e", "ap-south-1"}, {"f", "ap-south-1"}, {"g", "no\nregion"}}
	cfg := config(e.start(t))
	w, col := read(t, cfg, westOrigin)
	var names []string
	for _, r := range w.Resources {
		if r.Type == "AWS::S3::Bucket" {
			names = append(names, r.Name)
		}
	}
	if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" {
		t.Errorf("buckets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]audit.Gap{{Origin: westOrigin, Type: "AWS::S3::Bucket", Code: audit.Failed, Operation: "s3:GetBucketLocation"}}, col.Gaps); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	_, col = read(t, cfg, globalOrigin)
	want := []audit.Notice{
		{Code: "region_not_configured", Subject: "aws/" + account + "/ap-south-1", Message: "2 S3 bucket(s) in ap-south-1 are not audited: the region is not configured"},
		{Code: "region_not_configured", Subject: "aws/" + account + "/us-east-1", Message: "1 S3 bucket(s) in us-east-1 are not audited: the region is not configured"},
		{Code: "region_unknown", Subject: "aws/" + account, Message: "the region of 1 S3 bucket(s) could not be told: s3:GetBucketLocation failed"},
	}
	if diff := cmp.Diff(want, col.Notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
}

// Names are an account's users' to choose, within what its services allow and beyond.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	e := usual()
	e.users = []string{"a/b/../c", "line\nbreak", "\u202eevil", `quo"te`, "tab\there", strings.Repeat("x", 5000), "<root_account>"}
	e.csv = "user,arn\nsomebody,else\n"
	w, col := read(t, config(e.start(t)), globalOrigin)
	if len(col.Gaps) > 0 {
		t.Errorf("population gaps: %v", col.Gaps)
	}
	users := 0
	for i, r := range w.Resources {
		if _, err := audit.ParseResource(w.Lines[i]); err != nil {
			t.Errorf("%q: %v", r.ID, err)
		}
		if strings.ContainsAny(r.ID, "\n\t\u202e") {
			t.Errorf("id %q is not one printable line", r.ID)
		}
		if r.Type == "AWS::IAM::User" {
			users++
			if want := "Truncated iam:GetCredentialReport"; r.Gaps["/data/GetCredentialReport"] != want {
				t.Errorf("%q has gaps %v, want %q: the report has no row for it", r.ID, r.Gaps, want)
			}
		}
	}
	if users != len(e.users) {
		t.Errorf("%d users, want %d", users, len(e.users))
	}
}

// Pages shift while resources come and go: what is listed twice is one resource.
func TestListedTwice(t *testing.T) {
	t.Parallel()
	e := usual()
	e.users = []string{"ada", "ben", "ben", "cem"}
	e.csv = "user,arn\n<root_account>,r\nada,a\nben,b\ncem,c\n"
	w, col := read(t, config(e.start(t)), globalOrigin)
	if len(w.Resources) != 4 {
		t.Errorf("%d documents, want the account and three users", len(w.Resources))
	}
	for _, tc := range col.Types {
		if tc.Type == "AWS::IAM::User" && tc.Listed != 3 {
			t.Errorf("%d users counted, want 3", tc.Listed)
		}
	}
}

func TestSecretsStayHere(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	e := usual()
	e.faults = map[string]fault{"s3:GetBucketAcl": {status: 403, code: "AccessDenied"}}
	cfg := config(e.start(t))
	cfg.Log = slog.New(slog.NewJSONHandler(&log, nil))
	var seen strings.Builder
	for _, origin := range []string{globalOrigin, westOrigin} {
		w, col := read(t, cfg, origin)
		b, err := json.Marshal(col)
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(b)
		seen.Write(bytes.Join(w.Lines, nil))
	}
	seen.Write(log.Bytes())
	for _, canary := range []string{"canary-secret", "canary-referer", "canary-password"} {
		if strings.Contains(seen.String(), canary) {
			t.Errorf("%s has left the collector", canary)
		}
	}
	if n := strings.Count(log.String(), "a call failed"); n != 1 {
		t.Errorf("the log tells %d times of one cause, want once:\n%s", n, log.String())
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	e := usual()
	e.faults = map[string]fault{"iam:ListUsers": {status: 500, code: "ServiceFailure"}}
	cfg := config(e.start(t))
	cfg.MaxAttempts, cfg.MaxBackoff = 50, time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	started := time.Now()
	_, err := collector(t, cfg).Collect(ctx, audit.Request{Origin: globalOrigin}, &audittest.Writer{})
	if took := time.Since(started); err == nil || took > 10*time.Second {
		t.Errorf("Collect() = %v after %s, want the context's error at once", err, took)
	}
}
