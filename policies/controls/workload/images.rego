# METADATA
# title: Images are pinned and come from allowed registries
# description: >-
#   Every image is named by its digest and comes from a registry on the list. Of what a controller makes,
#   the controller's template is judged, not what was changed in the pod afterwards.
# custom:
#   id: WRK-002
#   severity: medium
#   applies_to:
#     - kubernetes/v1/Pod
#     - kubernetes/apps/v1/Deployment
#     - kubernetes/apps/v1/DaemonSet
#     - kubernetes/apps/v1/StatefulSet
#     - kubernetes/apps/v1/ReplicaSet
#     - kubernetes/batch/v1/Job
#     - kubernetes/batch/v1/CronJob
#   why: >-
#     A tag is a promise that whoever can push may break. A digest names one image for good, and a known
#     registry is one that somebody answers for.
#   excludes: >-
#     Another object controls this one and makes it from its template. It was found, and is judged instead.
#   parameters:
#     registries:
#       type: array
#       description: The registries, with or without a path within them, that images may come from.
#       default: ["registry.nordhafen.example/"]
#   fix:
#     kubernetes: |
#       containers:
#         - name: app
#           image: registry.nordhafen.example/app@sha256:DIGEST
#     kubectl: |
#       kubectl -n NAMESPACE set image KIND/NAME CONTAINER=registry.nordhafen.example/app@sha256:DIGEST
package controls.workload.images

import data.lib.workload.pod

default applies := false

applies if count(pod.controllers) == 0

violation contains {
	"message": sprintf("image %s is not pinned by a digest", [found.image]),
	"observed": found.image,
	"expected": "an image named by @sha256:…",
	"path": found.path,
} if {
	some found in pod.images
	not regex.match(`@sha256:[0-9a-f]{64}$`, found.image)
}

violation contains {
	"message": sprintf("image %s comes from no allowed registry", [found.image]),
	"observed": found.image,
	"expected": sprintf("an image from %s", [concat(" or ", data.parameters["WRK-002"].registries)]),
	"path": found.path,
} if {
	some found in pod.images
	not _allowed(found.image, data.parameters["WRK-002"].registries)
}

_allowed(image, registries) if {
	some registry in registries
	startswith(image, sprintf("%s/", [trim_right(registry, "/")]))
}
