# METADATA
# description: Services of a cluster and who can reach them.
package lib.network.service

# The ways in which a service opens a port to every address: what does, what is recorded, and where.
world_openings := [opening | some opening in _openings] if {
	input.source == "kubernetes"
	input.type == "v1/Service"
	is_object(input.data.spec)
}

_openings contains {"by": "a load balancer without source ranges", "observed": "no source ranges", "path": "/data/spec/loadBalancerSourceRanges"} if {
	_outside_balancer
	count(_source_ranges) == 0
}

_openings contains {"by": "a load balancer whose source ranges include every address", "observed": cidr, "path": path} if {
	_outside_balancer
	some i, cidr in _source_ranges
	endswith(trim_space(cidr), "/0")
	path := sprintf("/data/spec/loadBalancerSourceRanges/%d", [i])
}

_openings contains {"by": "a port on every node", "observed": "NodePort", "path": "/data/spec/type"} if {
	input.data.spec.type == "NodePort"
}

_openings contains {"by": "an external address", "observed": address, "path": path} if {
	some i, address in input.data.spec.externalIPs
	path := sprintf("/data/spec/externalIPs/%d", [i])
}

_source_ranges := input.data.spec.loadBalancerSourceRanges

_source_ranges := [] if not input.data.spec.loadBalancerSourceRanges

_outside_balancer if {
	input.data.spec.type == "LoadBalancer"
	not _internal
}

# The annotations by which the large clouds keep a load balancer inside the network. Each is read by
# its own name, because the annotations beside them may hold secrets.
_internal if input.data.metadata.annotations["service.beta.kubernetes.io/aws-load-balancer-internal"] in {"true", "0.0.0.0/0"}

_internal if input.data.metadata.annotations["service.beta.kubernetes.io/aws-load-balancer-scheme"] == "internal"

_internal if input.data.metadata.annotations["service.beta.kubernetes.io/azure-load-balancer-internal"] == "true"

_internal if input.data.metadata.annotations["networking.gke.io/load-balancer-type"] == "Internal"
