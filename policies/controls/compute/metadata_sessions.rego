# METADATA
# title: Instances accept only session-based metadata requests
# description: The instance metadata service requires a session token (IMDSv2) or is switched off.
# custom:
#   id: CMP-002
#   severity: high
#   applies_to: ["aws/AWS::EC2::Instance", "terraform/aws_instance"]
#   why: >-
#     Without session tokens, a web application that can be made to fetch a URL hands the instance's
#     credentials to whoever asks.
#   fix:
#     terraform: |
#       resource "aws_instance" "this" {
#         metadata_options {
#           http_tokens = "required"
#         }
#       }
#     aws: |
#       aws ec2 modify-instance-metadata-options --instance-id ID --http-tokens required
#   runbook: ec2-require-imdsv2
package controls.compute.metadata_sessions

import data.lib.compute.instance

violation contains {
	"message": sprintf("metadata requests without a session token are answered (HttpTokens is %s)", [instance.metadata_tokens]),
	"observed": instance.metadata_tokens,
	"expected": "required",
	"path": instance.metadata_path,
} if {
	not instance.metadata_tokens in {"required", "disabled"}
}
