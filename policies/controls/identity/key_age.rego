# METADATA
# title: Active access keys are renewed in time
# description: No active access key of a user is older, at the time of the audit, than the parameter says.
# custom:
#   id: IAM-002
#   severity: high
#   applies_to: ["aws/AWS::IAM::User"]
#   why: >-
#     Keys get copied to places nobody remembers. Their age bounds how long a copy is of use, and renewing
#     them shows what still needs them.
#   parameters:
#     max_age_days:
#       type: number
#       description: The age in whole days that an active access key may reach.
#       default: 90
#   fix:
#     aws: |
#       aws iam create-access-key --user-name NAME
#       aws iam update-access-key --user-name NAME --access-key-id OLD --status Inactive
#       aws iam delete-access-key --user-name NAME --access-key-id OLD
#     terraform: |
#       # Replace the user and its keys by a role that is assumed:
#       resource "aws_iam_role" "this" { ... }
package controls.identity.key_age

import data.lib.identity.user

violation contains {
	"message": sprintf("access key %s is %d days old; at most %v are allowed", [key.id, days, limit]),
	"observed": key.created,
	"expected": sprintf("created in the last %v days", [limit]),
	"path": key.path,
} if {
	some key in user.access_keys
	key.active
	limit := data.parameters["IAM-002"].max_age_days
	age := time.parse_rfc3339_ns(data.run.as_of) - time.parse_rfc3339_ns(key.created)
	days := floor(age / 86400000000000)
	days > limit
}
