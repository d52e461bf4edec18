package aws

import (
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

func iamKinds() []kind {
	return []kind{{
		name: "AWS::IAM::User", global: true,
		operation: "iam:ListUsers", permission: "iam:ListUsers", native: "UserName",
		list: list(func(s *session) *iam.ListUsersPaginator {
			return iam.NewListUsersPaginator(s.iam, &iam.ListUsersInput{MaxItems: ptr[int32](1000)})
		}, func(o *iam.ListUsersOutput) []types.User { return o.Users }),
		calls: []call{
			credentialReportCall(func(a subject) string { return a.native }),
			{
				operation: "iam:ListAccessKeys", permission: "iam:ListAccessKeys",
				read: gather("AccessKeyMetadata", func(s *session, a subject) *iam.ListAccessKeysPaginator {
					return iam.NewListAccessKeysPaginator(s.iam, &iam.ListAccessKeysInput{UserName: &a.native})
				}, func(o *iam.ListAccessKeysOutput) []types.AccessKeyMetadata { return o.AccessKeyMetadata }),
			},
			{
				operation: "iam:ListMFADevices", permission: "iam:ListMFADevices",
				read: gather("MFADevices", func(s *session, a subject) *iam.ListMFADevicesPaginator {
					return iam.NewListMFADevicesPaginator(s.iam, &iam.ListMFADevicesInput{UserName: &a.native})
				}, func(o *iam.ListMFADevicesOutput) []types.MFADevice { return o.MFADevices }),
			},
			{
				operation: "iam:ListUserTags", permission: "iam:ListUserTags", tagged: "Tags",
				read: gather("Tags", func(s *session, a subject) *iam.ListUserTagsPaginator {
					return iam.NewListUserTagsPaginator(s.iam, &iam.ListUserTagsInput{UserName: &a.native})
				}, func(o *iam.ListUserTagsOutput) []types.Tag { return o.Tags }),
			},
		},
	}}
}

func ptr[T any](v T) *T { return &v }
