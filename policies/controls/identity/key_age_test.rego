package controls.identity.key_age_test

import data.controls.identity.key_age
import data.lib.identity.user

_parameters := {"IAM-002": {"max_age_days": 90}}

_key := {"AccessKeyId": "AKIA1", "Status": "Active", "CreateDate": "2026-08-23T12:00:00Z"}

_user(keys) := {"source": "aws", "type": "AWS::IAM::User", "data": {"ListAccessKeys": {"AccessKeyMetadata": keys}}}

test_ninety_days_pass if key_age.violation == set() with data.parameters as _parameters with input as _user([_key]) with data.run.as_of as "2026-11-22T11:59:59Z"

test_ninety_one_days_fail if {
	key_age.violation == {{
		"message": "access key AKIA1 is 91 days old; at most 90 are allowed", "observed": "2026-08-23T12:00:00Z",
		"expected": "created in the last 90 days", "path": "/data/ListAccessKeys/AccessKeyMetadata/1/CreateDate",
	}} with data.parameters as _parameters with input as _user([object.union(_key, {"Status": "Inactive"}), _key]) with data.run.as_of as "2026-11-22T12:00:00Z"
}

test_no_keys_pass if key_age.violation == set() with data.parameters as _parameters with input as _user([]) with data.run.as_of as "2026-11-22T12:00:00Z"

test_unread_is_undefined if {
	not user.access_keys with input as {"source": "aws", "type": "AWS::IAM::User", "data": {}}
	every field in ["AccessKeyId", "Status", "CreateDate"] {
		not user.access_keys with input as _user([object.remove(_key, [field])])
	}
}
