# METADATA
# title: Every instance and bucket in a Terraform state still exists
# description: >-
#   Each instance and bucket that a state records is found in the AWS accounts and regions that are audited.
#   One in an account or a region that is not audited looks gone. Other kinds of resources are not compared.
# custom:
#   id: REC-002
#   severity: high
#   applies_to: ["terraform/aws_instance", "terraform/aws_s3_bucket"]
#   why: >-
#     What the state has and the cloud has not was removed past review: by a mistake, by an outage or by
#     somebody who should not have. The next apply makes it anew, without its data.
#   fix:
#     terraform: |
#       # If it should exist: look at `terraform plan`, then apply, and restore its data.
#       # If it should not:
#       terraform state rm ADDRESS
package controls.reconcile.gone_from_cloud

import data.lib.reconcile.existence

violation contains {
	"message": sprintf("the state records %s, which is %s", [existence.id, existence.standing]),
	"observed": existence.standing,
	"expected": "found in an audited account and region",
	"path": existence.id_path,
} if {
	existence.standing != "there"
}
