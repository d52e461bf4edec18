# METADATA
# title: An address is recorded once per routing table
# description: >-
#   No two records of the inventory name the same address in the same VRF, whatever their prefix length,
#   unless all of them have a role (anycast, VIP, VRRP …) in which machines share an address.
# custom:
#   id: INV-002
#   severity: high
#   applies_to: ["netbox/ipam.ipaddress"]
#   why: >-
#     Of two records one is wrong. Firewall rules, monitoring and the next assignment are made from
#     whichever is read first.
#   needs_all: true
#   fix:
#     netbox: |
#       # Find out which record is right, then delete the other:
#       curl -X DELETE -H "Authorization: Token $TOKEN" "$NETBOX/api/ipam/ip-addresses/ID/"
package controls.inventory.unique_address

import data.lib.network.record

violation contains {
	"message": sprintf("%s is recorded %d times in the routing table %s", [record.address, count(others) + 1, record.vrf]),
	"observed": others,
	"expected": "no other record of the address",
	"path": record.path,
} if {
	others := [hit.id |
		some hit in data.estate.netbox.address_in_vrf[record.key]
		hit.id != input.id
		not _share(record.shared, hit.value.shared)
	]
	count(others) > 0
}

_share(mine, theirs) if {
	mine
	theirs
}
