# METADATA
# title: New volumes are encrypted by default
# description: EBS encryption by default is on in the region, so that a volume nobody thought of is encrypted too.
# custom:
#   id: CMP-003
#   severity: medium
#   applies_to: ["aws/AWS::::Region"]
#   why: >-
#     What is encrypted only where somebody remembers to ask for it is not encrypted where it matters.
#   fix:
#     terraform: |
#       resource "aws_ebs_encryption_by_default" "this" {
#         enabled = true
#       }
#     aws: |
#       aws ec2 enable-ebs-encryption-by-default --region REGION
#   runbook: ec2-encrypt-by-default
package controls.compute.encryption_by_default

import data.lib.compute.region

violation contains {
	"message": "new volumes in this region are not encrypted unless that is asked for",
	"observed": region.encrypts_by_default,
	"expected": true,
	"path": region.encrypts_by_default_path,
} if {
	region.encrypts_by_default != true
}
