package controls.inventory.unique_address_test

import data.controls.inventory.unique_address
import data.lib.network.record

_record(id, address, vrf, role) := {"source": "netbox", "type": "ipam.ipaddress", "origin": "netbox/nh", "id": id, "data": {"address": address, "vrf": vrf, "role": role}}

_hit(id, shared) := {"id": id, "origin": "netbox/nh", "value": {"address": "10.0.0.1/24", "shared": shared}}

_estate(hits) := {"netbox": {"address_in_vrf": {"netbox/nh|global|10.0.0.1": hits}}}

test_once_passes if {
	unique_address.violation == set() with input as _record("a", "10.0.0.1/24", null, null) with data.estate as _estate([_hit("a", false)])
}

test_twice_fails if {
	{v.observed | some v in unique_address.violation} == {["b"]} with input as _record("a", "10.0.0.1/23", null, null) with data.estate as _estate([_hit("a", false), _hit("b", false)])
}

test_shared_by_role_passes if {
	unique_address.violation == set() with input as _record("a", "10.0.0.1/24", null, {"value": "vip"}) with data.estate as _estate([_hit("a", true), _hit("b", true)])
}

test_shared_by_one_side_fails if {
	count(unique_address.violation) == 1 with input as _record("a", "10.0.0.1/24", null, {"value": "vip"}) with data.estate as _estate([_hit("a", true), _hit("b", false)])
}

test_another_routing_table_passes if {
	doc := _record("a", "10.0.0.1/24", {"id": 7, "name": "lab"}, null)
	record.key == "netbox/nh|lab #7|10.0.0.1" with input as doc
	unique_address.violation == set() with input as doc with data.estate as _estate([_hit("b", false)])
}

test_unread_is_undefined if {
	doc := {"source": "netbox", "type": "ipam.ipaddress", "origin": "netbox/nh", "id": "a", "data": {}}
	not record.key with input as doc
	not record.shared with input as doc
	not record.vrf with input as doc
}
