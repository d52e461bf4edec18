package controls.storage.earlier_versions_test

import data.controls.storage.earlier_versions
import data.lib.storage.bucket

_parameters := {"STO-002": {"classifications": ["confidential", "restricted"]}}

_bucket(versioning, class) := {
	"source": "aws", "type": "AWS::S3::Bucket", "tags": {"data_classification": class},
	"data": {"GetBucketVersioning": versioning, "GetBucketTagging": {"TagSet": [{"Key": "data_classification", "Value": class}]}},
}

test_enabled_passes if {
	earlier_versions.applies with data.parameters as _parameters with input as _bucket({"Status": "Enabled"}, "Restricted ")
	earlier_versions.violation == set() with data.parameters as _parameters with input as _bucket({"Status": "Enabled"}, "restricted")
}

test_suspended_and_off_fail if {
	{v.observed | some v in earlier_versions.violation} == {"suspended"} with data.parameters as _parameters with input as _bucket({"Status": "Suspended"}, "confidential")
	{v.path | some v in earlier_versions.violation} == {"/data/GetBucketVersioning"} with data.parameters as _parameters with input as _bucket({}, "confidential")
	bucket.versioning == "off" with data.parameters as _parameters with input as _bucket({}, "confidential")
}

test_other_classes_are_excluded if {
	not earlier_versions.applies with data.parameters as _parameters with input as _bucket({}, "internal")
	not earlier_versions.applies with data.parameters as _parameters with input as {"source": "aws", "type": "AWS::S3::Bucket", "tags": {}, "data": {"GetBucketTagging": null}}
	not earlier_versions.applies with data.parameters as _parameters with input as {"source": "aws", "type": "AWS::S3::Bucket", "tags": {"team": "x"}, "data": {"GetBucketTagging": {"TagSet": [{"Key": "team", "Value": "x"}]}}}
}

test_unread_is_undefined if {
	not bucket.classification with input as {"source": "aws", "type": "AWS::S3::Bucket", "tags": {}, "data": {}}
	not bucket.versioning with input as {"source": "aws", "type": "AWS::S3::Bucket", "tags": {}, "data": {}}
}
