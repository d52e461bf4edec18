package aws

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crosscheck-dev/crosscheck/audit"
)

func s3Kinds() []kind {
	k := buckets(func(s *session) *string { return &s.region })
	k.parameters = func(s *session) map[string]string { return map[string]string{"BucketRegion": s.region} }
	k.admit = func(ctx context.Context, s *session, bucket map[string]any) (bool, error) {
		region, err := s.regionOf(ctx, bucket)
		return region == s.region, err
	}
	return []kind{k}
}

// buckets lists buckets of a region, or of all where region gives nil.
func buckets(region func(*session) *string) kind {
	return kind{
		name: "AWS::S3::Bucket", operation: "s3:ListBuckets", permission: "s3:ListAllMyBuckets", native: "Name",
		list:   bucketsOf(region, nil),
		filter: "Prefix", narrowed: func(names []string) lister {
			var prefix *string
			if common := shared(names); common != "" {
				prefix = &common
			}
			return bucketsOf(region, prefix)
		},
		calls: bucketCalls(),
	}
}

func bucketsOf(region func(*session) *string, prefix *string) lister {
	return list(func(s *session) *s3.ListBucketsPaginator {
		// Without a limit S3 does not say where the buckets are.
		return s3.NewListBucketsPaginator(s.s3, &s3.ListBucketsInput{MaxBuckets: ptr[int32](10_000), BucketRegion: region(s), Prefix: prefix})
	}, func(o *s3.ListBucketsOutput) []types.Bucket { return o.Buckets })
}

// bucketCalls name the account as the expected owner: a bucket that was deleted
// and made again by somebody else is not read as ours.
func bucketCalls() []call { return slices.Concat(keepingCalls(), exposureCalls()) }

// keepingCalls say how a bucket keeps its objects.
func keepingCalls() []call {
	return []call{
		{
			operation: bucketLocationCall, permission: bucketLocationCall,
			read: get(s3Of, (*s3.Client).GetBucketLocation, func(a subject) *s3.GetBucketLocationInput {
				return &s3.GetBucketLocationInput{Bucket: &a.native, ExpectedBucketOwner: &a.account}
			}),
		},
		{
			operation: "s3:GetBucketEncryption", permission: "s3:GetEncryptionConfiguration",
			absent: []string{"ServerSideEncryptionConfigurationNotFoundError"},
			read: get(s3Of, (*s3.Client).GetBucketEncryption, func(a subject) *s3.GetBucketEncryptionInput {
				return &s3.GetBucketEncryptionInput{Bucket: &a.native, ExpectedBucketOwner: &a.account}
			}),
		},
		{
			operation: "s3:GetBucketVersioning", permission: "s3:GetBucketVersioning",
			read: get(s3Of, (*s3.Client).GetBucketVersioning, func(a subject) *s3.GetBucketVersioningInput {
				return &s3.GetBucketVersioningInput{Bucket: &a.native, ExpectedBucketOwner: &a.account}
			}),
		},
		{
			operation: "s3:GetBucketLogging", permission: "s3:GetBucketLogging",
			read: get(s3Of, (*s3.Client).GetBucketLogging, func(a subject) *s3.GetBucketLoggingInput {
				return &s3.GetBucketLoggingInput{Bucket: &a.native, ExpectedBucketOwner: &a.account}
			}),
		},
		{
			operation: "s3:GetBucketTagging", permission: "s3:GetBucketTagging", absent: []string{"NoSuchTagSet"}, tagged: "TagSet",
			read: get(s3Of, (*s3.Client).GetBucketTagging, func(a subject) *s3.GetBucketTaggingInput {
				return &s3.GetBucketTaggingInput{Bucket: &a.native, ExpectedBucketOwner: &a.account}
			}),
		},
	}
}

