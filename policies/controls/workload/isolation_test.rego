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

_owned := {"source": "kubernetes", "type": "v1/Pod", "data": {
	"metadata": {"name": "a", "ownerReferences": [{"kind": "Node", "name": "n"}, {"kind": "ReplicaSet", "name": "a-1", "controller": true}]},
	"spec": _spec,
}}

test_owned_is_excluded if {
	not isolation.applies with input as _owned
	pod.controller == "ReplicaSet/a-1" with input as _owned
}

test_unread_is_undefined if {
	every doc in _documents({}) {
		not pod.privileged with input as doc
		not pod.host_namespaces with input as doc
		not pod.controller with input as doc
	}
	every doc in _documents(object.union(_spec, {"ephemeralContainers": [{"securityContext": {"privileged": true}}]})) {
		not pod.privileged with input as doc
	}
}
