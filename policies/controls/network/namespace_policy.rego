# METADATA
# title: Pods can be reached only as a network policy says
# description: >-
#   Every namespace has a network policy (networking.k8s.io/v1) of type Ingress that selects all of its pods, by
#   an empty selector, and lets nobody in but whom its rules name; and no policy that selects all of its pods lets
#   everyone in, by a rule that names no source, all addresses (/0 without exceptions) or all pods of all
#   namespaces. What policies let in to some of the pods is not judged, and policies of other kinds (of Cilium, of
#   Calico, the administrator's) are not looked at.
# custom:
#   id: NET-003
#   severity: high
#   applies_to: ["kubernetes/v1/Namespace"]
#   why: >-
#     Without a policy every pod of the cluster reaches every other one, so that who gets into the least of
#     them is next door to the most important.
#   excludes: The namespace is the cluster's own, or is being deleted, so that nothing can be made in it.
#   needs_all: true
#   parameters:
#     system:
#       type: array
#       description: The namespaces that are the cluster's own.
#       default: [kube-system, kube-public, kube-node-lease]
#   fix:
#     kubernetes: |
#       apiVersion: networking.k8s.io/v1
#       kind: NetworkPolicy
#       metadata: {name: default-deny, namespace: NAMESPACE}
#       spec: {podSelector: {}, policyTypes: [Ingress]}
#     kubectl: |
#       # If a policy lets everyone in: see who needs it, name them in policies of their own, then
#       kubectl -n NAMESPACE delete networkpolicy NAME
#   runbook: kubernetes-default-deny
package controls.network.namespace_policy

import data.lib.network.namespace

default applies := false

applies if {
	not namespace.name in data.parameters["NET-003"].system
	namespace.phase != "Terminating"
}

violation contains {
	"message": "no network policy selects all pods of the namespace",
	"observed": "none",
	"expected": "a network policy of type Ingress that selects all pods",
	"path": namespace.name_path,
} if {
	count(namespace.closed_by) == 0
	count(namespace.opened_by) == 0
}

violation contains {
	"message": sprintf("the network policy %s lets everyone in to all pods", [policy]),
	"observed": policy,
	"expected": "no policy that lets everyone in to all pods",
	"path": namespace.opened_path,
} if {
	some policy in namespace.opened_by
}
