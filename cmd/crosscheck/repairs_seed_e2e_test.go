//go:build e2e

package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
)

// seeded is what the servers called what was made.
type seeded struct{ group, instance string }

// seed makes what each runbook repairs.
func (l *live) seed(t *testing.T) seeded {
	t.Helper()
	l.seedCluster(t)
	cfg := l.cloud()
	ctx := t.Context()
	buckets := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	_, err := buckets.CreateBucket(ctx, &s3.CreateBucketInput{
		Bucket: &l.name, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraintEuWest1},
	})
	ok(t, err)
	_, err = buckets.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: &l.name, Tagging: &s3types.Tagging{
		TagSet: []s3types.Tag{{Key: sdk.String("data_classification"), Value: sdk.String("confidential")}},
	}})
	ok(t, err)
	machines := ec2.NewFromConfig(cfg)
	_, err = machines.DisableEbsEncryptionByDefault(ctx, &ec2.DisableEbsEncryptionByDefaultInput{})
	ok(t, err)
	group, err := machines.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: &l.name, Description: sdk.String("d")})
	ok(t, err)
	_, err = machines.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: group.GroupId, IpPermissions: []ec2types.IpPermission{{
		IpProtocol: sdk.String("tcp"), FromPort: sdk.Int32(22), ToPort: sdk.Int32(22),
		IpRanges: []ec2types.IpRange{
			{CidrIp: sdk.String("0.0.0.0/0"), Description: sdk.String("until the new office has its network; ask Jo")},
			{CidrIp: sdk.String("203.0.113.0/24"), Description: sdk.String("office")},
		},
		Ipv6Ranges: []ec2types.Ipv6Range{{CidrIpv6: sdk.String("::/0")}},
	}}})
	ok(t, err)
	images, err := machines.DescribeImages(ctx, &ec2.DescribeImagesInput{})
	ok(t, err)
	started, err := machines.RunInstances(ctx, &ec2.RunInstancesInput{ImageId: images.Images[0].ImageId, MinCount: sdk.Int32(1), MaxCount: sdk.Int32(1), InstanceType: ec2types.InstanceTypeT3Micro})
	ok(t, err)
	_, err = rds.NewFromConfig(cfg).CreateDBInstance(ctx, &rds.CreateDBInstanceInput{
		DBInstanceIdentifier: &l.name, DBInstanceClass: sdk.String("db.t4g.micro"), Engine: sdk.String("postgres"), AllocatedStorage: sdk.Int32(20),
		MasterUsername: sdk.String("owner"), MasterUserPassword: sdk.String("FAKE-password"),
	})
	ok(t, err)
	users := iam.NewFromConfig(cfg)
	_, err = users.CreateUser(ctx, &iam.CreateUserInput{UserName: &l.name})
	ok(t, err)
	clock(t, `{"days":-200}`)
	for range 2 {
		_, err = users.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &l.name})
		ok(t, err)
	}
	clock(t, `{"days":0}`)
	return seeded{sdk.ToString(group.GroupId), sdk.ToString(started.Instances[0].InstanceId)}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cloud is the account as somebody sees it who may do everything.
func (l *live) cloud() sdk.Config { return cloudOf(repairAccount) }

func cloudOf(account string) sdk.Config {
	endpoint := os.Getenv("CROSSCHECK_MOTO")
	cfg := sdk.Config{Region: "eu-west-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	cfg.Credentials = sdk.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), "arn:aws:iam::"+account+":role/owner"))
	return cfg
}

func clock(t *testing.T, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, os.Getenv("CROSSCHECK_MOTO")+"/x/clock", strings.NewReader(body))
	ok(t, err)
	resp, err := http.DefaultClient.Do(req)
	ok(t, err)
	ok(t, resp.Body.Close())
}

func (l *live) seedCluster(t *testing.T) {
	t.Helper()
	type object = map[string]any
	l.create(t, "/api/v1/namespaces", object{"metadata": object{"name": l.name}})
	labels := object{"app": "web"}
	l.create(t, "/apis/apps/v1/namespaces/"+l.name+"/deployments", object{
		"metadata": object{"name": "web"},
		"spec": object{"selector": object{"matchLabels": labels}, "template": object{"metadata": object{"labels": labels}, "spec": object{"containers": []any{
			object{"name": "web", "image": "web", "securityContext": object{"privileged": true, "runAsUser": 0}},
			object{"name": "side", "image": "side", "securityContext": object{"privileged": true}},
			object{"name": "good", "image": "good"},
		}}}},
	})
}

// create makes one object as an administrator.
func (l *live) create(t *testing.T, path string, o map[string]any) {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", os.Getenv("CROSSCHECK_KUBECONFIG"))
	ok(t, err)
	client, err := discovery.NewDiscoveryClientForConfig(cfg)
	ok(t, err)
	b, err := json.Marshal(o)
	ok(t, err)
	ok(t, client.RESTClient().Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body(b).Do(t.Context()).Error())
}
