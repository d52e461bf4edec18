# METADATA
# description: Databases that a cloud runs, each a machine of its own.
package lib.database.instance

# The cluster that it is a part of; "" where it is of none. Terraform has another type for those of a cluster.
cluster := input.data.DescribeDBInstances.DBClusterIdentifier if {
	input.source == "aws"
	input.type == "AWS::RDS::DBInstance"
}

cluster := "" if {
	input.source == "aws"
	input.type == "AWS::RDS::DBInstance"
	input.data.DescribeDBInstances.DBInstanceIdentifier
	not input.data.DescribeDBInstances.DBClusterIdentifier
}

cluster := "" if {
	input.source == "terraform"
	input.type == "aws_db_instance"
}

# Whether it has to be unprotected before it can be deleted. Terraform does not ask for that unless it is told to.
deletion_protection := input.data.DescribeDBInstances.DeletionProtection if {
	input.source == "aws"
	input.type == "AWS::RDS::DBInstance"
	is_boolean(input.data.DescribeDBInstances.DeletionProtection)
}

deletion_protection := input.data.values.deletion_protection == true if {
	input.source == "terraform"
	input.type == "aws_db_instance"
	input.data.values.deletion_protection in {true, false, null}
}

deletion_protection_path := "/data/DescribeDBInstances/DeletionProtection" if {
	input.source == "aws"
	input.type == "AWS::RDS::DBInstance"
}

deletion_protection_path := "/data/values/deletion_protection" if {
	input.source == "terraform"
	input.type == "aws_db_instance"
}
