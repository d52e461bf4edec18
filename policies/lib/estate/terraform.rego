# METADATA
# description: What others may look up of Terraform states and plans.
package lib.estate.terraform

import data.lib.keys

# Machines by instance id.
estate contains {"kind": "instance", "key": keys.id(input.data.values.id), "value": {"address": input.data.address}} if {
	input.source == "terraform"
	input.type == "aws_instance"
}

# The public access blocks of a bucket, by its name and by its place in the configuration.
estate contains {"kind": "public_access_block", "key": key, "value": _public_access_block} if {
	input.source == "terraform"
	input.type == "aws_s3_bucket_public_access_block"
	some key in _bucket_keys
}

_public_access_block := {
	"block_public_acls": input.data.values.block_public_acls,
	"block_public_policy": input.data.values.block_public_policy,
	"ignore_public_acls": input.data.values.ignore_public_acls,
	"restrict_public_buckets": input.data.values.restrict_public_buckets,
}

_bucket_keys contains keys.name(input.data.values.bucket)

_bucket_keys contains keys.address(input.origin, address) if {
	some address in input.data.references.bucket
}
