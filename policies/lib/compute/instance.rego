# METADATA
# description: Virtual machines in a cloud.
package lib.compute.instance

# How the metadata service answers: required (session tokens only), optional, or disabled.
metadata_tokens := input.data.DescribeInstances.MetadataOptions.HttpTokens if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
	not input.data.DescribeInstances.MetadataOptions.HttpEndpoint == "disabled"
}

metadata_tokens := "disabled" if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
	input.data.DescribeInstances.MetadataOptions.HttpEndpoint == "disabled"
}

metadata_tokens := input.data.values.metadata_options[0].http_tokens if {
	input.source == "terraform"
	input.type == "aws_instance"
	not input.data.values.metadata_options[0].http_endpoint == "disabled"
}

metadata_tokens := "disabled" if {
	input.source == "terraform"
	input.type == "aws_instance"
	input.data.values.metadata_options[0].http_endpoint == "disabled"
}

metadata_path := "/data/DescribeInstances/MetadataOptions/HttpTokens" if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
}

metadata_path := "/data/values/metadata_options/0/http_tokens" if {
	input.source == "terraform"
	input.type == "aws_instance"
}

# The id that the cloud gave.
id := input.data.DescribeInstances.InstanceId if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
}

id_path := "/data/DescribeInstances/InstanceId" if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
}

# pending, running, stopping, stopped, shutting-down or terminated.
state := input.data.DescribeInstances.State.Name if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
}
