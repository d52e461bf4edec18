package controls.reconcile.unmanaged_instance_test

import data.controls.reconcile.unmanaged_instance

_instance(state) := {"source": "aws", "type": "AWS::EC2::Instance", "data": {"DescribeInstances": {"InstanceId": "i-0A", "State": {"Name": state}}}}

_hits := [{"id": "terraform/prod/aws_instance/aws_instance.a", "origin": "terraform/prod", "value": {"address": "aws_instance.a"}}]

test_recorded_passes if {
	unmanaged_instance.violation == set() with input as _instance("running") with data.estate as {"terraform": {"instance": {"i-0a": _hits}}}
}

test_unrecorded_fails if {
	{v.observed | some v in unmanaged_instance.violation} == {"i-0A"} with input as _instance("running") with data.estate as {"terraform": {"instance": {"i-0b": _hits}}}
}

test_at_rest_is_excluded if {
	unmanaged_instance.applies with input as _instance("running")
	not unmanaged_instance.applies with input as _instance("stopped")
}
