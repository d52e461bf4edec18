# METADATA
# title: Users with a console password have a second factor
# description: >-
#   A user who can sign in to the console with a password has an MFA device, by a credential report made
#   at most 24 hours before the audit. An older report tells nothing: the user is not evaluated.
# custom:
#   id: IAM-001
#   severity: critical
#   applies_to: ["aws/AWS::IAM::User"]
#   why: A password that leaks or is guessed is then enough to act as the user.
#   fix:
#     aws: |
#       # The user registers a device of their own; until then, take the password away:
#       aws iam delete-login-profile --user-name NAME
#     terraform: |
#       # Deny everything but registering a device to those who signed in without one:
#       condition {
#         test     = "BoolIfExists"
#         variable = "aws:MultiFactorAuthPresent"
#         values   = ["false"]
#       }
package controls.identity.console_mfa

import data.lib.identity.user

violation contains {
	"message": "the user signs in with a password and has no second factor",
	"observed": user.mfa,
	"expected": true,
	"path": user.mfa_path,
} if {
	user.credential_report_recent
	user.console_password
	not user.mfa
}
