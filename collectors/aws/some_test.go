package aws_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
)

// none is what no account has.
func none(string) string { return "none" }

func TestNarrowed(t *testing.T) {
	t.Parallel()
	audittest.Narrowed(t, collector(t, config(usual().start(t))), none)
}

// TestCallsOfOneResource counts what one resource costs: never an account.
func TestCallsOfOneResource(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		origin, resource string
		want             map[string]int
	}{
		"bucket": {westOrigin, "AWS::S3::Bucket/acme-c", map[string]int{
			"sts:GetCallerIdentity": 1, "s3:ListBuckets": 1, "s3:GetBucketLocation": 1, "s3:GetBucketEncryption": 1, "s3:GetBucketVersioning": 1,
			"s3:GetBucketLogging": 1, "s3:GetBucketTagging": 1, "s3:GetPublicAccessBlock": 1, "s3:GetBucketPolicyStatus": 1, "s3:GetBucketAcl": 1,
			"s3:GetBucketPolicy": 1, "s3:GetBucketOwnershipControls": 1,
		}},
		"instance":       {westOrigin, "AWS::EC2::Instance/i-3", map[string]int{"sts:GetCallerIdentity": 1, "ec2:DescribeInstances": 1}},
		"volume":         {westOrigin, "AWS::EC2::Volume/vol-3", map[string]int{"sts:GetCallerIdentity": 1, "ec2:DescribeVolumes": 1}},
		"security group": {westOrigin, "AWS::EC2::SecurityGroup/sg-3", map[string]int{"sts:GetCallerIdentity": 1, "ec2:DescribeSecurityGroups": 1}},
		"database":       {westOrigin, "AWS::RDS::DBInstance/base-3", map[string]int{"sts:GetCallerIdentity": 1, "rds:DescribeDBInstances": 1}},
		"region":         {westOrigin, "AWS::::Region/eu-west-1", map[string]int{"sts:GetCallerIdentity": 1, "ec2:GetEbsEncryptionByDefault": 1}},
		"user": {globalOrigin, "AWS::IAM::User/cem", map[string]int{ // pages of two
			"sts:GetCallerIdentity": 1, "iam:ListUsers": 3, "iam:GenerateCredentialReport": 1, "iam:GetCredentialReport": 1,
			"iam:ListAccessKeys": 3, "iam:ListMFADevices": 3, "iam:ListUserTags": 3,
		}},
		"account": {globalOrigin, "AWS::::Account/" + account, map[string]int{
			"sts:GetCallerIdentity": 1, "iam:GetAccountSummary": 1, "iam:GetAccountPasswordPolicy": 1, "s3control:GetPublicAccessBlock": 1,
			"iam:GenerateCredentialReport": 1, "iam:GetCredentialReport": 1,
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := usual()
			w := &audittest.Writer{}
			req := audit.Request{Origin: tt.origin, Resources: []string{tt.origin + "/" + tt.resource}}
			col, err := collector(t, config(e.start(t))).Collect(t.Context(), req, w)
			if err != nil || len(w.Resources) != 1 || len(col.Absent)+len(col.Gaps) > 0 {
				t.Errorf("%d documents, absent %v, gaps %v, %v", len(w.Resources), col.Absent, col.Gaps, err)
			}
			if diff := cmp.Diff(e.asked, tt.want); diff != "" {
				t.Errorf("calls (-got +want):\n%s", diff)
			}
		})
	}
}

// TestNotThereIsNotDenied tells what is gone from what nobody may see.
func TestNotThereIsNotDenied(t *testing.T) {
	t.Parallel()
	denied := fault{status: 403, code: "AccessDenied"}
	tests := map[string]struct {
		faults   map[string]fault
		resource string
		absent   bool
		gap      string
	}{
		"bucket is gone":             {nil, "AWS::S3::Bucket/acme-z", true, ""},
		"bucket is in another place": {nil, "AWS::S3::Bucket/acme-d", true, ""},
		"buckets may not be listed":  {map[string]fault{"s3:ListBuckets": denied}, "AWS::S3::Bucket/acme-a", false, "AWS::S3::Bucket AccessDenied s3:ListBuckets"},
		"group is gone":              {nil, "AWS::EC2::SecurityGroup/sg-99", true, ""},
		"groups may not be listed":   {map[string]fault{"ec2:DescribeSecurityGroups": {status: 403, code: "UnauthorizedOperation"}}, "AWS::EC2::SecurityGroup/sg-99", false, "AWS::EC2::SecurityGroup AccessDenied ec2:DescribeSecurityGroups"},
		"database is gone":           {nil, "AWS::RDS::DBInstance/base-99", true, ""},
		"databases are denied":       {map[string]fault{"rds:DescribeDBInstances": denied}, "AWS::RDS::DBInstance/base-3", false, "AWS::RDS::DBInstance AccessDenied rds:DescribeDBInstances"},
		"another region":             {nil, "AWS::::Region/us-east-1", true, ""},
		"a wildcard is no id":        {nil, "AWS::EC2::Volume/vol-*", true, ""},
		"a type that is not read":    {nil, "AWS::SQS::Queue/q", false, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := usual()
			e.faults = tt.faults
			w := &audittest.Writer{}
			id := westOrigin + "/" + tt.resource
			col, err := collector(t, config(e.start(t))).Collect(t.Context(), audit.Request{Origin: westOrigin, Resources: []string{id}}, w)
			if err != nil || len(w.Resources) > 0 {
				t.Fatalf("%d documents, %v", len(w.Resources), err)
			}
			if got := slices.Contains(col.Absent, id); got != tt.absent {
				t.Errorf("absent: %v, want %v", col.Absent, tt.absent)
			}
			var gaps []string
			for _, g := range col.Gaps {
				gaps = append(gaps, g.Type+" "+g.Code.Reason(g.Operation))
			}
			if got := strings.Join(gaps, "; "); got != tt.gap {
				t.Errorf("gaps %q, want %q", got, tt.gap)
			}
		})
	}
}

// TestIdsThatAreQuoted asks for a user whose name an id renders otherwise.
func TestIdsThatAreQuoted(t *testing.T) {
	t.Parallel()
	e := usual()
	e.users = append(e.users, "zed\u202ee", `"quoted"`)
	audittest.Narrowed(t, collector(t, config(e.start(t))), none)
}
