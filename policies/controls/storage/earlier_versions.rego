# METADATA
# title: Storage of confidential data keeps earlier versions
# description: >-
#   A bucket whose tag data_classification is confidential or restricted has versioning enabled, so that
#   what is overwritten or deleted can be brought back.
# custom:
#   id: STO-002
#   severity: high
#   applies_to: ["aws/AWS::S3::Bucket"]
#   why: >-
#     Without earlier versions, one mistaken or malicious delete is final, and ransomware needs only
#     the right to write.
#   excludes: The bucket's tag data_classification names no class that has to keep earlier versions.
#   parameters:
#     classifications:
#       type: array
#       description: Values of the tag data_classification, in lower case, that require earlier versions.
#       default: [confidential, restricted]
#   fix:
#     terraform: |
#       resource "aws_s3_bucket_versioning" "this" {
#         bucket = aws_s3_bucket.this.id
#         versioning_configuration {
#           status = "Enabled"
#         }
#       }
#     aws: |
#       aws s3api put-bucket-versioning --bucket NAME --versioning-configuration Status=Enabled
#   runbook: s3-enable-versioning
package controls.storage.earlier_versions

import data.lib.storage.bucket

default applies := false

applies if bucket.classification in data.parameters["STO-002"].classifications

violation contains {
	"message": sprintf("the bucket holds %s data and its versioning is %s", [bucket.classification, bucket.versioning]),
	"observed": bucket.versioning,
	"expected": "enabled",
	"path": bucket.versioning_path,
} if {
	bucket.versioning != "enabled"
}
