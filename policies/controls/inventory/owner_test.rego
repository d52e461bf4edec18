package controls.inventory.owner_test

import data.controls.inventory.owner
import data.lib.inventory.machine

_device(status, name) := {"source": "netbox", "type": "dcim.device", "data": {"status": {"value": status, "label": "x"}, "custom_fields": {"owner": name}}}

_instance(state, tags) := {"source": "aws", "type": "AWS::EC2::Instance", "tags": tags, "data": {"DescribeInstances": {"InstanceId": "i-1", "State": {"Name": state}}}}

test_named_passes if {
	owner.violation == set() with input as _device("active", "bea@nordhafen.example")
	owner.violation == set() with input as _instance("running", {"Owner": "bea"})
	owner.applies with input as _instance("pending", {})
}

test_nobody_fails if {
	every name in [null, "", "  "] {
		{v.path | some v in owner.violation} == {"/data/custom_fields/owner"} with input as _device("active", name)
	}
	{v.path | some v in owner.violation} == {"/tags"} with input as _instance("running", {"owner": " ", "team": "x"})
}

test_inactive_is_excluded if {
	not owner.applies with input as _device("offline", null)
	not owner.applies with input as _instance("stopped", {})
	not owner.applies with input as _instance("terminated", {})
}

test_unread_is_undefined if {
	not machine.owner with input as {"source": "netbox", "type": "dcim.device", "data": {"custom_fields": {}}}
	not machine.lifecycle with input as {"source": "netbox", "type": "dcim.device", "data": {}}
	not machine.owner with input as {"source": "aws", "type": "AWS::EC2::Instance", "tags": {}, "data": {}}
	machine.lifecycle_path == "/data/DescribeInstances/State/Name" with input as _instance("running", {})
}
