# METADATA
# title: A machine that was given up does not run any more
# description: >-
#   A device or machine that the inventory marks decommissioning, offline or failed is found running neither
#   in AWS, by its instance id or its primary address, nor as a node of a cluster, by its name or address.
# custom:
#   id: REC-003
#   severity: critical
#   applies_to: ["netbox/dcim.device", "netbox/virtualization.virtualmachine"]
#   why: >-
#     A machine that everybody believes to be gone is patched and watched by nobody, and keeps its
#     credentials and its place in the network.
#   excludes: The inventory does not say that the machine was given up.
#   parameters:
#     statuses:
#       type: array
#       description: The statuses of NetBox that say that a machine was given up.
#       default: [decommissioning, offline, failed]
#   fix:
#     aws: |
#       aws ec2 stop-instances --instance-ids ID # then terminate it once its data is saved
#     kubectl: |
#       kubectl drain NODE --ignore-daemonsets && kubectl delete node NODE
#     netbox: |
#       # If it is rightly running, say so:
#       curl -X PATCH -H "Authorization: Token $TOKEN" -H "Content-Type: application/json" \
#         "$NETBOX/api/virtualization/virtual-machines/ID/" -d '{"status": "active"}'
package controls.reconcile.still_running

import data.lib.inventory.machine
import data.lib.reconcile.machine as reconciled

default applies := false

applies if machine.lifecycle in data.parameters["REC-003"].statuses

violation contains {
	"message": sprintf("the machine is marked %s, and %s is %s (found by %s)", [machine.lifecycle, found.id, found.state, found.by]),
	"observed": found,
	"expected": "not running",
	"path": machine.lifecycle_path,
} if {
	some found in reconciled.running
}
