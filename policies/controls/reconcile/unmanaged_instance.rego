# METADATA
# title: Every running instance is in a Terraform state
# description: Each EC2 instance that runs is recorded in a state that is audited, by its instance id.
# custom:
#   id: REC-001
#   severity: high
#   applies_to: ["aws/AWS::EC2::Instance"]
#   why: >-
#     An instance in no state was made past review. No plan shows its drift, and no rebuild brings it back.
#   excludes: The instance does not run.
#   fix:
#     terraform: |
#       import {
#         to = aws_instance.this
#         id = "i-0123456789abcdef0"
#       }
#     aws: |
#       # If nobody needs it:
#       aws ec2 terminate-instances --instance-ids ID
package controls.reconcile.unmanaged_instance

import data.lib.compute.instance
import data.lib.keys

default applies := false

applies if instance.state == "running"

violation contains {
	"message": sprintf("instance %s runs and is in no Terraform state", [instance.id]),
	"observed": instance.id,
	"expected": "recorded in a state",
	"path": instance.id_path,
} if {
	not data.estate.terraform.instance[keys.id(instance.id)]
}
