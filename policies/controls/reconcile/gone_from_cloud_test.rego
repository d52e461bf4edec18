package controls.reconcile.gone_from_cloud_test

import data.controls.reconcile.gone_from_cloud
import data.lib.reconcile.existence

_instance := {"source": "terraform", "type": "aws_instance", "data": {"values": {"id": "i-0a"}}}

_bucket := {"source": "terraform", "type": "aws_s3_bucket", "data": {"values": {"id": "acme-logs", "bucket": "acme-logs"}}}

_hit(value) := {"id": "x", "origin": "aws/1/global", "value": value}

test_there_passes if {
	gone_from_cloud.violation == set() with input as _instance with data.estate as {"aws": {"instance": {"i-0a": [_hit({"state": "stopped"})]}}}
	gone_from_cloud.violation == set() with input as _bucket with data.estate as {"aws": {"bucket": {"acme-logs": [_hit({"name": "acme-logs"})]}}}
}

test_gone_fails if {
	{v.path | some v in gone_from_cloud.violation} == {"/data/values/id"} with input as _instance with data.estate as {}
	{v.path | some v in gone_from_cloud.violation} == {"/data/values/bucket"} with input as _bucket with data.estate as {}
}

test_terminated_fails if {
	{v.observed | some v in gone_from_cloud.violation} == {"terminated"} with input as _instance with data.estate as {"aws": {"instance": {"i-0a": [_hit({"state": "terminated"})]}}}
}

test_unread_is_undefined if {
	not existence.standing with input as {"source": "terraform", "type": "aws_instance", "data": {"values": {}}} with data.estate as {}
	not existence.standing with input as {"source": "terraform", "type": "aws_s3_bucket", "data": {"values": {}}} with data.estate as {}
}
