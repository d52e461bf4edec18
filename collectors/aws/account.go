package aws

import (
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3control"
)

// accountKinds are the facts of the account as a whole and of each region.
func accountKinds() []kind {
	return []kind{
		{
			name: "AWS::::Account", global: true,
			calls: []call{
				{
					operation: "iam:GetAccountSummary", permission: "iam:GetAccountSummary",
					read: get(iamOf, (*iam.Client).GetAccountSummary, func(subject) *iam.GetAccountSummaryInput { return &iam.GetAccountSummaryInput{} }),
				},
				{
					operation: "iam:GetAccountPasswordPolicy", permission: "iam:GetAccountPasswordPolicy", absent: []string{"NoSuchEntity"},
					read: get(iamOf, (*iam.Client).GetAccountPasswordPolicy, func(subject) *iam.GetAccountPasswordPolicyInput {
						return &iam.GetAccountPasswordPolicyInput{}
					}),
				},
				{
					operation: "s3control:GetPublicAccessBlock", permission: "s3:GetAccountPublicAccessBlock",
					absent: []string{"NoSuchPublicAccessBlockConfiguration"},
					read: get(s3controlOf, (*s3control.Client).GetPublicAccessBlock, func(a subject) *s3control.GetPublicAccessBlockInput {
						return &s3control.GetPublicAccessBlockInput{AccountId: &a.account}
					}),
				},
				credentialReportCall(func(subject) string { return rootUser }),
			},
		},
		{
			name: "AWS::::Region",
			calls: []call{{
				operation: "ec2:GetEbsEncryptionByDefault", permission: "ec2:GetEbsEncryptionByDefault",
				read: get(ec2Of, (*ec2.Client).GetEbsEncryptionByDefault, func(subject) *ec2.GetEbsEncryptionByDefaultInput {
					return &ec2.GetEbsEncryptionByDefaultInput{}
				}),
			}},
		},
	}
}

func iamOf(s *session) *iam.Client             { return s.iam }
func s3controlOf(s *session) *s3control.Client { return s.s3control }
func ec2Of(s *session) *ec2.Client             { return s.ec2 }
