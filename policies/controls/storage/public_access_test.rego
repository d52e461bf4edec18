package controls.storage.public_access_test

import data.controls.storage.public_access
import data.lib.storage.bucket

_all := {"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true}

_aws(data_) := {"source": "aws", "type": "AWS::S3::Bucket", "data": data_}

_blocked := _aws({"GetPublicAccessBlock": {"PublicAccessBlockConfiguration": _all}, "GetBucketPolicyStatus": null})

test_blocked_without_policy_passes if {
	public_access.violation == set() with input as _blocked
	bucket.policy_status == "none" with input as _blocked
	bucket.public_access_seen == "all four blocks on" with input as _blocked
}

test_blocked_with_private_policy_passes if {
	doc := json.patch(_blocked, [{"op": "replace", "path": "/data/GetBucketPolicyStatus", "value": {"PolicyStatus": {"IsPublic": false}}}])
	public_access.violation == set() with input as doc
	bucket.policy_status == "not public" with input as doc
}

test_public_policy_fails if {
	doc := json.patch(_blocked, [{"op": "replace", "path": "/data/GetBucketPolicyStatus", "value": {"PolicyStatus": {"IsPublic": true}}}])
	{v.path | some v in public_access.violation} == {"/data/GetBucketPolicyStatus"} with input as doc
}

test_no_block_is_all_four_off if {
	doc := _aws({"GetPublicAccessBlock": null, "GetBucketPolicyStatus": null})
	{[v.observed, v.message] | some v in public_access.violation} == {["no public access block", "public access blocks are off: BlockPublicAcls, BlockPublicPolicy, IgnorePublicAcls, RestrictPublicBuckets"]} with input as doc
}

test_one_block_off_fails if {
	doc := json.patch(_blocked, [{"op": "replace", "path": "/data/GetPublicAccessBlock/PublicAccessBlockConfiguration/RestrictPublicBuckets", "value": false}])
	public_access.violation == {{
		"message": "public access blocks are off: RestrictPublicBuckets", "observed": "off: RestrictPublicBuckets",
		"expected": "all four blocks on", "path": "/data/GetPublicAccessBlock",
	}} with input as doc
}

test_an_unread_block_is_undefined if {
	not bucket.public_access_open with input as _aws({"GetBucketPolicyStatus": null})
	not bucket.public_access_seen with input as _aws({"GetBucketPolicyStatus": null})
	not bucket.policy_status with input as _aws({"GetPublicAccessBlock": null})
}

_state := {
	"source": "terraform", "type": "aws_s3_bucket", "origin": "terraform/prod",
	"data": {"address": "aws_s3_bucket.logs", "values": {"bucket": "acme-logs"}},
}

_on := {"block_public_acls": true, "block_public_policy": true, "ignore_public_acls": true, "restrict_public_buckets": true}

_hits(values) := [{"id": sprintf("%d", [i]), "origin": "terraform/prod", "value": value} | some i, value in values]

test_a_state_with_a_block_passes if {
	public_access.violation == set() with input as _state
		with data.estate as {"terraform": {"public_access_block": {"acme-logs": _hits([_on])}}}
	bucket.policy_status == "not recorded" with input as _state
	bucket.policy_status_path == "/data/values/policy" with input as _state
}

test_a_plan_finds_the_block_by_its_place if {
	doc := json.patch(_state, [
		{"op": "remove", "path": "/data/values/bucket"},
		{"op": "add", "path": "/data/change", "value": {"actions": ["create"]}},
	])
	public_access.violation == set() with input as doc
		with data.estate as {"terraform": {"public_access_block": {"terraform/prod|aws_s3_bucket.logs": _hits([_on])}}}
}

test_a_state_without_a_block_fails if {
	{v.path: v.observed | some v in public_access.violation} == {"/data/values/bucket": "no public access block"} with input as _state with data.estate as {}
}

test_of_two_blocks_the_open_one_counts if {
	{v.observed | some v in public_access.violation} == {"off: IgnorePublicAcls"} with input as _state
		with data.estate as {"terraform": {"public_access_block": {"acme-logs": _hits([_on, object.union(_on, {"ignore_public_acls": false})])}}}
}
