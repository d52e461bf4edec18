# METADATA
# description: Object storage buckets.
package lib.storage.bucket

import data.lib.keys

_blocks := {
	"block_public_acls": "BlockPublicAcls",
	"block_public_policy": "BlockPublicPolicy",
	"ignore_public_acls": "IgnorePublicAcls",
	"restrict_public_buckets": "RestrictPublicBuckets",
}

# The public access blocks that are off, by their AWS names: all four where there is no block at all.
public_access_open := [name | some name in _blocks] if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
	input.data.GetPublicAccessBlock == null
}

public_access_open := [name |
	some name in _blocks
	not input.data.GetPublicAccessBlock.PublicAccessBlockConfiguration[name] == true
] if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
	is_object(input.data.GetPublicAccessBlock.PublicAccessBlockConfiguration)
}

public_access_open := [name |
	some attribute, name in _blocks
	not _on[attribute]
] if {
	input.source == "terraform"
	input.type == "aws_s3_bucket"
	_bucket
}

# The blocks that are on in every public access block recorded for the bucket.
_on contains attribute if {
	some attribute, _ in _blocks
	some block in _recorded
	block.value[attribute] == true
	count([1 | some other in _recorded; not other.value[attribute] == true]) == 0
}

# By the bucket's place in the configuration, which a plan knows; else by its name.
_recorded := blocks if {
	blocks := data.estate.terraform.public_access_block[keys.address(input.origin, input.data.address)]
} else := blocks if {
	blocks := data.estate.terraform.public_access_block[keys.name(input.data.values.bucket)]
} else := []

# A bucket that a plan has yet to name is known by its address.
_bucket if input.data.values.bucket

_bucket if input.data.change.actions

# What is there of a public access block, in words.
public_access_seen := "no public access block" if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
	input.data.GetPublicAccessBlock == null
}

public_access_seen := _seen(public_access_open) if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
	is_object(input.data.GetPublicAccessBlock.PublicAccessBlockConfiguration)
}

public_access_seen := "no public access block" if {
	input.source == "terraform"
	input.type == "aws_s3_bucket"
	_bucket
	count(_recorded) == 0
}

public_access_seen := _seen(public_access_open) if {
	input.source == "terraform"
	input.type == "aws_s3_bucket"
	_bucket
	count(_recorded) > 0
}

_seen(open) := "all four blocks on" if count(open) == 0

_seen(open) := sprintf("off: %s", [concat(", ", open)]) if count(open) > 0

# Where the answer about the blocks sits.
public_access_path := "/data/GetPublicAccessBlock" if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
}

public_access_path := "/data/values/bucket" if {
	input.source == "terraform"
	input.type == "aws_s3_bucket"
}

# What AWS says of the bucket policy: public, not public, or none. Terraform does not record it.
policy_status := "none" if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
	input.data.GetBucketPolicyStatus == null
}

policy_status := "public" if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
	input.data.GetBucketPolicyStatus.PolicyStatus.IsPublic == true
}

policy_status := "not public" if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
	input.data.GetBucketPolicyStatus.PolicyStatus.IsPublic == false
}

policy_status := "not recorded" if {
	input.source == "terraform"
	input.type == "aws_s3_bucket"
}

policy_status_path := "/data/GetBucketPolicyStatus" if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
}

policy_status_path := "/data/values/policy" if {
	input.source == "terraform"
	input.type == "aws_s3_bucket"
}

# What becomes of earlier versions of an object: enabled (kept), suspended (no longer kept) or off (never kept).
versioning := lower(input.data.GetBucketVersioning.Status) if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
}

versioning := "off" if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
	is_object(input.data.GetBucketVersioning)
	not input.data.GetBucketVersioning.Status
}

versioning_path := "/data/GetBucketVersioning" if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
}

# The class of the data a bucket holds, by its tag data_classification, lower case; "none" without one.
classification := lower(trim_space(input.tags.data_classification)) if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
	is_array(input.data.GetBucketTagging.TagSet)
}

classification := "none" if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
	is_array(input.data.GetBucketTagging.TagSet)
	not input.tags.data_classification
}

classification := "none" if {
	input.source == "aws"
	input.type == "AWS::S3::Bucket"
	input.data.GetBucketTagging == null
}
