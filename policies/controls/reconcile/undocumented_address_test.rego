package controls.reconcile.undocumented_address_test

import data.controls.reconcile.undocumented_address
import data.lib.network.address

_instance(state) := {"source": "aws", "type": "AWS::EC2::Instance", "data": {"DescribeInstances": {"PrivateIpAddress": "10.0.0.1", "State": {"Name": state}}}}

_node := {"source": "kubernetes", "type": "v1/Node", "data": {"status": {"addresses": [{"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": "10.0.0.1"}]}}}

_known := {"netbox": {"address": {"10.0.0.1": [{"id": "x", "origin": "netbox/nh", "value": {"address": "10.0.0.1/24"}}]}}}

test_documented_passes if {
	undocumented_address.violation == set() with input as _instance("running") with data.estate as _known
	undocumented_address.violation == set() with input as _node with data.estate as _known
}

test_undocumented_fails if {
	{v.path | some v in undocumented_address.violation} == {"/data/DescribeInstances/PrivateIpAddress"} with input as _instance("stopped") with data.estate as {}
	{v.path | some v in undocumented_address.violation} == {"/data/status/addresses/1/address"} with input as _node with data.estate as {}
}

test_terminated_is_excluded if {
	undocumented_address.applies with input as _instance("running")
	not undocumented_address.applies with input as _instance("terminated")
}

test_unread_is_undefined if {
	not address.in_use with input as {"source": "aws", "type": "AWS::EC2::Instance", "data": {"DescribeInstances": {"State": {"Name": "running"}}}}
	not address.in_use with input as {"source": "kubernetes", "type": "v1/Node", "data": {"status": {}}}
}
