package controls.access.wildcard_roles_test

import data.controls.access.wildcard_roles
import data.lib.access.role

_parameters := {"ACC-001": {"platform_roles": ["cluster-admin", "system:*"]}}

_role(rules) := {"source": "kubernetes", "type": "rbac.authorization.k8s.io/v1/ClusterRole", "data": {"metadata": {"name": "a"}, "rules": rules}}

test_everything_fails if {
	{v.path: v.observed | some v in wildcard_roles.violation} == {"/data/rules/1": {"resources": ["*"], "verbs": ["get", "*"]}} with input as _role([
		{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
		{"apiGroups": ["apps"], "resources": ["*"], "verbs": ["get", "*"]},
	])
}

test_less_passes if {
	doc := _role([
		{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]},
		{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]},
		{"nonResourceURLs": ["*"], "verbs": ["*"]},
	])
	wildcard_roles.applies with input as doc
	wildcard_roles.violation == set() with input as doc
	wildcard_roles.violation == set() with input as _role(null)
	wildcard_roles.violation == set() with input as {"source": "kubernetes", "type": "rbac.authorization.k8s.io/v1/ClusterRole", "data": {"metadata": {"name": "a"}, "aggregationRule": {}}}
}

_labelled(name) := {"source": "kubernetes", "type": "rbac.authorization.k8s.io/v1/ClusterRole", "data": {
	"metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
	"rules": [],
}}

test_the_platforms_own_is_excluded if {
	every name in ["cluster-admin", "system:masters"] {
		not wildcard_roles.applies with input as _labelled(name) with data.parameters as _parameters
	}
}

test_the_label_alone_does_not_exclude if {
	every name in ["ops", "cluster-admin-2", "my-system:x"] {
		wildcard_roles.applies with input as _labelled(name) with data.parameters as _parameters
	}
}

test_the_name_alone_does_not_exclude if {
	doc := json.patch(_labelled("cluster-admin"), [{"op": "remove", "path": "/data/metadata/labels"}])
	wildcard_roles.applies with input as doc with data.parameters as _parameters
}

test_unread_is_undefined if {
	doc := {"source": "kubernetes", "type": "rbac.authorization.k8s.io/v1/Role", "data": {"metadata": {"name": "a"}}}
	not role.unbounded_rules with input as doc
	not role.name with input as {"source": "kubernetes", "type": "rbac.authorization.k8s.io/v1/Role", "data": {}}
	not role.bootstrap with input as {"source": "kubernetes", "type": "rbac.authorization.k8s.io/v1/Role", "data": {}}
}
