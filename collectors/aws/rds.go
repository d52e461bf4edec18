package aws

import (
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// rdsKinds are known by the identifier that people gave, as buckets by their
// name: one that is deleted and made again is the same to those who look for it.
// The list has what belongs to clusters too, also to those of DocumentDB and Neptune.
func rdsKinds() []kind {
	return []kind{{
		name: "AWS::RDS::DBInstance", operation: "rds:DescribeDBInstances", permission: "rds:DescribeDBInstances",
		native: "DBInstanceIdentifier", tagged: "TagList",
		secrets: []string{"/PendingModifiedValues/MasterUserPassword"}, // AWS masks it; others that answer as AWS may not
		list:    databases(nil), filter: "Filters: db-instance-id", narrowed: func(ids []string) lister {
			return chunks(ids, func(part []string) lister {
				return databases([]types.Filter{{Name: ptr("db-instance-id"), Values: part}})
			})
		},
	}}
}

func databases(filters []types.Filter) lister {
	return list(func(s *session) *rds.DescribeDBInstancesPaginator {
		return rds.NewDescribeDBInstancesPaginator(s.rds, &rds.DescribeDBInstancesInput{Filters: filters, MaxRecords: ptr[int32](100)})
	}, func(o *rds.DescribeDBInstancesOutput) []types.DBInstance { return o.DBInstances })
}
