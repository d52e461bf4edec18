# METADATA
# title: Volumes are encrypted at rest
# description: Every volume, and every disk that a machine is made with, is encrypted.
# custom:
#   id: CMP-001
#   severity: high
#   applies_to: ["aws/AWS::EC2::Volume", "terraform/aws_ebs_volume", "terraform/aws_instance"]
#   why: >-
#     Snapshots of an unencrypted volume can be shared and copied by anyone with the right to do so,
#     and nothing but the provider's care stands between the disk and a stranger.
#   fix:
#     terraform: |
#       resource "aws_ebs_volume" "this" {
#         encrypted = true
#       }
#       # within aws_instance:
#       root_block_device {
#         encrypted = true
#       }
#     aws: |
#       # A volume cannot be encrypted in place: copy a snapshot with encryption and swap the volumes.
#       aws ec2 create-snapshot --volume-id ID
#       aws ec2 copy-snapshot --source-region REGION --source-snapshot-id SNAPSHOT --encrypted
package controls.compute.disk_encryption

import data.lib.compute.disk

violation contains {
	"message": sprintf("%s is not encrypted", [open.disk]),
	"observed": open.observed,
	"expected": true,
	"path": open.path,
} if {
	some open in disk.unencrypted
}
