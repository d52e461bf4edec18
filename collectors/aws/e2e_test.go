//go:build e2e

package aws_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/aws"
)

// motoAccount is ours alone: moto keeps accounts apart by the access key.
const motoAccount = "123456789012"

// motoEndpoint is where a fresh moto listens.
func motoEndpoint(t *testing.T) string {
	t.Helper()
	endpoint := os.Getenv("CROSSCHECK_MOTO")
	if endpoint == "" {
		t.Fatal("CROSSCHECK_MOTO is not set: start moto with `python serve.py 127.0.0.1 5555` and set CROSSCHECK_MOTO=http://127.0.0.1:5555")
	}
	return endpoint
}

func TestMoto(t *testing.T) {
	endpoint := motoEndpoint(t)
	name := fmt.Sprintf("crosscheck-%d", time.Now().UnixNano())
	cfg := sdk.Config{
		Region: "eu-central-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}
	prepare(t, cfg, name)
	c, err := aws.New(aws.Config{
		Account: motoAccount, Regions: []string{"eu-central-1", "eu-west-1"}, Endpoint: endpoint, Credentials: cfg.Credentials,
		Redactor: audit.NewRedactor([]byte("0123456789abcdef")), Log: audittest.Log(), ReportPoll: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	got := audittest.Collector(t, regional{c})
	users := &audittest.Writer{}
	if _, err := c.Collect(t.Context(), audit.Request{Origin: "aws/" + motoAccount + "/global"}, users); err != nil {
		t.Fatal(err)
	}
	bucket := got["aws/"+motoAccount+"/eu-central-1"].Find(t, "aws/"+motoAccount+"/eu-central-1/AWS::S3::Bucket/"+name)
	if bucket.Tags["owner"] != "payments" || len(bucket.Gaps) > 0 {
		t.Errorf("bucket has tags %v and gaps %v", bucket.Tags, bucket.Gaps)
	}
	database := got["aws/"+motoAccount+"/eu-central-1"].Find(t, "aws/"+motoAccount+"/eu-central-1/AWS::RDS::DBInstance/"+name)
	answer, _ := database.Data.(map[string]any)["DescribeDBInstances"].(map[string]any)
	if database.Tags["owner"] != "payments" || answer["DeletionProtection"] != true {
		t.Errorf("database has tags %v and the answer %v", database.Tags, answer)
	}
	user := users.Find(t, "aws/"+motoAccount+"/global/AWS::IAM::User/"+name)
	row, _ := user.Data.(map[string]any)["GetCredentialReport"].(map[string]any)
	if row["password_enabled"] != "false" || row["access_key_1_active"] != "true" || len(user.Gaps) > 0 {
		t.Errorf("user has the report row %v and gaps %v", row, user.Gaps)
	}
	var instances, open int
	for _, r := range got["aws/"+motoAccount+"/eu-central-1"].Resources {
		line, err := r.Line()
		if err != nil {
			t.Fatal(err)
		}
		if r.Type == "AWS::EC2::Instance" && r.Name == name {
			instances++
		}
		if r.Name == name+"-open" && bytes.Contains(line, []byte(`{"FromPort":22,"IpProtocol":"tcp","IpRanges":[{"CidrIp":"0.0.0.0/0"}]`)) {
			open++
		}
	}
	if instances != 1 || open != 1 {
		t.Errorf("found %d instances and %d open security groups named %s, want one each", instances, open, name)
	}
}

// regional leaves out the global origin: the test server says of the root user
// that it was created just now, so that no two readings are the same.
type regional struct{ *aws.Collector }

// Origins implements audit.Collector.
func (r regional) Origins() []string { return r.Collector.Origins()[1:] }

// TestMotoDenied denies one call on the real server's side of the wire.
func TestMotoDenied(t *testing.T) {
	endpoint := motoEndpoint(t)
	injected(t, endpoint, http.MethodPost, `{"match":"iam:GetAccountSummary","status":403,"code":"AccessDenied"}`)
	t.Cleanup(func() { injected(t, endpoint, http.MethodDelete, "") })
	c, err := aws.New(aws.Config{
		Account: motoAccount, Regions: []string{"eu-central-1"}, Endpoint: endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		Redactor: audit.NewRedactor([]byte("0123456789abcdef")), Log: audittest.Log(), ReportPoll: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &audittest.Writer{}
	if _, err := c.Collect(t.Context(), audit.Request{Origin: "aws/" + motoAccount + "/global"}, w); err != nil {
		t.Fatal(err)
	}
	account := w.Find(t, "aws/"+motoAccount+"/global/AWS::::Account/"+motoAccount)
	if want := "AccessDenied iam:GetAccountSummary"; account.Gaps["/data/GetAccountSummary"] != want || len(account.Gaps) != 1 {
		t.Errorf("gaps are %v, want only %q", account.Gaps, want)
	}
}

func injected(t *testing.T, endpoint, method, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, endpoint+"/x/fault", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("moto answered %s and %v: was it started by serve.py?", resp.Status, err)
	}
}

// prepare makes one of everything, all called name.
func prepare(t *testing.T, cfg sdk.Config, name string) {
	t.Helper()
	ctx := t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	buckets := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	must(buckets.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: "eu-central-1"}}))
	must(buckets.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: &name, Tagging: &s3types.Tagging{TagSet: []s3types.Tag{{Key: sdk.String("owner"), Value: sdk.String("payments")}}}}))
	users := iam.NewFromConfig(cfg)
	must(users.CreateUser(ctx, &iam.CreateUserInput{UserName: &name, Tags: []iamtypes.Tag{{Key: sdk.String("owner"), Value: sdk.String("payments")}}}))
	must(users.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name}))
	machines := ec2.NewFromConfig(cfg)
	must(machines.RunInstances(ctx, &ec2.RunInstancesInput{
		ImageId: sdk.String("ami-12c6146b"), MinCount: sdk.Int32(1), MaxCount: sdk.Int32(1),
		TagSpecifications: []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeInstance, Tags: []ec2types.Tag{{Key: sdk.String("Name"), Value: &name}}}},
	}))
	must(rds.NewFromConfig(cfg).CreateDBInstance(ctx, &rds.CreateDBInstanceInput{
		DBInstanceIdentifier: &name, DBInstanceClass: sdk.String("db.t4g.micro"), Engine: sdk.String("postgres"), AllocatedStorage: sdk.Int32(20),
		MasterUsername: sdk.String("owner"), MasterUserPassword: sdk.String("FAKE-password"), DeletionProtection: sdk.Bool(true),
		Tags: []rdstypes.Tag{{Key: sdk.String("owner"), Value: sdk.String("payments")}},
	}))
	group, err := machines.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: sdk.String(name + "-open"), Description: sdk.String("open")})
	if err != nil {
		t.Fatal(err)
	}
	must(machines.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{
		GroupId:       group.GroupId,
		IpPermissions: []ec2types.IpPermission{{IpProtocol: sdk.String("tcp"), FromPort: sdk.Int32(22), ToPort: sdk.Int32(22), IpRanges: []ec2types.IpRange{{CidrIp: sdk.String("0.0.0.0/0")}}}},
	}))
}
