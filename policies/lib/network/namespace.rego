# METADATA
# description: Namespaces of a cluster, and how their pods can be reached.
package lib.network.namespace

import data.lib.keys

name := input.data.metadata.name if {
	input.source == "kubernetes"
	input.type == "v1/Namespace"
}

name_path := "/data/metadata/name" if {
	input.source == "kubernetes"
	input.type == "v1/Namespace"
}

# What becomes of it: Active, Terminating, or planned where no cluster has made it yet. What a manifest says of
# its status is ignored by clusters, and here.
phase := input.data.status.phase if {
	input.source == "kubernetes"
	input.type == "v1/Namespace"
	input.data.metadata.uid
}

phase := "planned" if {
	input.source == "kubernetes"
	input.type == "v1/Namespace"
	input.data.metadata.name
	not input.data.metadata.uid
}

# The network policies that select all of its pods: those that let in only whom they name, and those that let
# everyone in, whatever others say.
closed_by := [policy.value.name | some policy in _policies; not policy.value.open] if {
	input.source == "kubernetes"
	input.type == "v1/Namespace"
	input.data.metadata.name
}

opened_by := [policy.value.name | some policy in _policies; policy.value.open] if {
	input.source == "kubernetes"
	input.type == "v1/Namespace"
	input.data.metadata.name
}

opened_path := "/name" if {
	input.source == "kubernetes"
	input.type == "v1/Namespace"
}

_policies := policies if {
	policies := data.estate.kubernetes.namespace_policy[keys.namespace(_scope, input.data.metadata.name)]
} else := []

# A cluster gives each object a uid. What is yet to be made is looked for in all manifests, not in its file alone.
_scope := input.origin if input.data.metadata.uid

_scope := "" if not input.data.metadata.uid
