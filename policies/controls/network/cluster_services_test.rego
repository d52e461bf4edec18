package controls.network.cluster_services_test

import data.controls.network.cluster_services
import data.lib.network.service

_service(spec, annotations) := {"source": "kubernetes", "type": "v1/Service", "data": {"metadata": {"name": "web", "annotations": annotations}, "spec": spec}}

_paths contains v.path if some v in cluster_services.violation

test_a_balancer_for_everyone_fails if {
	_paths == {"/data/spec/loadBalancerSourceRanges"} with input as _service({"type": "LoadBalancer"}, {})
	_paths == {"/data/spec/loadBalancerSourceRanges/1"} with input as _service({"type": "LoadBalancer", "loadBalancerSourceRanges": ["203.0.113.0/24", "0.0.0.0/0"]}, {})
}

test_node_ports_and_external_addresses_fail if {
	_paths == {"/data/spec/type"} with input as _service({"type": "NodePort"}, {})
	_paths == {"/data/spec/externalIPs/0"} with input as _service({"type": "ClusterIP", "externalIPs": ["198.51.100.7"]}, {})
}

test_a_balancer_for_some_passes if {
	_paths == set() with input as _service({"type": "LoadBalancer", "loadBalancerSourceRanges": ["203.0.113.0/24"]}, {})
}

test_internal_balancers_pass if {
	every annotation in [
		{"service.beta.kubernetes.io/aws-load-balancer-internal": "true"},
		{"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"},
		{"service.beta.kubernetes.io/azure-load-balancer-internal": "true"},
		{"networking.gke.io/load-balancer-type": "Internal"},
	] {
		_paths == set() with input as _service({"type": "LoadBalancer"}, annotation)
	}
}

test_other_services_pass if {
	_paths == set() with input as _service({"type": "ClusterIP"}, {})
	_paths == set() with input as _service({"type": "ExternalName", "externalName": "mail.example"}, {})
	_paths == set() with input as _service({"ports": []}, {})
}

test_unread_is_undefined if {
	not service.world_openings with input as {"source": "kubernetes", "type": "v1/Service", "data": {}}
}
