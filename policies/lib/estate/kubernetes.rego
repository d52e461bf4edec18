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

# The network policies that say what may reach each pod of a namespace, and whether they let everyone in.
estate contains {"kind": "namespace_policy", "key": keys.namespace(_scope, input.data.metadata.namespace), "value": {"name": input.data.metadata.name, "open": _open}} if {
	input.source == "kubernetes"
	input.type == "networking.k8s.io/v1/NetworkPolicy"
	_everything(object.get(input.data.spec, "podSelector", {}))
	_ingress
}

# A policy that does not say which way it works works inwards.
_ingress if "Ingress" in input.data.spec.policyTypes

_ingress if count([way | some way in input.data.spec.policyTypes]) == 0

_open if {
	some rule in input.data.spec.ingress
	_anyone(rule)
}

_open := false if {
	count([rule | some rule in input.data.spec.ingress; _anyone(rule)]) == 0
}

# A rule without sources lets in from everywhere, also if it names ports.
_anyone(rule) if count([peer | some peer in rule.from]) == 0

_anyone(rule) if {
	some peer in rule.from
	endswith(peer.ipBlock.cidr, "/0")
	count([cidr | some cidr in peer.ipBlock.except]) == 0
}

_anyone(rule) if {
	some peer in rule.from
	is_object(peer.namespaceSelector)
	_everything(peer.namespaceSelector)
	_everything(object.get(peer, "podSelector", {}))
}

# A selector that asks for nothing selects everything.
_everything(selector) if {
	count([label | some label in selector.matchLabels]) == 0
	count([expression | some expression in selector.matchExpressions]) == 0
}

_scope := input.origin if input.data.metadata.uid

_scope := "" if not input.data.metadata.uid

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
