package controls.workload.isolation_test

import data.controls.workload.isolation
import data.lib.workload.pod

_spec := {"containers": [{"name": "app", "image": "x"}]}

_documents(spec) := {
	"/data/spec": {"source": "kubernetes", "type": "v1/Pod", "data": {"metadata": {"name": "a"}, "spec": spec}},
	"/data/spec/template/spec": {"source": "kubernetes", "type": "apps/v1/Deployment", "data": {"metadata": {"name": "a"}, "spec": {"template": {"spec": spec}}}},
	"/data/spec/jobTemplate/spec/template/spec": {"source": "kubernetes", "type": "batch/v1/CronJob", "data": {"metadata": {"name": "a"}, "spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}}},
}

test_apart_passes if {
	every doc in _documents({"hostNetwork": false, "containers": [{"name": "app", "image": "x", "securityContext": {"privileged": false}}]}) {
		isolation.applies with input as doc
		isolation.violation == set() with input as doc
	}
}

test_privileged_fails if {
	every base, doc in _documents(object.union(_spec, {"initContainers": [{"name": "init", "securityContext": {"privileged": true}}]})) {
		{v.path | some v in isolation.violation} == {sprintf("%s/initContainers/0/securityContext/privileged", [base])} with input as doc
	}
}

test_shared_namespaces_fail if {
	every base, doc in _documents(object.union(_spec, {"hostNetwork": true, "hostPID": true, "hostIPC": true})) {
		{v.path | some v in isolation.violation} == {sprintf("%s/%s", [base, name]) | some name in ["hostNetwork", "hostPID", "hostIPC"]} with input as doc
	}
}

_owned(owner) := {"source": "kubernetes", "type": "v1/Pod", "origin": "kubernetes/a", "data": {
	"metadata": {"name": "a", "namespace": "ns", "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n"}, owner]},
	"spec": _spec,
}}

_replica_set := {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a-1", "controller": true}

_with(key) := {"kubernetes": {"controller": {key: [{"id": "x", "origin": "kubernetes/a", "value": {"name": "a-1"}}]}}}

test_owned_is_excluded if {
	found := _with("kubernetes/a|ns/ReplicaSet/a-1")
	not isolation.applies with input as _owned(_replica_set) with data.estate as found
	pod.controllers == ["ReplicaSet/a-1"] with input as _owned(_replica_set) with data.estate as found
}

test_owned_without_a_namespace_is_excluded if {
	doc := json.patch(_owned(_replica_set), [{"op": "remove", "path": "/data/metadata/namespace"}])
	not isolation.applies with input as doc with data.estate as _with("kubernetes/a|/ReplicaSet/a-1")
}

test_owned_by_what_is_gone_is_judged if {
	every key in ["kubernetes/a|ns/ReplicaSet/a-2", "kubernetes/a|other/ReplicaSet/a-1", "kubernetes/b|ns/ReplicaSet/a-1", "kubernetes/a|ns/Job/a-1"] {
		isolation.applies with input as _owned(_replica_set) with data.estate as _with(key)
	}
}

test_owned_by_another_kind_is_judged if {
	found := _with("kubernetes/a|ns/ReplicaSet/a-1")
	every other in [{"apiVersion": "example.org/v1"}, {"kind": "Rollout"}, {"controller": false}] {
		isolation.applies with input as _owned(object.union(_replica_set, other)) with data.estate as found
	}
}

test_unread_is_undefined if {
	every doc in _documents({}) {
		not pod.privileged with input as doc
		not pod.host_namespaces with input as doc
		not pod.controllers with input as doc
	}
	every doc in _documents(object.union(_spec, {"ephemeralContainers": [{"securityContext": {"privileged": true}}]})) {
		not pod.privileged with input as doc
	}
}
