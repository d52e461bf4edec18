package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// action is one call with its inverse.
type action struct {
	needs, takes []string                                         // of act.with
	capture      func(ctx context.Context, u use) (any, error)    // what undo puts back; JSON
	do           func(ctx context.Context, u use, dry bool) error // dry: asks whether it may, or does nothing
	undo         func(ctx context.Context, u use, before json.RawMessage) error
}

// actions are all that this runner can do.
var actions = map[string]action{
	"s3:PutPublicAccessBlock":          {needs: []string{"bucket"}, capture: publicAccess, do: blockPublicAccess, undo: restorePublicAccess},
	"s3:PutBucketVersioning":           {needs: []string{"bucket"}, capture: versioning, do: enableVersioning, undo: restoreVersioning},
	"ec2:RevokeSecurityGroupIngress":   {needs: []string{"group", "protocol", "cidr"}, takes: []string{"from_port", "to_port"}, capture: ingress, do: revokeIngress, undo: restoreIngress},
	"ec2:EnableEbsEncryptionByDefault": {capture: encryption, do: encryptByDefault, undo: restoreEncryption},
	"ec2:CreateTags":                   {needs: []string{"resource", "key", "value"}, capture: tag, do: setTag, undo: restoreTag},
	"iam:UpdateAccessKey":              {needs: []string{"user", "key"}, capture: keyStatus, do: deactivateKey, undo: restoreKey},
	"rds:ModifyDBInstance":             {needs: []string{"database"}, capture: protection, do: protect, undo: restoreProtection},
}

// forms are what values look like, whatever a runbook lets through: a bucket is
// part of a path, and an instance's id of a filter in which * is special.
var forms = map[string]*regexp.Regexp{
	"bucket":   regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{1,253}[a-zA-Z0-9]$`),
	"group":    regexp.MustCompile(`^sg-[0-9a-z]{1,40}$`),
	"protocol": regexp.MustCompile(`^(-1|[a-z0-9]{1,6})$`), "from_port": regexp.MustCompile(`^-?[0-9]{1,5}$`), "to_port": regexp.MustCompile(`^-?[0-9]{1,5}$`),
	"cidr":     regexp.MustCompile(`^[0-9a-fA-F.:]{2,45}/[0-9]{1,3}$`),
	"resource": regexp.MustCompile(`^[a-z]{1,12}-[0-9a-z-]{1,60}$`),
	"value":    regexp.MustCompile(`^[^\x00-\x1f]{1,256}$`),
	"key":      regexp.MustCompile(`^[^\x00-\x1f]{1,128}$`),
	"user":     regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,64}$`),
	"database": regexp.MustCompile(`^[A-Za-z](-?[A-Za-z0-9]){0,62}$`),
}

func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

// blocks is a bucket's public access block; nil pointers are what AWS left out.
type blocks struct {
	BlockPublicAcls, BlockPublicPolicy, IgnorePublicAcls, RestrictPublicBuckets bool
}

func publicAccess(ctx context.Context, u use) (any, error) {
	out, err := u.read.s3.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: sdk.String(u.with["bucket"])})
	if code(err) == "NoSuchPublicAccessBlockConfiguration" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := out.PublicAccessBlockConfiguration
	if c == nil {
		return nil, nil
	}
	return blocks{sdk.ToBool(c.BlockPublicAcls), sdk.ToBool(c.BlockPublicPolicy), sdk.ToBool(c.IgnorePublicAcls), sdk.ToBool(c.RestrictPublicBuckets)}, nil
}

func putBlocks(ctx context.Context, u use, b blocks) error {
	_, err := u.write.s3.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{
		Bucket: sdk.String(u.with["bucket"]), PublicAccessBlockConfiguration: &s3types.PublicAccessBlockConfiguration{
			BlockPublicAcls: &b.BlockPublicAcls, BlockPublicPolicy: &b.BlockPublicPolicy,
			IgnorePublicAcls: &b.IgnorePublicAcls, RestrictPublicBuckets: &b.RestrictPublicBuckets,
		},
	})
	return err
}

func blockPublicAccess(ctx context.Context, u use, dry bool) error {
	if dry {
		return nil // S3 has no dry run: that the block can be read is all that can be asked
	}
	return putBlocks(ctx, u, blocks{true, true, true, true})
}

func restorePublicAccess(ctx context.Context, u use, before json.RawMessage) error {
	var b *blocks
	if err := json.Unmarshal(before, &b); err != nil {
		return err
	}
	if b != nil {
		return putBlocks(ctx, u, *b)
	}
	_, err := u.write.s3.DeletePublicAccessBlock(ctx, &s3.DeletePublicAccessBlockInput{Bucket: sdk.String(u.with["bucket"])})
	return err
}

