# METADATA
# description: Pods, and what makes pods.
package lib.workload.pod

# What controls the object: kind and name of its owner, or "none" for what somebody wrote.
controller := sprintf("%s/%s", [owner.kind, owner.name]) if {
	_spec.containers[0].name
	some owner in input.data.metadata.ownerReferences
	owner.controller == true
}

controller := "none" if {
	_spec.containers[0].name
	not _controlled
}

_controlled if {
	some owner in input.data.metadata.ownerReferences
	owner.controller == true
}

# The containers that have all that the node has: which, and where it says so.
privileged := [{"container": container.name, "path": path} |
	some list in _lists
	some i, container in _spec[list]
	container.securityContext.privileged == true
	path := sprintf("%s/%s/%d/securityContext/privileged", [_path, list, i])
] if {
	_spec.containers[0].name
	not _nameless
}

_nameless if {
	some list in _lists
	some container in _spec[list]
	not container.name
}

# The namespaces of the node that the containers share: which, and where it says so.
host_namespaces := [{"namespace": name, "path": sprintf("%s/%s", [_path, name])} |
	some name in ["hostIPC", "hostNetwork", "hostPID"]
	_spec[name] == true
] if {
	_spec.containers[0].name
}

# The images of all containers, and where each is named.
images := [{"image": container.image, "path": path} |
	some list in _lists
	some i, container in _spec[list]
	path := sprintf("%s/%s/%d/image", [_path, list, i])
] if {
	_spec.containers[0].image
	not _unnamed
}

_unnamed if {
	some list in _lists
	some container in _spec[list]
	not container.image
}

_lists := ["initContainers", "containers", "ephemeralContainers"]

_spec := input.data.spec if {
	input.source == "kubernetes"
	input.type == "v1/Pod"
}

_spec := input.data.spec.template.spec if {
	input.source == "kubernetes"
	input.type in {"apps/v1/Deployment", "apps/v1/DaemonSet", "apps/v1/StatefulSet", "batch/v1/Job"}
}

_spec := input.data.spec.jobTemplate.spec.template.spec if {
	input.source == "kubernetes"
	input.type == "batch/v1/CronJob"
}

_path := "/data/spec" if {
	input.source == "kubernetes"
	input.type == "v1/Pod"
}

_path := "/data/spec/template/spec" if {
	input.source == "kubernetes"
	input.type in {"apps/v1/Deployment", "apps/v1/DaemonSet", "apps/v1/StatefulSet", "batch/v1/Job"}
}

_path := "/data/spec/jobTemplate/spec/template/spec" if {
	input.source == "kubernetes"
	input.type == "batch/v1/CronJob"
}
