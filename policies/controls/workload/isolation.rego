# METADATA
# title: Workloads are kept apart from their node
# description: >-
#   No container is privileged, and none shares the node's network, process or IPC namespace. Of what a
#   controller makes, the controller's template is judged, not what was changed in the pod afterwards.
# custom:
#   id: WRK-001
#   severity: critical
#   applies_to:
#     - kubernetes/v1/Pod
#     - kubernetes/apps/v1/Deployment
#     - kubernetes/apps/v1/DaemonSet
#     - kubernetes/apps/v1/StatefulSet
#     - kubernetes/apps/v1/ReplicaSet
#     - kubernetes/batch/v1/Job
#     - kubernetes/batch/v1/CronJob
#   why: >-
#     Who gets into a privileged container, or into one that shares the node's namespaces, is on the node,
#     and from there in every other workload on it.
#   excludes: >-
#     Another object controls this one and makes it from its template. It was found, and is judged instead.
#   fix:
#     kubernetes: |
#       spec:
#         hostNetwork: false
#         hostPID: false
#         hostIPC: false
#         containers:
#           - name: app
#             securityContext:
#               privileged: false
#               allowPrivilegeEscalation: false
#     kubectl: |
#       # Refuse such pods in the namespace from now on:
#       kubectl label namespace NAME pod-security.kubernetes.io/enforce=baseline
package controls.workload.isolation

import data.lib.workload.pod

default applies := false

applies if count(pod.controllers) == 0

violation contains {
	"message": sprintf("container %s is privileged", [found.container]),
	"observed": true,
	"expected": false,
	"path": found.path,
} if {
	some found in pod.privileged
}

violation contains {
	"message": sprintf("the containers share a namespace of the node (%s)", [found.namespace]),
	"observed": true,
	"expected": false,
	"path": found.path,
} if {
	some found in pod.host_namespaces
}