// versioning tells only whether it is on: a bucket that ever had it can go back
// to suspended, not to never.
func versioning(ctx context.Context, u use) (any, error) {
	out, err := u.read.s3.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: sdk.String(u.with["bucket"])})
	if err != nil {
		return nil, err
	}
	return out.Status == s3types.BucketVersioningStatusEnabled, nil
}

func putVersioning(ctx context.Context, u use, status s3types.BucketVersioningStatus) error {
	_, err := u.write.s3.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: sdk.String(u.with["bucket"]), VersioningConfiguration: &s3types.VersioningConfiguration{Status: status},
	})
	return err
}

func enableVersioning(ctx context.Context, u use, dry bool) error {
	if dry {
		return nil // as for the public access block
	}
	return putVersioning(ctx, u, s3types.BucketVersioningStatusEnabled)
}

func restoreVersioning(ctx context.Context, u use, before json.RawMessage) error {
	if string(before) == "true" {
		return putVersioning(ctx, u, s3types.BucketVersioningStatusEnabled)
	}
	return putVersioning(ctx, u, s3types.BucketVersioningStatusSuspended)
}

// rule is one network that a permission of a security group lets in.
type rule struct {
	Present     bool
	Description *string `json:",omitempty"`
}

// permission renders the rule for EC2.
func permission(u use, description *string) (ec2types.IpPermission, error) {
	p := ec2types.IpPermission{IpProtocol: sdk.String(u.with["protocol"])}
	for _, port := range []struct {
		name string
		into **int32
	}{{"from_port", &p.FromPort}, {"to_port", &p.ToPort}} {
		if u.with[port.name] == "" {
			continue
		}
		n, err := strconv.ParseInt(u.with[port.name], 10, 32)
		if err != nil {
			return p, fmt.Errorf("%s: %w", port.name, err)
		}
		*port.into = sdk.Int32(int32(n))
	}
	if cidr := u.with["cidr"]; strings.Contains(cidr, ":") {
		p.Ipv6Ranges = []ec2types.Ipv6Range{{CidrIpv6: &cidr, Description: description}}
	} else {
		p.IpRanges = []ec2types.IpRange{{CidrIp: &cidr, Description: description}}
	}
	return p, nil
}

func ingress(ctx context.Context, u use) (any, error) {
	want, err := permission(u, nil)
	if err != nil {
		return nil, err
	}
	out, err := u.read.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: []string{u.with["group"]}})
	if err != nil {
		return nil, err
	}
	for _, g := range out.SecurityGroups {
		for _, p := range g.IpPermissions {
			if sdk.ToString(p.IpProtocol) != sdk.ToString(want.IpProtocol) || !same(p.FromPort, want.FromPort) || !same(p.ToPort, want.ToPort) {
				continue
			}
			for _, r := range p.IpRanges {
				if sdk.ToString(r.CidrIp) == u.with["cidr"] {
					return rule{true, r.Description}, nil
				}
			}
			for _, r := range p.Ipv6Ranges {
				if sdk.ToString(r.CidrIpv6) == u.with["cidr"] {
					return rule{true, r.Description}, nil
				}
			}
		}
	}
	return rule{}, nil
}

// same compares ports; a protocol without any has none, or -1.
func same(a, b *int32) bool {
	if a == nil || b == nil {
		return (a == nil || *a == -1) && (b == nil || *b == -1)
	}
	return *a == *b
}

func revokeIngress(ctx context.Context, u use, dry bool) error {
	p, err := permission(u, nil)
	if err != nil {
		return err
	}
	_, err = u.write.ec2.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{
		GroupId: sdk.String(u.with["group"]), IpPermissions: []ec2types.IpPermission{p}, DryRun: &dry,
	})
	return err
}

func restoreIngress(ctx context.Context, u use, before json.RawMessage) error {
	var was rule
	if err := json.Unmarshal(before, &was); err != nil {
		return err
	}
	is, err := ingress(ctx, u)
	if err != nil {
		return err
	}
	if !was.Present || is.(rule).Present {
		return nil
	}
	p, err := permission(u, was.Description)
	if err != nil {
		return err
	}
	_, err = u.write.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{
		GroupId: sdk.String(u.with["group"]), IpPermissions: []ec2types.IpPermission{p},
	})
	return err
}

func encryption(ctx context.Context, u use) (any, error) {
	out, err := u.read.ec2.GetEbsEncryptionByDefault(ctx, &ec2.GetEbsEncryptionByDefaultInput{})
	if err != nil {
		return nil, err
	}
	return sdk.ToBool(out.EbsEncryptionByDefault), nil
}

