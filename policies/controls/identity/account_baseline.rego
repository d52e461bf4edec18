# METADATA
# title: The account as a whole is guarded
# description: >-
#   The root user has a second factor and no access keys, passwords have a minimum length, and all four
#   account-wide public access blocks are on.
# custom:
#   id: IAM-003
#   severity: high
#   applies_to: ["aws/AWS::::Account"]
#   why: >-
#     What holds for the whole account holds for what nobody has thought of. The root user can undo every
#     other control and cannot be limited.
#   parameters:
#     min_password_length:
#       type: number
#       description: The fewest characters a password may have.
#       default: 14
#   fix:
#     aws: |
#       aws iam update-account-password-policy --minimum-password-length 14
#       aws s3control put-public-access-block --account-id ID --public-access-block-configuration \
#         BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
#       # As root, in the console: register an MFA device, delete the access keys.
#     terraform: |
#       resource "aws_iam_account_password_policy" "this" {
#         minimum_password_length = 14
#       }
#       resource "aws_s3_account_public_access_block" "this" {
#         block_public_acls       = true
#         block_public_policy     = true
#         ignore_public_acls      = true
#         restrict_public_buckets = true
#       }
package controls.identity.account_baseline

import data.lib.identity.account

violation contains {
	"message": "the root user has no second factor",
	"observed": account.root_mfa,
	"expected": true,
	"path": account.root_mfa_path,
} if {
	not account.root_mfa
}

violation contains {
	"message": "the root user has access keys",
	"observed": account.root_access_keys,
	"expected": false,
	"path": account.root_access_keys_path,
} if {
	account.root_access_keys
}

violation contains {
	"message": sprintf("passwords may be as short as %d characters", [account.password_length]),
	"observed": account.password_policy_seen,
	"expected": sprintf("at least %v characters", [data.parameters["IAM-003"].min_password_length]),
	"path": account.password_length_path,
} if {
	account.password_length < data.parameters["IAM-003"].min_password_length
}

violation contains {
	"message": sprintf("account-wide public access blocks are off: %s", [concat(", ", account.public_access_open)]),
	"observed": account.public_access_seen,
	"expected": "all four blocks on",
	"path": account.public_access_path,
} if {
	count(account.public_access_open) > 0
}
