package controls.reconcile.still_running_test

import data.controls.reconcile.still_running
import data.lib.inventory.machine
import data.lib.reconcile.machine as reconciled

_parameters := {"REC-003": {"statuses": ["decommissioning", "offline", "failed"]}}

_machine := {"source": "netbox", "type": "virtualization.virtualmachine", "data": {
	"name": "Web-1", "status": {"value": "decommissioning"}, "custom_fields": {"aws_instance_id": "i-0a"},
	"primary_ip4": {"address": "10.0.0.1/24"}, "primary_ip6": null,
}}

_device := {"source": "netbox", "type": "dcim.device", "data": {
	"name": null, "status": {"value": "offline"}, "custom_fields": {},
	"primary_ip4": null, "primary_ip6": null,
}}

_hit(value) := [{"id": "found", "origin": "x", "value": value}]

_by contains v.observed.by if some v in still_running.violation

test_running_by_id_fails if {
	still_running.violation == {{
		"message": "the machine is marked decommissioning, and found is running (found by instance id)",
		"observed": {"id": "found", "state": "running", "by": "instance id"},
		"expected": "not running", "path": "/data/status/value",
	}} with data.parameters as _parameters with input as _machine with data.estate as {"aws": {"instance": {"i-0a": _hit({"state": "running"})}}}
}

test_running_by_address_fails if {
	_by == {"address 10.0.0.1"} with data.parameters as _parameters with input as _machine with data.estate as {"aws": {"address": {"10.0.0.1": _hit({"instance": "i-0b", "state": "pending"})}}}
}

test_a_node_fails if {
	_by == {"node name"} with data.parameters as _parameters with input as _machine with data.estate as {"kubernetes": {"node": {"web-1": _hit({"ready": "True"})}}}
	_by == {"address 10.0.0.1"} with data.parameters as _parameters with input as _machine with data.estate as {"kubernetes": {"node_address": {"10.0.0.1": _hit({"node": "n", "ready": "none"})}}}
}

test_at_rest_passes if {
	still_running.violation == set() with data.parameters as _parameters with input as _machine with data.estate as {
		"aws": {"instance": {"i-0a": _hit({"state": "stopped"})}, "address": {"10.0.0.1": _hit({"instance": "i-0a", "state": "stopped"})}},
		"kubernetes": {"node": {"web-1": _hit({"ready": "Unknown"})}, "node_address": {"10.0.0.1": _hit({"node": "n", "ready": "False"})}},
	}
	still_running.applies with data.parameters as _parameters with input as _device
	still_running.violation == set() with data.parameters as _parameters with input as _device with data.estate as {}
}

test_in_use_is_excluded if {
	not still_running.applies with data.parameters as _parameters with input as json.patch(_machine, [{"op": "replace", "path": "/data/status/value", "value": "active"}])
}

test_names_and_ids if {
	machine.cloud_id == "none" with data.parameters as _parameters with input as _device
	machine.host_name == "none" with data.parameters as _parameters with input as _device
	every id in [null, ""] {
		machine.cloud_id == "none" with data.parameters as _parameters with input as json.patch(_machine, [{"op": "replace", "path": "/data/custom_fields/aws_instance_id", "value": id}])
	}
}

test_unread_is_undefined if {
	every path in ["/data/name", "/data/primary_ip4", "/data/primary_ip6", "/data/custom_fields/aws_instance_id"] {
		not reconciled.running with input as json.patch(_machine, [{"op": "remove", "path": path}]) with data.estate as {}
	}
}
