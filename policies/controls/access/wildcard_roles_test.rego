package controls.access.wildcard_roles_test

import data.controls.access.wildcard_roles
import data.lib.access.role

_role(rules) := {"source": "kubernetes", "type": "rbac.authorization.k8s.io/v1/ClusterRole", "data": {"metadata": {"name": "a"}, "rules": rules}}

test_everything_fails if {
	{v.path | some v in wildcard_roles.violation} == {"/data/rules/1"} with input as _role([
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

test_bootstrap_is_excluded if {
	doc := {"source": "kubernetes", "type": "rbac.authorization.k8s.io/v1/ClusterRole", "data": {"metadata": {"name": "cluster-admin", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}, "rules": []}}
	not wildcard_roles.applies with input as doc
}

test_unread_is_undefined if {
	doc := {"source": "kubernetes", "type": "rbac.authorization.k8s.io/v1/Role", "data": {"metadata": {"name": "a"}}}
	not role.unbounded_rules with input as doc
	not role.bootstrap with input as {"source": "kubernetes", "type": "rbac.authorization.k8s.io/v1/Role", "data": {}}
}
