# METADATA
# title: No cluster service opens a port to the world
# description: >-
#   A load balancer is internal or names the networks it serves; no service opens a port on every node and
#   none listens on an external address.
# custom:
#   id: NET-002
#   severity: high
#   applies_to: ["kubernetes/v1/Service"]
#   why: >-
#     A service is one line away from the internet, and nobody reviews that line as they would a firewall
#     rule. What is meant to be public belongs behind the ingress that terminates TLS and keeps logs.
#   fix:
#     kubernetes: |
#       metadata:
#         annotations:
#           service.beta.kubernetes.io/aws-load-balancer-scheme: internal
#       spec:
#         type: LoadBalancer
#         loadBalancerSourceRanges: ["203.0.113.0/24"]
#     kubectl: |
#       kubectl -n NAMESPACE patch service NAME -p '{"spec":{"type":"ClusterIP","externalIPs":null}}'
package controls.network.cluster_services

import data.lib.network.service

violation contains {
	"message": sprintf("the service opens a port to the world by %s", [opening.by]),
	"observed": opening.observed,
	"expected": "reachable from named networks only",
	"path": opening.path,
} if {
	some opening in service.world_openings
}
