package controls.compute.metadata_sessions_test

import data.controls.compute.metadata_sessions
import data.lib.compute.instance

_aws(options) := {"source": "aws", "type": "AWS::EC2::Instance", "data": {"DescribeInstances": {"InstanceId": "i-1", "MetadataOptions": options}}}

_terraform(options) := {"source": "terraform", "type": "aws_instance", "data": {"values": {"metadata_options": [options]}}}

test_required_passes if {
	metadata_sessions.violation == set() with input as _aws({"HttpTokens": "required", "HttpEndpoint": "enabled"})
	metadata_sessions.violation == set() with input as _terraform({"http_tokens": "required", "http_endpoint": "enabled"})
}

test_disabled_passes if {
	metadata_sessions.violation == set() with input as _aws({"HttpTokens": "optional", "HttpEndpoint": "disabled"})
	metadata_sessions.violation == set() with input as _terraform({"http_tokens": "optional", "http_endpoint": "disabled"})
}

test_optional_fails if {
	{v.path | some v in metadata_sessions.violation} == {"/data/DescribeInstances/MetadataOptions/HttpTokens"} with input as _aws({"HttpTokens": "optional", "HttpEndpoint": "enabled"})
	{v.path | some v in metadata_sessions.violation} == {"/data/values/metadata_options/0/http_tokens"} with input as _terraform({"http_tokens": "optional", "http_endpoint": "enabled"})
}

test_unread_is_undefined if {
	not instance.metadata_tokens with input as {"source": "aws", "type": "AWS::EC2::Instance", "data": {"DescribeInstances": {"InstanceId": "i-1"}}}
	not instance.metadata_tokens with input as {"source": "terraform", "type": "aws_instance", "data": {"values": {"metadata_options": []}}}
}
