# METADATA
# description: Addresses as the inventory records them.
package lib.network.record

import data.lib.keys

# The address, without its prefix length.
address := keys.host(input.data.address) if {
	input.source == "netbox"
	input.type == "ipam.ipaddress"
}

# The routing table it belongs to: the VRF's name and id, or "global".
vrf := _vrf(input.data.vrf) if {
	input.source == "netbox"
	input.type == "ipam.ipaddress"
}

# By what the estate knows the address within its routing table.
key := keys.in_vrf(input.origin, vrf, address)

# Whether several machines may carry the address by its role.
shared := _shared(input.data.role) if {
	input.source == "netbox"
	input.type == "ipam.ipaddress"
}

path := "/data/address" if {
	input.source == "netbox"
	input.type == "ipam.ipaddress"
}

_vrf(null) := "global"

_vrf(v) := sprintf("%s #%d", [v.name, v.id])

_shared(null) := false

_shared(role) := role.value in {"anycast", "carp", "glbp", "hsrp", "vip", "vrrp"}