// exposureCalls say who can reach it.
func exposureCalls() []call {
	return []call{
		{
			operation: "s3:GetPublicAccessBlock", permission: "s3:GetBucketPublicAccessBlock",
			absent: []string{"NoSuchPublicAccessBlockConfiguration"},
			read: get(s3Of, (*s3.Client).GetPublicAccessBlock, func(a subject) *s3.GetPublicAccessBlockInput {
				return &s3.GetPublicAccessBlockInput{Bucket: &a.native, ExpectedBucketOwner: &a.account}
			}),
		},
		{
			operation: "s3:GetBucketPolicyStatus", permission: "s3:GetBucketPolicyStatus", absent: []string{"NoSuchBucketPolicy"},
			read: get(s3Of, (*s3.Client).GetBucketPolicyStatus, func(a subject) *s3.GetBucketPolicyStatusInput {
				return &s3.GetBucketPolicyStatusInput{Bucket: &a.native, ExpectedBucketOwner: &a.account}
			}),
		},
		{
			operation: "s3:GetBucketAcl", permission: "s3:GetBucketAcl",
			read: get(s3Of, (*s3.Client).GetBucketAcl, func(a subject) *s3.GetBucketAclInput {
				return &s3.GetBucketAclInput{Bucket: &a.native, ExpectedBucketOwner: &a.account}
			}),
		},
		{
			operation: "s3:GetBucketPolicy", permission: "s3:GetBucketPolicy", absent: []string{"NoSuchBucketPolicy"}, secrets: sharedSecrets(),
			read: get(s3Of, (*s3.Client).GetBucketPolicy, func(a subject) *s3.GetBucketPolicyInput {
				return &s3.GetBucketPolicyInput{Bucket: &a.native, ExpectedBucketOwner: &a.account}
			}),
		},
		{
			operation: "s3:GetBucketOwnershipControls", permission: "s3:GetBucketOwnershipControls",
			absent: []string{"OwnershipControlsNotFoundError"},
			read: get(s3Of, (*s3.Client).GetBucketOwnershipControls, func(a subject) *s3.GetBucketOwnershipControlsInput {
				return &s3.GetBucketOwnershipControlsInput{Bucket: &a.native, ExpectedBucketOwner: &a.account}
			}),
		},
	}
}

const bucketLocationCall = "s3:GetBucketLocation"

func s3Of(s *session) *s3.Client { return s.s3 }

// sharedSecrets points to the policy conditions that people use as a password
// between a CDN and its bucket.
func sharedSecrets() []string {
	var out []string
	for _, statement := range []string{"/Policy/Statement", "/Policy/Statement/*"} {
		for _, key := range []string{"aws:Referer", "aws:referer", "aws:UserAgent", "aws:userAgent"} {
			out = append(out, statement+"/Condition/*/"+key)
		}
	}
	return out
}

// regionOf tells where a bucket is. S3 says so in the list; where it does not,
// the bucket itself is asked.
func (s *session) regionOf(ctx context.Context, bucket map[string]any) (string, error) {
	if region, _ := bucket["BucketRegion"].(string); regionName.MatchString(region) {
		return region, nil
	}
	name, _ := bucket["Name"].(string)
	m := s.meter(bucketLocationCall, bucketLocationCall, nil)
	end := m.start()
	out, err := s.s3.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: &name, ExpectedBucketOwner: &s.cfg.Account})
	end(err)
	if err != nil {
		m.errors.Add(1)
		return "", &operationError{bucketLocationCall, err}
	}
	m.items.Add(1)
	switch region := string(out.LocationConstraint); {
	case region == "":
		return "us-east-1", nil
	case region == string(types.BucketLocationConstraintEu):
		return "eu-west-1", nil
	case !regionName.MatchString(region):
		return "", &operationError{bucketLocationCall, fmt.Errorf("bucket %q is said to be in %q, which is no region", name, region)}
	default:
		return region, nil
	}
}

// elsewhere gives notice of the buckets that no configured region covers.
func (r *reading) elsewhere(ctx context.Context) error {
	counts := map[string]int{}
	unknown := 0
	err := r.each(ctx, buckets(func(*session) *string { return nil }), func(bucket map[string]any) {
		region, err := r.session.regionOf(ctx, bucket)
		switch {
		case err != nil:
			r.log(ctx, bucketLocationCall, err)
			unknown++
		case !slices.Contains(r.session.cfg.Regions, region):
			counts[region]++
		}
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	subject := audit.AWS + "/" + r.session.cfg.Account
	for _, region := range slices.Sorted(maps.Keys(counts)) {
		r.notice("region_not_configured", subject+"/"+region,
			"%d S3 bucket(s) in %s are not audited: the region is not configured", counts[region], region)
	}
	if unknown > 0 {
		r.notice("region_unknown", subject, "the region of %d S3 bucket(s) could not be told: %s failed", unknown, bucketLocationCall)
	}
	if err != nil {
		code := r.log(ctx, "s3:ListBuckets", err)
		r.notice("regions_not_compared", subject,
			"whether S3 buckets exist in regions that are not configured is not known: %s", code.Reason("s3:ListBuckets"))
	}
	return nil
}
