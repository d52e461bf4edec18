# METADATA
# description: What others may look up of AWS accounts.
package lib.estate.aws

import data.lib.keys

# Machines by instance id.
estate contains {"kind": "instance", "key": keys.id(input.data.DescribeInstances.InstanceId), "value": {"state": _state}} if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
}

# Machines by each address they have.
estate contains {"kind": "address", "key": keys.host(address), "value": {"instance": input.data.DescribeInstances.InstanceId, "state": _state}} if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
	some address in _addresses
}

# Buckets by name.
estate contains {"kind": "bucket", "key": keys.name(input.data.ListBuckets.Name), "value": {"name": input.data.ListBuckets.Name}} if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
}

_state := input.data.DescribeInstances.State.Name if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
}

_state := "unknown" if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
	not input.data.DescribeInstances.State.Name
}

_addresses contains input.data.DescribeInstances.PrivateIpAddress

_addresses contains input.data.DescribeInstances.PublicIpAddress

_addresses contains input.data.DescribeInstances.NetworkInterfaces[_].PrivateIpAddresses[_].PrivateIpAddress
