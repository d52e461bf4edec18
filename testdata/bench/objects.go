package main

import (
	"fmt"
	"math"
	"strconv"
)

func (d *draft) controller() {
	labels := map[string]any{"app.kubernetes.io/name": d.name}
	d.object["spec"] = map[string]any{
		"replicas": d.number(1 + d.IntN(6)), "revisionHistoryLimit": d.number(10), "progressDeadlineSeconds": d.number(600),
		"selector": map[string]any{"matchLabels": labels},
		"strategy": map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxSurge": "25%", "maxUnavailable": "25%"}},
		"template": map[string]any{
			"metadata": map[string]any{"labels": labels, "creationTimestamp": nil},
			"spec":     d.podSpec("/data/spec/template/spec"),
		},
	}
	d.object["status"] = map[string]any{
		"observedGeneration": d.number(1 + d.IntN(40)), "readyReplicas": d.number(d.IntN(6)),
		"conditions": []any{
			map[string]any{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability.", "lastTransitionTime": "2026-11-01T04:05:06Z"},
			map[string]any{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": fmt.Sprintf("ReplicaSet %q has successfully progressed.", d.name+"-"+d.hex(10)), "lastTransitionTime": "2026-11-01T04:05:06Z"},
		},
	}
}

func (d *draft) cronJob() {
	d.object["spec"] = map[string]any{
		"schedule": fmt.Sprintf("%d %d * * *", d.IntN(60), d.IntN(24)), "concurrencyPolicy": "Forbid", "suspend": d.chance(10),
		"jobTemplate": map[string]any{"metadata": map[string]any{}, "spec": map[string]any{"template": map[string]any{
			"metadata": map[string]any{}, "spec": d.podSpec("/data/spec/jobTemplate/spec/template/spec"),
		}}},
	}
	d.object["status"] = map[string]any{}
}

func (d *draft) pod() {
	d.object["spec"] = d.podSpec("/data/spec")
	d.object["status"] = map[string]any{"phase": "Running", "podIP": d.address(), "podIPs": []any{map[string]any{"ip": d.address()}}, "qosClass": "Burstable"}
}

func (d *draft) address() string {
	return fmt.Sprintf("10.%d.%d.%d", d.IntN(256), d.IntN(256), d.IntN(256))
}

// podSpec has one container, seldom up to four.
func (d *draft) podSpec(at string) map[string]any {
	account := d.name
	if d.chance(6) {
		account = "default"
	}
	containers := make([]any, 1+int(min(3, d.ExpFloat64()*0.8)))
	for i := range containers {
		containers[i] = d.container(i, fmt.Sprintf("%s/containers/%d", at, i))
	}
	volumes := []any{
		map[string]any{"name": "data", "emptyDir": map[string]any{}},
		map[string]any{"name": "settings", "configMap": map[string]any{"name": d.name, "defaultMode": d.number(420)}},
	}
	if d.chance(2) {
		volumes = append(volumes, map[string]any{"name": "host", "hostPath": map[string]any{"path": pick(d, []string{"/var/run/docker.sock", "/etc/ssl", "/proc", "/srv/data"}), "type": ""}})
	}
	spec := map[string]any{
		"containers": containers, "volumes": volumes, "serviceAccountName": account, "automountServiceAccountToken": d.chance(30),
		"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": d.number(30),
		"securityContext": map[string]any{"fsGroup": d.number(65532), "runAsNonRoot": true}, "nodeSelector": map[string]any{"kubernetes.io/os": "linux"},
		"tolerations": []any{map[string]any{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": d.number(300)}},
		"affinity": map[string]any{"podAntiAffinity": map[string]any{"preferredDuringSchedulingIgnoredDuringExecution": []any{map[string]any{
			"weight":          d.number(100),
			"podAffinityTerm": map[string]any{"topologyKey": "kubernetes.io/hostname", "labelSelector": map[string]any{"matchLabels": map[string]any{"app.kubernetes.io/name": d.name}}},
		}}}},
	}
	if d.chance(15) {
		spec["initContainers"] = []any{d.container(9, at+"/initContainers/0")}
	}
	if d.chance(2) {
		spec[pick(d, []string{"hostNetwork", "hostPID", "hostIPC"})] = true
	}
	return spec
}

func (d *draft) container(i int, at string) map[string]any {
	tag := fmt.Sprintf("%d.%d.%d", d.IntN(5), d.IntN(30), d.IntN(20))
	switch {
	case d.chance(6):
		tag = "latest"
	case d.chance(92):
		tag += "@sha256:" + d.hex(64)
	}
	drop := []any{"ALL", "MKNOD", "NET_RAW", "SETUID", "SYS_CHROOT"}
	if d.chance(8) {
		drop = []any{}
	}
	capabilities := map[string]any{"drop": drop}
	if d.chance(5) {
		capabilities["add"] = []any{pick(d, []string{"NET_ADMIN", "NET_BIND_SERVICE", "SYS_PTRACE", "CHOWN"})}
	}
	user := d.number(65532)
	if d.chance(4) {
		user = d.number(0)
	}
	c := map[string]any{
		"workingDir": "/app", "tty": d.chance(2),
		"name": fmt.Sprintf("%s-%d", pick(d, nouns), i), "image": "registry.nordhafen.example/" + d.namespace + "/" + d.name + ":" + tag,
		"imagePullPolicy": "IfNotPresent", "env": d.environment(at), "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
		"ports": []any{map[string]any{"name": "http", "containerPort": d.number(8080 + i), "protocol": "TCP"}, map[string]any{"name": "metrics", "containerPort": d.number(9090 + i), "protocol": "TCP"}},
		"securityContext": map[string]any{
			"privileged": d.chance(2), "allowPrivilegeEscalation": d.chance(8), "runAsNonRoot": !d.chance(7), "readOnlyRootFilesystem": !d.chance(12),
			"capabilities": capabilities, "seccompProfile": d.profile(), "appArmorProfile": d.profile(),
			"runAsUser": user, "runAsGroup": user, "procMount": "Default", "seLinuxOptions": map[string]any{"type": "container_t"},
		},
		"volumeMounts": []any{
			map[string]any{"name": "data", "mountPath": "/data"},
			map[string]any{"name": "settings", "mountPath": "/etc/app", "readOnly": true},
			map[string]any{"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true},
		},
	}
	if !d.chance(10) {
		c["resources"] = map[string]any{
			"limits":   map[string]any{"cpu": fmt.Sprintf("%dm", 100+d.IntN(20)*100), "memory": fmt.Sprintf("%dMi", 64<<d.IntN(6)), "ephemeral-storage": "1Gi"},
			"requests": map[string]any{"cpu": "100m", "memory": "128Mi"},
		}
	}
	if !d.chance(15) {
		probe := map[string]any{"httpGet": map[string]any{"path": "/healthz", "port": "http", "scheme": "HTTP"}, "periodSeconds": d.number(10), "timeoutSeconds": d.number(1), "failureThreshold": d.number(3)}
		c["livenessProbe"], c["readinessProbe"], c["startupProbe"] = probe, probe, probe
		c["lifecycle"] = map[string]any{"preStop": map[string]any{"sleep": map[string]any{"seconds": d.number(5)}}}
	}
	return c
}

func (d *draft) profile() map[string]any {
	if d.chance(5) {
		return map[string]any{"type": "Unconfined"}
	}
	return map[string]any{"type": "RuntimeDefault"}
}

// environment has few variables mostly, hundreds seldom. Literals are tokens, as
// the collector leaves them.
func (d *draft) environment(at string) []any {
	n := int(min(700, 2*math.Exp(1.1*d.NormFloat64())))
	out := make([]any, n)
	for i := range out {
		name := fmt.Sprintf("%s_%d", pick(d, []string{"DATABASE_URL", "LOG_LEVEL", "QUEUE", "REGION", "FEATURE"}), i)
		if d.chance(40) {
			out[i] = map[string]any{"name": name, "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": d.name, "key": "key-" + strconv.Itoa(i)}}}
			continue
		}
		out[i] = map[string]any{"name": name, "value": "redacted:" + d.hex(32)}
		d.redacted = append(d.redacted, fmt.Sprintf("%s/env/%d/value", at, i))
	}
	return out
}

func (d *draft) service() {
	d.object["spec"] = map[string]any{
		"type": pick(d, []string{"ClusterIP", "ClusterIP", "ClusterIP", "ClusterIP", "ClusterIP", "ClusterIP", "ClusterIP", "LoadBalancer", "NodePort"}), "clusterIP": d.address(),
		"ports":    []any{map[string]any{"name": "http", "port": d.number(80), "targetPort": d.number(8080), "protocol": "TCP"}},
		"selector": map[string]any{"app.kubernetes.io/name": d.name}, "sessionAffinity": "None", "ipFamilies": []any{"IPv4"}, "ipFamilyPolicy": "SingleStack",
	}
	d.object["status"] = map[string]any{"loadBalancer": map[string]any{}}
}

func (d *draft) configMap() {
	data := map[string]any{}
	for i := range 1 + d.IntN(12) {
		key := fmt.Sprintf("%s-%d.yaml", pick(d, nouns), i)
		data[key] = "redacted:" + d.hex(32)
		d.redacted = append(d.redacted, "/data/data/"+key)
	}
	d.object["data"] = data
	if d.chance(70) {
		d.object["immutable"] = true
	}
}

func (d *draft) serviceAccount() {
	d.object["automountServiceAccountToken"] = d.chance(12)
	d.object["imagePullSecrets"] = []any{map[string]any{"name": "registry"}}
	d.object["secrets"] = nil
}

func (d *draft) roleBinding() {
	d.object["roleRef"] = map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": pick(d, []string{"view", "view", "view", "edit", "admin", "reader", "cluster-admin"})}
	subjects := make([]any, 1+d.IntN(4))
	for i := range subjects {
		subjects[i] = map[string]any{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": fmt.Sprintf("%s.%s@nordhafen.example", pick(d, nouns), pick(d, nouns))}
	}
	d.object["subjects"] = subjects
}

func (d *draft) ingress() {
	rules, hosts := make([]any, 1+d.IntN(5)), []any{}
	for i := range rules {
		host := fmt.Sprintf("%s-%d.nordhafen.example", d.name, i)
		hosts = append(hosts, host)
		rules[i] = map[string]any{"host": host, "http": map[string]any{"paths": []any{map[string]any{
			"path": "/", "pathType": "Prefix", "backend": map[string]any{"service": map[string]any{"name": d.name, "port": map[string]any{"number": d.number(80)}}},
		}}}}
	}
	spec := map[string]any{"ingressClassName": "nginx", "rules": rules}
	if !d.chance(10) {
		spec["tls"] = []any{map[string]any{"hosts": hosts, "secretName": d.name + "-tls"}}
	}
	d.object["spec"] = spec
}

func (d *draft) networkPolicy() {
	spec := map[string]any{"podSelector": map[string]any{"matchLabels": map[string]any{"app.kubernetes.io/name": d.name}}, "policyTypes": []any{"Ingress", "Egress"}, "egress": []any{map[string]any{}}}
	if !d.chance(8) {
		spec["ingress"] = []any{map[string]any{"from": []any{map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"team": pick(d, teams)}}}}, "ports": []any{map[string]any{"port": d.number(8080), "protocol": "TCP"}}}}
	}
	d.object["spec"] = spec
}

// definition has a schema of a few kilobytes up to two hundred, nested deeply.
func (d *draft) definition() {
	budget := 2_000 + int(min(190_000, 5_000*math.Exp(1.7*d.NormFloat64())))
	versions := []any{}
	for budget > 0 {
		schema := d.schema(6, &budget)
		versions = append(versions, map[string]any{"name": fmt.Sprintf("v%d", len(versions)+1), "served": true, "storage": len(versions) == 0, "schema": map[string]any{"openAPIV3Schema": schema}})
	}
	d.object["spec"] = map[string]any{"group": "nordhafen.example", "scope": "Namespaced", "names": map[string]any{"kind": "Thing", "plural": d.name}, "versions": versions}
}

func (d *draft) schema(depth int, budget *int) map[string]any {
	s := map[string]any{"description": pick(d, purposes) + ", " + pick(d, purposes), "type": "string"}
	*budget -= 130
	if depth == 0 || *budget <= 0 {
		return s
	}
	properties := map[string]any{}
	for i := range 2 + d.IntN(5) {
		properties[fmt.Sprintf("%s%d", pick(d, nouns), i)] = d.schema(depth-1-d.IntN(2)*min(1, depth-1), budget)
	}
	s["type"], s["properties"] = "object", properties
	return s
}
