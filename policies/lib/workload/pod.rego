# METADATA
# description: Pods, and what makes pods.
package lib.workload.pod

import data.lib.keys

# The objects that control this one and are judged in its place: kind and name of each that was found. One
# that is gone, or of a kind that makes pods in ways of its own, does not count.
controllers := [sprintf("%s/%s", [owner.kind, owner.name]) |
	some owner in input.data.metadata.ownerReferences
	owner.controller == true
	sprintf("%s/%s", [owner.apiVersion, owner.kind]) in _makers
	data.estate.kubernetes.controller[keys.controller(input.origin, _namespace, owner.kind, owner.name)]
] if {
	_spec.containers[0].name
}

_makers := {
	"apps/v1/Deployment", "apps/v1/DaemonSet", "apps/v1/StatefulSet", "apps/v1/ReplicaSet",
	"batch/v1/Job", "batch/v1/CronJob",
}

_namespace := input.data.metadata.namespace

_namespace := "" if not input.data.metadata.namespace

# The containers that have all that the node has: which, and where it says so. The lists of containers are
# each read by name, because what lies beside them may hold secrets.
privileged := array.concat(
	_privileged(_spec.containers, "containers"),
	array.concat(_privileged(_init, "initContainers"), _privileged(_ephemeral, "ephemeralContainers")),
) if {
	_spec.containers[0].name
	not _nameless
}

_privileged(list, name) := [{"container": container.name, "path": path} |
	some i, container in list
	container.securityContext.privileged == true
	path := sprintf("%s/%s/%d/securityContext/privileged", [_path, name, i])
]

# The namespaces of the node that the containers share: which, and where it says so.
host_namespaces := [{"namespace": name, "path": sprintf("%s/%s", [_path, name])} | some name in _shared] if {
	_spec.containers[0].name
}

_shared contains "hostIPC" if _spec.hostIPC == true

_shared contains "hostNetwork" if _spec.hostNetwork == true

_shared contains "hostPID" if _spec.hostPID == true

# The images of all containers, and where each is named.
images := array.concat(
	_images(_spec.containers, "containers"),
	array.concat(_images(_init, "initContainers"), _images(_ephemeral, "ephemeralContainers")),
) if {
	_spec.containers[0].image
	not _imageless
}

_images(list, name) := [{"image": container.image, "path": sprintf("%s/%s/%d/image", [_path, name, i])} |
	some i, container in list
]

_nameless if {
	some list in [_spec.containers, _init, _ephemeral]
	some container in list
	not container.name
}

_imageless if {
	some list in [_spec.containers, _init, _ephemeral]
	some container in list
	not container.image
}

# Each one by one: a list taken as a whole would count as read with the secrets in it.
_init := [container | some container in _spec.initContainers]

_ephemeral := [container | some container in _spec.ephemeralContainers]

_spec := input.data.spec if {
	input.source == "kubernetes"
	input.type == "v1/Pod"
}

_spec := input.data.spec.template.spec if {
	input.source == "kubernetes"
	input.type in {"apps/v1/Deployment", "apps/v1/DaemonSet", "apps/v1/StatefulSet", "apps/v1/ReplicaSet", "batch/v1/Job"}
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
	input.type in {"apps/v1/Deployment", "apps/v1/DaemonSet", "apps/v1/StatefulSet", "apps/v1/ReplicaSet", "batch/v1/Job"}
}

_path := "/data/spec/jobTemplate/spec/template/spec" if {
	input.source == "kubernetes"
	input.type == "batch/v1/CronJob"
}
