package aws

import (
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// ec2Kinds are read by their list calls alone. User data is not read at all.
// Asked for by id, what is not there is left out by a filter; given as an id it
// would be an error of the whole call.
func ec2Kinds() []kind {
	return []kind{
		{
			name: "AWS::EC2::Instance", operation: "ec2:DescribeInstances", permission: "ec2:DescribeInstances",
			native: "InstanceId", named: "tag:Name", tagged: "Tags",
			list: instances(nil), filter: "Filters: instance-id", narrowed: func(ids []string) lister {
				return chunks(ids, func(part []string) lister { return instances(filter("instance-id", part)) })
			},
		},
		{
			name: "AWS::EC2::Volume", operation: "ec2:DescribeVolumes", permission: "ec2:DescribeVolumes",
			native: "VolumeId", named: "tag:Name", tagged: "Tags",
			list: volumes(nil), filter: "Filters: volume-id", narrowed: func(ids []string) lister {
				return chunks(ids, func(part []string) lister { return volumes(filter("volume-id", part)) })
			},
		},
		{
			name: "AWS::EC2::SecurityGroup", operation: "ec2:DescribeSecurityGroups", permission: "ec2:DescribeSecurityGroups",
			native: "GroupId", named: "GroupName", tagged: "Tags",
			list: securityGroups(nil), filter: "Filters: group-id", narrowed: func(ids []string) lister {
				return chunks(ids, func(part []string) lister { return securityGroups(filter("group-id", part)) })
			},
		},
	}
}

func filter(name string, values []string) []types.Filter {
	return []types.Filter{{Name: &name, Values: values}}
}

func instances(filters []types.Filter) lister {
	return list(func(s *session) *ec2.DescribeInstancesPaginator {
		return ec2.NewDescribeInstancesPaginator(s.ec2, &ec2.DescribeInstancesInput{Filters: filters, MaxResults: ptr[int32](1000)})
	}, func(o *ec2.DescribeInstancesOutput) []types.Instance {
		var out []types.Instance
		for _, r := range o.Reservations {
			out = append(out, r.Instances...)
		}
		return out
	})
}

func volumes(filters []types.Filter) lister {
	return list(func(s *session) *ec2.DescribeVolumesPaginator {
		return ec2.NewDescribeVolumesPaginator(s.ec2, &ec2.DescribeVolumesInput{Filters: filters, MaxResults: ptr[int32](500)})
	}, func(o *ec2.DescribeVolumesOutput) []types.Volume { return o.Volumes })
}

func securityGroups(filters []types.Filter) lister {
	return list(func(s *session) *ec2.DescribeSecurityGroupsPaginator {
		return ec2.NewDescribeSecurityGroupsPaginator(s.ec2, &ec2.DescribeSecurityGroupsInput{Filters: filters, MaxResults: ptr[int32](1000)})
	}, func(o *ec2.DescribeSecurityGroupsOutput) []types.SecurityGroup { return o.SecurityGroups })
}
