# METADATA
# description: What others may look up of NetBox.
package lib.estate.netbox

import data.lib.keys
import data.lib.network.record

# Addresses, whatever their routing table.
estate contains {"kind": "address", "key": keys.host(input.data.address), "value": {"address": input.data.address}} if {
	input.source == "netbox"
	input.type == "ipam.ipaddress"
}

# Addresses within their routing table.
estate contains {"kind": "address_in_vrf", "key": record.key, "value": {"address": input.data.address, "shared": record.shared}} if {
	input.source == "netbox"
	input.type == "ipam.ipaddress"
}
