# METADATA
# description: People and programs that a cloud account knows by name.
package lib.identity.user

# Whether the user can sign in with a password.
console_password := _yes[input.data.GetCredentialReport.password_enabled] if {
	input.source == "aws"
	input.type == "AWS::IAM::User"
}

# Whether a second factor is registered.
mfa := _yes[input.data.GetCredentialReport.mfa_active] if {
	input.source == "aws"
	input.type == "AWS::IAM::User"
}

mfa_path := "/data/GetCredentialReport/mfa_active" if {
	input.source == "aws"
	input.type == "AWS::IAM::User"
}

# Whether the credential report tells how things are at the time of the audit. Of an older one there is no
# telling. AWS makes a new report at most every four hours.
credential_report_recent if {
	input.source == "aws"
	input.type == "AWS::IAM::User"
	age := time.parse_rfc3339_ns(data.run.as_of) - time.parse_rfc3339_ns(input.data.GetCredentialReport.GeneratedTime)
	age <= _max_report_age
}

_max_report_age := ((24 * 60) * 60) * 1000000000

# The access keys: id, whether active, when made, and where that is written.
access_keys := [{"id": key.AccessKeyId, "active": key.Status == "Active", "created": key.CreateDate, "path": path} |
	some i, key in input.data.ListAccessKeys.AccessKeyMetadata
	path := sprintf("/data/ListAccessKeys/AccessKeyMetadata/%d/CreateDate", [i])
] if {
	input.source == "aws"
	input.type == "AWS::IAM::User"
	is_array(input.data.ListAccessKeys.AccessKeyMetadata)
	not _unclear
}

_yes := {"true": true, "false": false}

_unclear if {
	some key in input.data.ListAccessKeys.AccessKeyMetadata
	not key.CreateDate
}

_unclear if {
	some key in input.data.ListAccessKeys.AccessKeyMetadata
	not key.Status
}

_unclear if {
	some key in input.data.ListAccessKeys.AccessKeyMetadata
	not key.AccessKeyId
}
