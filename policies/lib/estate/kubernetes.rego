# METADATA
# description: What others may look up of clusters.
package lib.estate.kubernetes

import data.lib.keys

# Nodes by name.
estate contains {"kind": "node", "key": keys.name(input.data.metadata.name), "value": {"ready": _ready}} if {
	input.source == "kubernetes"
	input.type == "v1/Node"
}

# Nodes by each of their addresses.
estate contains {"kind": "node_address", "key": keys.host(entry.address), "value": {"node": input.data.metadata.name, "ready": _ready}} if {
	input.source == "kubernetes"
	input.type == "v1/Node"
	some entry in input.data.status.addresses
	entry.type in {"InternalIP", "ExternalIP"}
}

# What makes pods, by namespace, kind and name.
estate contains {"kind": "controller", "key": key, "value": {"name": input.data.metadata.name}} if {
	input.source == "kubernetes"
	input.type in {
		"apps/v1/Deployment", "apps/v1/DaemonSet", "apps/v1/StatefulSet", "apps/v1/ReplicaSet",
		"batch/v1/Job", "batch/v1/CronJob",
	}
	kind := split(input.type, "/")[2]
	key := keys.controller(input.origin, _namespace, kind, input.data.metadata.name)
}

_namespace := input.data.metadata.namespace

_namespace := "" if not input.data.metadata.namespace

# What a node says of itself: "True", "False", "Unknown", or "none" before it has said anything.
_ready := condition.status if {
	input.source == "kubernetes"
	input.type == "v1/Node"
	some condition in input.data.status.conditions
	condition.type == "Ready"
}

_ready := "none" if {
	input.source == "kubernetes"
	input.type == "v1/Node"
	not "Ready" in [condition.type | some condition in input.data.status.conditions]
}
