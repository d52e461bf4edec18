# METADATA
# title: No role grants everything
# description: >-
#   No role but those that come with the platform has a rule with every verb on every resource. To whom
#   roles are bound, those of the platform included, is not tested.
# custom:
#   id: ACC-001
#   severity: critical
#   applies_to:
#     - kubernetes/rbac.authorization.k8s.io/v1/ClusterRole
#     - kubernetes/rbac.authorization.k8s.io/v1/Role
#   why: >-
#     Such a role grants what does not exist yet: every new kind of resource, and the right to grant
#     itself more. Whoever takes over one account that holds it has taken over the cluster.
#   excludes: >-
#     The role comes with the platform, which restores it: it has the label
#     kubernetes.io/bootstrapping=rbac-defaults and one of the names that the platform gives.
#   parameters:
#     platform_roles:
#       type: array
#       description: The names of roles that come with the platform; one that ends in * stands for all that begin so.
#       default: ["cluster-admin", "admin", "edit", "view", "system:*"]
#   fix:
#     kubernetes: |
#       rules:
#         - apiGroups: ["apps"]
#           resources: ["deployments"]
#           verbs: ["get", "list", "watch", "update"]
#     kubectl: |
#       # What do those who hold the role use? Ask the audit log, then narrow it:
#       kubectl edit clusterrole NAME
package controls.access.wildcard_roles

import data.lib.access.role

default applies := false

applies if not _platform

_platform if {
	role.bootstrap
	some known in data.parameters["ACC-001"].platform_roles
	_named(role.name, known)
}

_named(name, known) if name == known

_named(name, known) if {
	endswith(known, "*")
	startswith(name, trim_suffix(known, "*"))
}

violation contains {
	"message": "a rule grants every verb on every resource",
	"observed": rule.grants,
	"expected": "named verbs on named resources",
	"path": rule.path,
} if {
	some rule in role.unbounded_rules
}
