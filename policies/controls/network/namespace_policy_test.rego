package controls.network.namespace_policy_test

import data.controls.network.namespace_policy
import data.lib.network.namespace

_parameters := {"NET-003": {"system": ["kube-system"]}}

_namespace(name, phase) := {
	"source": "kubernetes", "type": "v1/Namespace", "origin": "kubernetes/a",
	"data": {"metadata": {"name": name, "uid": "u"}, "status": {"phase": phase}},
}

_planned := {"source": "kubernetes", "type": "v1/Namespace", "origin": "kubernetes/a.yaml", "data": {"metadata": {"name": "web"}, "status": {"phase": "Terminating"}}}

_policies(list) := {"kubernetes": {"namespace_policy": {"kubernetes/a|web": list}}}

_policy(name, open) := {"id": name, "origin": "kubernetes/a", "value": {"name": name, "open": open}}

_observed contains v.observed if some v in namespace_policy.violation

_paths contains v.path if some v in namespace_policy.violation

test_a_policy_for_all_pods_passes if {
	namespace_policy.applies with data.parameters as _parameters with input as _namespace("web", "Active")
	_observed == set() with input as _namespace("web", "Active") with data.estate as _policies([_policy("deny", false), _policy("own", false)])
}

test_no_policy_fails if {
	_observed == {"none"} with input as _namespace("web", "Active") with data.estate as {}
	_paths == {"/data/metadata/name"} with input as _namespace("other", "Active") with data.estate as _policies([_policy("deny", false)])
}

test_a_policy_that_lets_everyone_in_fails if {
	_observed == {"all"} with input as _namespace("web", "Active") with data.estate as _policies([_policy("all", true), _policy("deny", false)])
	_paths == {"/name"} with input as _namespace("web", "Active") with data.estate as _policies([_policy("all", true)])
}

test_manifests_are_one_set if {
	_observed == set() with input as _planned with data.estate as {"kubernetes": {"namespace_policy": {"|web": [_policy("deny", false)]}}}
	_observed == {"none"} with input as _planned with data.estate as {"kubernetes": {"namespace_policy": {"kubernetes/a.yaml|web": [_policy("deny", false)]}}}
}

test_the_clusters_own_and_what_is_going_are_excluded if {
	not namespace_policy.applies with data.parameters as _parameters with input as _namespace("kube-system", "Active")
	not namespace_policy.applies with data.parameters as _parameters with input as _namespace("web", "Terminating")
	namespace_policy.applies with data.parameters as _parameters with input as _planned
}

test_unread_is_undefined if {
	empty := {"source": "kubernetes", "type": "v1/Namespace", "origin": "kubernetes/a", "data": {"metadata": {"uid": "u"}}}
	not namespace.name with input as empty
	not namespace.phase with input as empty
	not namespace.closed_by with input as empty with data.estate as {}
	not namespace.opened_by with input as empty with data.estate as {}
}
