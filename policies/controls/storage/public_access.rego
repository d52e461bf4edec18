# METADATA
# title: Every bucket blocks public access itself
# description: >-
#   All four public access blocks of a bucket are on, so that no policy and no access list can open it,
#   and its policy as it stands is not public. A bucket without a block counts as all four off, even where
#   the account-wide block is on: IAM-003 tests that one, and AWS applies the stricter of both.
# custom:
#   id: STO-001
#   severity: critical
#   applies_to: ["aws/AWS::S3::Bucket", "terraform/aws_s3_bucket"]
#   why: >-
#     One mistaken policy or access list on an unblocked bucket publishes all it holds. The blocks
#     make that mistake harmless, whoever makes it.
#   fix:
#     terraform: |
#       resource "aws_s3_bucket_public_access_block" "this" {
#         bucket                  = aws_s3_bucket.this.id
#         block_public_acls       = true
#         block_public_policy     = true
#         ignore_public_acls      = true
#         restrict_public_buckets = true
#       }
#     aws: |
#       aws s3api put-public-access-block --bucket NAME --public-access-block-configuration \
#         BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
#   runbook: s3-block-public-access
package controls.storage.public_access

import data.lib.storage.bucket

violation contains {
	"message": sprintf("public access blocks are off: %s", [concat(", ", bucket.public_access_open)]),
	"observed": bucket.public_access_seen,
	"expected": "all four blocks on",
	"path": bucket.public_access_path,
} if {
	count(bucket.public_access_open) > 0
}

violation contains {
	"message": "the bucket policy is public",
	"observed": bucket.policy_status,
	"expected": "not public",
	"path": bucket.policy_status_path,
} if {
	bucket.policy_status == "public"
}
