# METADATA
# description: Roles of a cluster.
package lib.access.role

name := input.data.metadata.name if {
	input.source == "kubernetes"
	input.type in {"rbac.authorization.k8s.io/v1/ClusterRole", "rbac.authorization.k8s.io/v1/Role"}
}

# Whether the role says that it comes with the platform itself. Whoever may edit a role can make it say so.
bootstrap := input.data.metadata.labels["kubernetes.io/bootstrapping"] == "rbac-defaults" if {
	input.source == "kubernetes"
	input.type in {"rbac.authorization.k8s.io/v1/ClusterRole", "rbac.authorization.k8s.io/v1/Role"}
	input.data.metadata.name
}

bootstrap := false if {
	input.source == "kubernetes"
	input.type in {"rbac.authorization.k8s.io/v1/ClusterRole", "rbac.authorization.k8s.io/v1/Role"}
	input.data.metadata.name
	not input.data.metadata.labels["kubernetes.io/bootstrapping"]
}

# The rules that grant every verb on every resource, and where each is written.
unbounded_rules := [{"path": sprintf("/data/rules/%d", [i]), "grants": {"resources": rule.resources, "verbs": rule.verbs}} |
	some i, rule in input.data.rules
	"*" in rule.verbs
	"*" in rule.resources
] if {
	input.source == "kubernetes"
	input.type in {"rbac.authorization.k8s.io/v1/ClusterRole", "rbac.authorization.k8s.io/v1/Role"}
	input.data.metadata.name
	is_array(input.data.rules)
}

unbounded_rules := [] if {
	input.source == "kubernetes"
	input.type in {"rbac.authorization.k8s.io/v1/ClusterRole", "rbac.authorization.k8s.io/v1/Role"}
	input.data.metadata.name
	input.data.rules == null
}

# An aggregated role that nothing has been added to yet.
unbounded_rules := [] if {
	input.source == "kubernetes"
	input.type in {"rbac.authorization.k8s.io/v1/ClusterRole", "rbac.authorization.k8s.io/v1/Role"}
	input.data.metadata.name
	not input.data.rules
	is_object(input.data.aggregationRule)
}
