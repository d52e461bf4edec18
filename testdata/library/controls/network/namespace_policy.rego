# METADATA
# title: Pods can be reached only as a network policy says
# description: Every namespace has a network policy that selects all of its pods and lets nothing in but what it names.
# custom:
#   id: NET-003
#   severity: high
#   applies_to: ["kubernetes/v1/Namespace"]
#   why: >-
#     Without a policy every pod of the cluster reaches every other one, so that who gets into the least of
#     them is next door to the most important.
#   excludes: The namespace is the cluster's own.
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
#   runbook: kubernetes-default-deny
package controls.network.namespace_policy

import data.lib.keys

default applies := false

applies if not input.data.metadata.name in data.parameters["NET-003"].system

violation contains {
	"message": "no network policy selects all pods of the namespace",
	"observed": "none",
	"expected": "a policy that selects all pods, of type Ingress",
	"path": "/data/metadata/name",
} if {
	not data.estate.kubernetes.isolation[keys.controller(input.origin, "", "Namespace", input.data.metadata.name)]
}
