# METADATA
# title: Every address in use is documented
# description: Each private address of an instance or node is recorded in NetBox, in whichever VRF.
# custom:
#   id: REC-004
#   severity: high
#   applies_to: ["aws/AWS::EC2::Instance", "kubernetes/v1/Node"]
#   why: >-
#     An address that the inventory does not know will be given out twice, and nobody can say whose
#     machine speaks from it.
#   excludes: The machine holds no private address.
#   fix:
#     netbox: |
#       curl -X POST -H "Authorization: Token $TOKEN" -H "Content-Type: application/json" \
#         "$NETBOX/api/ipam/ip-addresses/" -d '{"address": "ADDRESS/LENGTH", "status": "active"}'
package controls.reconcile.undocumented_address

import data.lib.keys
import data.lib.network.address

default applies := false

applies if count(address.in_use) > 0

violation contains {
	"message": sprintf("NetBox does not know the address %s", [used.address]),
	"observed": used.address,
	"expected": "recorded in NetBox",
	"path": used.path,
} if {
	some used in address.in_use
	not data.estate.netbox.address[keys.host(used.address)]
}
