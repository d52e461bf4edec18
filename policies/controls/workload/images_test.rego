package controls.workload.images_test

import data.controls.workload.images
import data.lib.workload.pod

_parameters := {"WRK-002": {"registries": ["registry.nordhafen.example/"]}}

_digest := "sha256:55040c3b5b538718ecf1eec3660223d169583ca007fd889a4324cd5017964026"

_pod(list) := {"source": "kubernetes", "type": "v1/Pod", "data": {"metadata": {"name": "a"}, "spec": {
	"containers": [{"name": "app", "image": sprintf("registry.nordhafen.example/app@%s", [_digest])}],
	"initContainers": [{"name": sprintf("init-%d", [i]), "image": image} | some i, image in list],
}}}

test_pinned_from_ours_passes if {
	doc := _pod([sprintf("registry.nordhafen.example/app:1.2@%s", [_digest])])
	images.applies with data.parameters as _parameters with input as doc
	images.violation == set() with data.parameters as _parameters with input as doc
}

test_a_tag_fails if {
	{v.path | some v in images.violation} == {"/data/spec/initContainers/0/image"} with data.parameters as _parameters with input as _pod(["registry.nordhafen.example/app:latest"])
}

test_a_registry_that_only_begins_like_ours_fails if {
	{v.expected | some v in images.violation} == {"an image from registry.nordhafen.example/"} with data.parameters as _parameters with input as _pod([sprintf("registry.nordhafen.example.evil.example/app@%s", [_digest])])
}

test_a_registry_may_be_given_without_a_slash if {
	images.violation == set() with input as _pod([]) with data.parameters as {"WRK-002": {"registries": ["registry.nordhafen.example"]}}
}

test_a_short_name_fails_twice if {
	count(images.violation) == 2 with data.parameters as _parameters with input as _pod(["busybox"])
}

_owned := json.patch(_pod([]), [
	{"op": "add", "path": "/origin", "value": "kubernetes/a"},
	{"op": "add", "path": "/data/metadata/namespace", "value": "ns"},
	{"op": "add", "path": "/data/metadata/ownerReferences", "value": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "controller": true}]},
])

test_owned_is_excluded if {
	found := {"kubernetes": {"controller": {"kubernetes/a|ns/Job/j": [{"id": "x", "origin": "kubernetes/a", "value": {"name": "j"}}]}}}
	not images.applies with data.parameters as _parameters with input as _owned with data.estate as found
}

test_owned_by_what_is_gone_is_judged if {
	images.applies with data.parameters as _parameters with input as _owned with data.estate as {}
}

test_unread_is_undefined if {
	not pod.images with input as json.patch(_pod([]), [{"op": "remove", "path": "/data/spec/containers"}])
	not pod.images with input as json.patch(_pod(["x"]), [{"op": "remove", "path": "/data/spec/initContainers/0/image"}])
}
