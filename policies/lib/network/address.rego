# METADATA
# description: Addresses that machines use.
package lib.network.address

# The private addresses a machine uses, and where each is written. A terminated machine uses none.
in_use := [{"address": address, "path": "/data/DescribeInstances/PrivateIpAddress"} |
	address := input.data.DescribeInstances.PrivateIpAddress
] if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
	not input.data.DescribeInstances.State.Name in _over
	input.data.DescribeInstances.PrivateIpAddress
}

in_use := [] if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
	input.data.DescribeInstances.State.Name in _over
}

in_use := [{"address": entry.address, "path": sprintf("/data/status/addresses/%d/address", [i])} |
	some i, entry in input.data.status.addresses
	entry.type == "InternalIP"
] if {
	input.source == "kubernetes"
	input.type == "v1/Node"
	"InternalIP" in [entry.type | some entry in input.data.status.addresses]
}

_over := {"shutting-down", "terminated"}
