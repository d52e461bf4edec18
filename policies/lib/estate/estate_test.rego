package lib.estate_test

import data.lib.estate.aws
import data.lib.estate.kubernetes
import data.lib.estate.netbox
import data.lib.estate.terraform

_instance := {"source": "aws", "type": "AWS::EC2::Instance", "data": {"DescribeInstances": {
	"InstanceId": "i-0A", "State": {"Name": "running"}, "PrivateIpAddress": "10.0.0.1", "PublicIpAddress": "198.51.100.7",
	"NetworkInterfaces": [{"PrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.1"}, {"PrivateIpAddress": "10.0.0.2"}]}],
}}}

_address(key) := {"kind": "address", "key": key, "value": {"instance": "i-0A", "state": "running"}}

test_instances if {
	aws.estate == {
		{"kind": "instance", "key": "i-0a", "value": {"state": "running"}},
		_address("10.0.0.1"), _address("10.0.0.2"), _address("198.51.100.7"),
	} with input as _instance
}

test_an_instance_of_unknown_state_is_still_there if {
	{"kind": "instance", "key": "i-0a", "value": {"state": "unknown"}} in aws.estate with input as json.patch(_instance, [{"op": "remove", "path": "/data/DescribeInstances/State"}])
}

test_buckets if {
	aws.estate == {{"kind": "bucket", "key": "acme-logs", "value": {"name": "acme-logs"}}} with input as {"source": "aws", "type": "AWS::S3::Bucket", "data": {"ListBuckets": {"Name": "acme-logs"}}}
}

_node := {"source": "kubernetes", "type": "v1/Node", "data": {"metadata": {"name": "Node-1"}, "status": {
	"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "node-1"}],
	"conditions": [{"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
}}}

test_nodes if {
	kubernetes.estate == {
		{"kind": "node", "key": "node-1", "value": {"ready": "True"}},
		{"kind": "node_address", "key": "10.0.0.1", "value": {"node": "Node-1", "ready": "True"}},
	} with input as _node
	{"kind": "node", "key": "node-1", "value": {"ready": "none"}} in kubernetes.estate with input as json.patch(_node, [{"op": "remove", "path": "/data/status/conditions"}])
}

test_controllers if {
	kubernetes.estate == {{"kind": "controller", "key": "kubernetes/a|ns/CronJob/c", "value": {"name": "c"}}} with input as {
		"source": "kubernetes", "type": "batch/v1/CronJob", "origin": "kubernetes/a",
		"data": {"metadata": {"name": "c", "namespace": "ns"}},
	}
	kubernetes.estate == {{"kind": "controller", "key": "kubernetes/a|/Deployment/d", "value": {"name": "d"}}} with input as {
		"source": "kubernetes", "type": "apps/v1/Deployment", "origin": "kubernetes/a",
		"data": {"metadata": {"name": "d"}},
	}
}

_policy(spec) := {
	"source": "kubernetes", "type": "networking.k8s.io/v1/NetworkPolicy", "origin": "kubernetes/a",
	"data": {"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": spec},
}

_known(open) := {{"kind": "namespace_policy", "key": "kubernetes/a|ns", "value": {"name": "p", "open": open}}}

test_policies_of_all_pods if {
	every spec in [
		{"podSelector": {}, "policyTypes": ["Ingress"]},
		{"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": []},
		{"podSelector": {"matchLabels": {}, "matchExpressions": []}, "policyTypes": ["Ingress"]},
		{"podSelector": {}},
		{"podSelector": null, "policyTypes": [], "egress": [{}]},
		{"policyTypes": ["Ingress"]},
	] {
		kubernetes.estate == _known(false) with input as _policy(spec)
	}
}

test_policies_of_some_pods_or_outwards_are_none if {
	every spec in [
		{"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]},
		{"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}, "policyTypes": ["Ingress"]},
		{"podSelector": {}, "policyTypes": ["Egress"]},
	] {
		kubernetes.estate == set() with input as _policy(spec)
	}
}

_letting(rules) := _policy({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": rules})

test_policies_that_let_everyone_in if {
	every rule in [
		{}, null, {"from": []}, {"from": null}, {"ports": [{"port": 443}]},
		{"from": [{"podSelector": {}}, {"ipBlock": {"cidr": "0.0.0.0/0"}}]},
		{"from": [{"ipBlock": {"cidr": "::/0", "except": []}}]},
		{"from": [{"namespaceSelector": {}}]},
		{"from": [{"namespaceSelector": {"matchLabels": {}}, "podSelector": {}}]},
	] {
		kubernetes.estate == _known(true) with input as _letting([{"from": [{"podSelector": {}}]}, rule])
	}
}

test_policies_that_let_somebody_in if {
	kubernetes.estate == _known(false) with input as _letting([
		{"from": [{"podSelector": {}}]},
		{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]},
		{"from": [{"namespaceSelector": {"matchLabels": {"team": "edge"}}}]},
		{"from": [{"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}]},
		{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "gateway"}}}]},
	])
}

test_policies_of_manifests if {
	{p.key | some p in kubernetes.estate} == {"|ns"} with input as json.patch(_policy({"podSelector": {}}), [{"op": "remove", "path": "/data/metadata/uid"}])
}

test_addresses if {
	netbox.estate == {
		{"kind": "address", "key": "10.0.0.1", "value": {"address": "10.0.0.1/24"}},
		{"kind": "address_in_vrf", "key": "netbox/nh|lab #7|10.0.0.1", "value": {"address": "10.0.0.1/24", "shared": true}},
	} with input as {"source": "netbox", "type": "ipam.ipaddress", "origin": "netbox/nh", "data": {"address": "10.0.0.1/24", "vrf": {"id": 7, "name": "lab"}, "role": {"value": "anycast"}}}
}

test_instances_in_a_state if {
	terraform.estate == {{"kind": "instance", "key": "i-0a", "value": {"address": "aws_instance.a"}}} with input as {"source": "terraform", "type": "aws_instance", "data": {"address": "aws_instance.a", "values": {"id": "i-0a"}}}
}

test_public_access_blocks if {
	values := {"block_public_acls": true, "block_public_policy": true, "ignore_public_acls": true, "restrict_public_buckets": false}
	terraform.estate == {
		{"kind": "public_access_block", "key": "acme-logs", "value": values},
		{"kind": "public_access_block", "key": "terraform/prod|aws_s3_bucket.a", "value": values},
	} with input as {
		"source": "terraform", "type": "aws_s3_bucket_public_access_block", "origin": "terraform/prod",
		"data": {"address": "x", "references": {"bucket": ["aws_s3_bucket.a"]}, "values": object.union(values, {"bucket": "acme-logs"})},
	}
}
