package controls.identity.account_baseline_test

import data.controls.identity.account_baseline
import data.lib.identity.account

_parameters := {"IAM-003": {"min_password_length": 14}}

_blocks := {"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true}

_good := {"source": "aws", "type": "AWS::::Account", "data": {
	"GetAccountSummary": {"SummaryMap": {"AccountMFAEnabled": 1, "AccountAccessKeysPresent": 0}},
	"GetAccountPasswordPolicy": {"PasswordPolicy": {"MinimumPasswordLength": 14}},
	"GetPublicAccessBlock": {"PublicAccessBlockConfiguration": _blocks},
}}

_bad := {"source": "aws", "type": "AWS::::Account", "data": {
	"GetAccountSummary": {"SummaryMap": {"AccountMFAEnabled": 0, "AccountAccessKeysPresent": 1}},
	"GetAccountPasswordPolicy": null,
	"GetPublicAccessBlock": null,
}}

test_guarded_passes if account_baseline.violation == set() with data.parameters as _parameters with input as _good

test_each_part_fails if {
	{v.path: v.observed | some v in account_baseline.violation} == {
		"/data/GetAccountSummary/SummaryMap/AccountMFAEnabled": false,
		"/data/GetAccountSummary/SummaryMap/AccountAccessKeysPresent": true,
		"/data/GetAccountPasswordPolicy": "no password policy: AWS takes 8 characters",
		"/data/GetPublicAccessBlock": "no public access block",
	} with data.parameters as _parameters with input as _bad
}

test_one_block_off_fails if {
	doc := json.patch(_good, [{"op": "replace", "path": "/data/GetPublicAccessBlock/PublicAccessBlockConfiguration/BlockPublicAcls", "value": false}])
	{v.observed | some v in account_baseline.violation} == {"off: BlockPublicAcls"} with data.parameters as _parameters with input as doc
}

test_a_short_length_fails if {
	doc := json.patch(_good, [{"op": "replace", "path": "/data/GetAccountPasswordPolicy/PasswordPolicy/MinimumPasswordLength", "value": 12}])
	{[v.observed, v.expected] | some v in account_baseline.violation} == {["12 characters", "at least 14 characters"]} with data.parameters as _parameters with input as doc
	account.public_access_seen == "all four blocks on" with input as doc
}

test_unread_is_undefined if {
	empty := {"source": "aws", "type": "AWS::::Account", "data": {}}
	not account.root_mfa with input as empty
	not account.root_access_keys with input as empty
	not account.password_length with input as empty
	not account.public_access_open with input as empty
	not account.public_access_seen with input as empty
	not account.password_policy_seen with input as empty
}
