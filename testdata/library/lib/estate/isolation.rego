package lib.estate.kubernetes

import data.lib.keys

# Network policies that let nothing into any pod of their namespace but what they name.
estate contains {"kind": "isolation", "key": keys.controller(input.origin, "", "Namespace", input.data.metadata.namespace), "value": {"name": input.data.metadata.name}} if {
	input.source == "kubernetes"
	input.type == "networking.k8s.io/v1/NetworkPolicy"
	count(object.get(input.data.spec.podSelector, "matchLabels", {})) == 0
	count(object.get(input.data.spec.podSelector, "matchExpressions", [])) == 0
	"Ingress" in input.data.spec.policyTypes
}