func encryptByDefault(ctx context.Context, u use, dry bool) error {
	_, err := u.write.ec2.EnableEbsEncryptionByDefault(ctx, &ec2.EnableEbsEncryptionByDefaultInput{DryRun: &dry})
	return err
}

func restoreEncryption(ctx context.Context, u use, before json.RawMessage) error {
	if string(before) == "true" {
		return encryptByDefault(ctx, u, false)
	}
	_, err := u.write.ec2.DisableEbsEncryptionByDefault(ctx, &ec2.DisableEbsEncryptionByDefaultInput{})
	return err
}

func tag(ctx context.Context, u use) (any, error) {
	out, err := u.read.ec2.DescribeTags(ctx, &ec2.DescribeTagsInput{Filters: []ec2types.Filter{
		{Name: sdk.String("resource-id"), Values: []string{u.with["resource"]}}, // a pattern to EC2, so what comes back is compared
	}})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(out.Tags, func(t ec2types.TagDescription) bool {
		return sdk.ToString(t.ResourceId) == u.with["resource"] && sdk.ToString(t.Key) == u.with["key"]
	})
	if i < 0 {
		return nil, nil
	}
	return sdk.ToString(out.Tags[i].Value), nil
}

func putTag(ctx context.Context, u use, value string, dry bool) error {
	_, err := u.write.ec2.CreateTags(ctx, &ec2.CreateTagsInput{
		Resources: []string{u.with["resource"]}, Tags: []ec2types.Tag{{Key: sdk.String(u.with["key"]), Value: &value}}, DryRun: &dry,
	})
	return err
}

func setTag(ctx context.Context, u use, dry bool) error { return putTag(ctx, u, u.with["value"], dry) }

func restoreTag(ctx context.Context, u use, before json.RawMessage) error {
	var was *string
	if err := json.Unmarshal(before, &was); err != nil {
		return err
	}
	if was != nil {
		return putTag(ctx, u, *was, false)
	}
	_, err := u.write.ec2.DeleteTags(ctx, &ec2.DeleteTagsInput{ // with its value: one that somebody else set meanwhile stays
		Resources: []string{u.with["resource"]}, Tags: []ec2types.Tag{{Key: sdk.String(u.with["key"]), Value: sdk.String(u.with["value"])}},
	})
	return err
}

func keyStatus(ctx context.Context, u use) (any, error) {
	pages := iam.NewListAccessKeysPaginator(u.read.iam, &iam.ListAccessKeysInput{UserName: sdk.String(u.with["user"])})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, k := range out.AccessKeyMetadata {
			if sdk.ToString(k.AccessKeyId) == u.with["key"] {
				return string(k.Status), nil
			}
		}
	}
	return nil, errors.New("the user has no such access key")
}

func putKey(ctx context.Context, u use, status iamtypes.StatusType) error {
	_, err := u.write.iam.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{
		UserName: sdk.String(u.with["user"]), AccessKeyId: sdk.String(u.with["key"]), Status: status,
	})
	return err
}

func deactivateKey(ctx context.Context, u use, dry bool) error {
	if dry {
		return nil // IAM has no dry run: that the key can be listed is all that can be asked
	}
	return putKey(ctx, u, iamtypes.StatusTypeInactive)
}

func restoreKey(ctx context.Context, u use, before json.RawMessage) error {
	var was string
	if err := json.Unmarshal(before, &was); err != nil {
		return err
	}
	if was != string(iamtypes.StatusTypeActive) {
		return putKey(ctx, u, iamtypes.StatusTypeInactive)
	}
	return putKey(ctx, u, iamtypes.StatusTypeActive)
}

// protection tells whether a database is protected from deletion.
func protection(ctx context.Context, u use) (any, error) {
	out, err := u.read.rds.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: sdk.String(u.with["database"])})
	if err != nil {
		return nil, err
	}
	if len(out.DBInstances) != 1 || out.DBInstances[0].DeletionProtection == nil {
		return nil, errors.New("the answer does not say whether the database is protected")
	}
	return *out.DBInstances[0].DeletionProtection, nil
}

// putProtection does not ask to apply at once: protection always is, and whatever
// else waits for the maintenance window, with its downtime, would be as well.
func putProtection(ctx context.Context, u use, on bool) error {
	_, err := u.write.rds.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
		DBInstanceIdentifier: sdk.String(u.with["database"]), DeletionProtection: &on,
	})
	return err
}

func protect(ctx context.Context, u use, dry bool) error {
	if dry {
		return nil // RDS has no dry run: that the database can be described is all that can be asked
	}
	return putProtection(ctx, u, true)
}

func restoreProtection(ctx context.Context, u use, before json.RawMessage) error {
	return putProtection(ctx, u, string(before) == "true")
}
