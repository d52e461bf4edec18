# METADATA
# title: Active machines name an accountable owner
# description: Every active device and machine says who answers for it; NetBox in the custom field owner, AWS in the tag owner.
# custom:
#   id: INV-001
#   severity: medium
#   applies_to: ["netbox/dcim.device", "netbox/virtualization.virtualmachine", "aws/AWS::EC2::Instance"]
#   why: >-
#     What nobody answers for is patched by nobody, and when it fails or is broken into, the first hour
#     goes into finding out whom to call.
#   excludes: The machine is not active.
#   fix:
#     netbox: |
#       curl -X PATCH -H "Authorization: Token $TOKEN" -H "Content-Type: application/json" \
#         "$NETBOX/api/dcim/devices/ID/" -d '{"custom_fields": {"owner": "name@example.org"}}'
#     aws: |
#       aws ec2 create-tags --resources ID --tags Key=owner,Value=name@example.org
#     terraform: |
#       tags = {
#         owner = "name@example.org"
#       }
package controls.inventory.owner

import data.lib.inventory.machine

default applies := false

applies if machine.lifecycle == "active"

violation contains {
	"message": "nobody is named who answers for the machine",
	"observed": "no owner",
	"expected": "a person or a team",
	"path": machine.owner_path,
} if {
	machine.owner == "none"
}
