# METADATA
# description: Machines as an inventory or a cloud records them.
package lib.inventory.machine

import data.lib.keys

# Where the machine is in its life: NetBox's status; of a cloud, active while it runs or starts, offline
# while it is stopped, decommissioning once it is being given up.
lifecycle := input.data.status.value if input.source == "netbox"

lifecycle := _of_state[input.data.DescribeInstances.State.Name] if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
}

lifecycle_path := "/data/status/value" if input.source == "netbox"

lifecycle_path := "/data/DescribeInstances/State/Name" if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
}

_of_state := {
	"pending": "active",
	"running": "active",
	"stopping": "offline",
	"stopped": "offline",
	"shutting-down": "decommissioning",
	"terminated": "decommissioning",
}

# Who answers for the machine; "none" where nobody is named.
owner := _name(input.data.custom_fields.owner) if input.source == "netbox"

owner := names[0] if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
	input.data.DescribeInstances.InstanceId
	names := _tagged_owners
	count(names) > 0
}

owner := "none" if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
	input.data.DescribeInstances.InstanceId
	count(_tagged_owners) == 0
}

owner_path := "/data/custom_fields/owner" if input.source == "netbox"

owner_path := "/tags" if {
	input.source == "aws"
	input.type == "AWS::EC2::Instance"
}

_tagged_owners := [value |
	some key, value in input.tags
	lower(key) == "owner"
	trim_space(value) != ""
]

# The id of the cloud's machine that this one is said to be; "none" where it is none.
cloud_id := _id(input.data.custom_fields.aws_instance_id) if {
	input.source == "netbox"
	input.type == "virtualization.virtualmachine"
}

cloud_id := "none" if {
	input.source == "netbox"
	input.type == "dcim.device"
}

# The name under which a cluster would know the machine; "none" where it has none.
host_name := _host(input.data.name) if input.source == "netbox"

# The addresses by which the machine is reached.
addresses := array.concat(_primary(input.data.primary_ip4), _primary(input.data.primary_ip6)) if input.source == "netbox"

_name(null) := "none"

_name(text) := "none" if {
	is_string(text)
	trim_space(text) == ""
}

_name(text) := trim_space(text) if {
	is_string(text)
	trim_space(text) != ""
}

_id(null) := "none"

_id(text) := "none" if {
	is_string(text)
	trim_space(text) == ""
}

_id(text) := keys.id(text) if {
	is_string(text)
	trim_space(text) != ""
}

_host(null) := "none"

_host(text) := keys.name(text) if is_string(text)

_primary(null) := []

_primary(record) := [keys.host(record.address)]
