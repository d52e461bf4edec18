package main

import (
	"fmt"
	"strings"
)

// workloads are the types that hold a pod's specification.
var workloads = []string{
	"kubernetes/v1/Pod", "kubernetes/apps/v1/Deployment", "kubernetes/apps/v1/StatefulSet",
	"kubernetes/apps/v1/DaemonSet", "kubernetes/batch/v1/Job", "kubernetes/batch/v1/CronJob",
}

// heads begin the adapters' packages.
var heads = map[string]string{
	"pod": `package lib.bench.pod

_spec := input.data.spec if {
	input.source == "kubernetes"
	input.type == "v1/Pod"
}

_spec := input.data.spec.template.spec if {
	input.source == "kubernetes"
	input.type in {"apps/v1/Deployment", "apps/v1/StatefulSet", "apps/v1/DaemonSet", "batch/v1/Job"}
}

_spec := input.data.spec.jobTemplate.spec.template.spec if {
	input.source == "kubernetes"
	input.type == "batch/v1/CronJob"
}

_path := "/data/spec" if {
	input.source == "kubernetes"
	input.type == "v1/Pod"
}

_path := "/data/spec/template/spec" if {
	input.source == "kubernetes"
	input.type in {"apps/v1/Deployment", "apps/v1/StatefulSet", "apps/v1/DaemonSet", "batch/v1/Job"}
}

_path := "/data/spec/jobTemplate/spec/template/spec" if {
	input.source == "kubernetes"
	input.type == "batch/v1/CronJob"
}
`,
	"object": "package lib.bench.object\n",
	"cloud":  "package lib.bench.cloud\n",
	"record": "package lib.bench.record\n",
}

// shapes are 40: 14 of workloads, 6 of other objects of Kubernetes, 12 of AWS,
// 5 of Terraform, 3 of NetBox.
func shapes() []shape {
	out := append(containerShapes(), podShapes()...)
	out = append(out, objectShapes()...)
	for _, typ := range []string{
		"AWS::S3::Bucket", "AWS::IAM::User", "AWS::IAM::Role", "AWS::IAM::Policy", "AWS::EC2::Instance", "AWS::EC2::SecurityGroup",
		"AWS::EC2::Volume", "AWS::KMS::Key", "AWS::CloudTrail::Trail", "AWS::RDS::DBInstance", "AWS::Lambda::Function", "AWS::EC2::Snapshot",
	} {
		out = append(out, absent("cloud", "aws", typ, "Describe", "Encrypted", "Logging", "Versioning", "Backup", "Rotation"))
	}
	for _, typ := range []string{"aws_s3_bucket", "aws_db_instance", "aws_security_group", "aws_iam_policy", "aws_kms_key"} {
		out = append(out, absent("cloud", "terraform", typ, "values", "encrypted", "owner", "versioning", "backup", "rotation"))
	}
	for _, typ := range []string{"dcim.device", "virtualization.virtualmachine", "ipam.ipaddress"} {
		out = append(out, absent("record", "netbox", typ, "", "tenant", "status", "role", "owner", "dns_name"))
	}
	return out
}

// absent finds that a field of a type is not true.
func absent(adapter, source, typ, below string, fields ...string) shape {
	name := ""
	for _, r := range typ {
		switch {
		case r >= 'a' && r <= 'z', r == '_':
			name += string(r)
		case r >= 'A' && r <= 'Z':
			name += string(r + 'a' - 'A')
		}
	}
	s := shape{name: source + "_" + name, adapter: adapter, types: []string{source + "/" + typ}, severity: "medium"}
	for _, f := range fields {
		at, path := "input.data."+f, f
		if below != "" {
			at, path = "input.data."+below+"."+f, below+"/"+f
		}
		s.cases = append(s.cases, variant{fmt.Sprintf("not %s == true", at), `"off"`, path})
	}
	return s
}

func perContainer(name, severity string, cases ...variant) shape {
	return shape{name: name, adapter: "pod", types: workloads, severity: severity, each: "container", cases: cases}
}

func perPod(name, severity string, cases ...variant) shape {
	return shape{name: name, adapter: "pod", types: workloads, severity: severity, cases: cases}
}

// on finds flags that are on, off finds values that are not what is wanted, and
// gone fields that are not there: each in an object called of.
func on(of, path string) variant {
	return variant{of + "." + dots(path) + " == true", "true", path}
}

func off(of, path, want string) variant {
	return variant{fmt.Sprintf("not %s.%s == %s", of, dots(path), want), `"not set"`, path}
}

func gone(of, path string) variant {
	return variant{fmt.Sprintf("not %s.%s", of, dots(path)), "null", path}
}

func dots(path string) string {
	out := ""
	for i, name := range strings.Split(path, "/") {
		switch {
		case strings.Contains(name, "-"):
			out += fmt.Sprintf("[%q]", name)
		case i > 0:
			out += "." + name
		default:
			out = name
		}
	}
	return out
}

func containerShapes() []shape {
	drop, add := "securityContext/capabilities/drop", "securityContext/capabilities/add"
	kept := func(name string) variant {
		return variant{fmt.Sprintf(`not %q in c.securityContext.capabilities.drop`, name), fmt.Sprintf("%q", name), drop}
	}
	added := shape{
		name: "added_capabilities", adapter: "pod", types: workloads, severity: "high", each: "container",
		allowed: []string{"NET_BIND_SERVICE", "CHOWN"},
	}
	for _, prefix := range []string{"", "SYS_", "NET_", "DAC_", "SET"} {
		added.cases = append(added.cases, variant{fmt.Sprintf(`some name in c.securityContext.capabilities.add; startswith(name, %q)`, prefix), "name", add})
	}
	return []shape{
		perContainer("flags_on", "critical", on("c", "securityContext/privileged"), on("c", "stdin"), on("c", "tty"), on("c", "stdinOnce"), on("c", "securityContext/windowsOptions/hostProcess")),
		perContainer("escalation", "high", off("c", "securityContext/allowPrivilegeEscalation", "false"), off("c", "imagePullPolicy", `"IfNotPresent"`),
			off("c", "terminationMessagePolicy", `"File"`), off("c", "securityContext/seLinuxOptions/type", `"container_t"`), off("c", "terminationMessagePath", `"/dev/termination-log"`)),
		perContainer("root", "high", off("c", "securityContext/runAsNonRoot", "true"), off("c", "securityContext/runAsUser", "65532"),
			off("c", "securityContext/runAsGroup", "65532"), off("c", "securityContext/appArmorProfile/type", `"RuntimeDefault"`), off("c", "workingDir", `"/app"`)),
		perContainer("writable", "medium", off("c", "securityContext/readOnlyRootFilesystem", "true"), off("c", "securityContext/seccompProfile/type", `"RuntimeDefault"`),
			off("c", "securityContext/procMount", `"Default"`), off("c", "tty", "false"), off("c", "securityContext/privileged", "false")),
		perContainer("kept_capabilities", "medium", kept("ALL"), kept("NET_RAW"), kept("MKNOD"), kept("SETUID"), kept("SYS_CHROOT")),
		added,
		perContainer("image", "low", variant{`endswith(c.image, ":latest")`, "c.image", "image"}, variant{`not contains(c.image, "@sha256:")`, "c.image", "image"},
			variant{`not startswith(c.image, "registry.nordhafen.example/")`, "c.image", "image"}, variant{`contains(c.image, "/library/")`, "c.image", "image"},
			variant{`not regex.match(":v?[0-9]+\\.[0-9]+", c.image)`, "c.image", "image"}),
		perContainer("limits", "medium", gone("c", "resources/limits/memory"), gone("c", "resources/limits/cpu"), gone("c", "resources/requests/memory"),
			gone("c", "resources/requests/cpu"), gone("c", "resources/limits/ephemeral-storage")),
		perContainer("probes", "low", gone("c", "livenessProbe"), gone("c", "readinessProbe"), gone("c", "startupProbe"), gone("c", "lifecycle/preStop"), gone("c", "livenessProbe/timeoutSeconds")),
		perContainer("ports", "medium", variant{"some p in c.ports; p.hostPort > 0", "p.hostPort", "ports"}, variant{"some p in c.ports; p.containerPort < 1024", "p.containerPort", "ports"},
			variant{"some p in c.ports; p.containerPort == 22", "p.containerPort", "ports"}, variant{`some p in c.ports; p.protocol == "UDP"`, "p.containerPort", "ports"},
			variant{`some p in c.ports; not p.name`, "p.containerPort", "ports"}),
	}
}

func podShapes() []shape {
	paths, accounts, labels := perPod("host_path", "critical"), perPod("account", "medium"), perPod("labels", "low")
	for _, prefix := range []string{"/", "/var/run", "/etc", "/proc", "/var/lib"} {
		paths.cases = append(paths.cases, variant{fmt.Sprintf("some volume in _spec.volumes; startswith(volume.hostPath.path, %q)", prefix), "volume.hostPath.path", "volumes"})
	}
	for _, name := range []string{"default", "admin", "root", "deployer", "ci"} {
		accounts.cases = append(accounts.cases, variant{fmt.Sprintf("_spec.serviceAccountName == %q", name), "_spec.serviceAccountName", "serviceAccountName"})
	}
	for _, label := range []string{"team", "app.kubernetes.io/name", "app.kubernetes.io/version", "app.kubernetes.io/part-of", "cost-centre"} {
		labels.cases = append(labels.cases, variant{fmt.Sprintf("not input.data.metadata.labels[%q]", label), "null", "metadata/labels"})
	}
	return []shape{
		perPod("host_namespaces", "high", on("_spec", "hostNetwork"), on("_spec", "hostPID"), on("_spec", "hostIPC"), on("_spec", "shareProcessNamespace"), on("_spec", "setHostnameAsFQDN")),
		paths, accounts, labels,
	}
}

// objectShapes are of Kubernetes objects that hold no pod.
func objectShapes() []shape {
	object := func(name, typ string, cases ...variant) shape {
		return shape{name: name, adapter: "object", types: []string{"kubernetes/" + typ}, severity: "medium", cases: cases}
	}
	equal := func(path string, values ...string) []variant {
		var out []variant
		for _, v := range values {
			out = append(out, variant{fmt.Sprintf("input.data.%s == %q", dots(path), v), fmt.Sprintf("%q", v), path})
		}
		return out
	}
	const d = "input.data"
	return []shape{
		object("exposed", "v1/Service", equal("spec/type", "LoadBalancer", "NodePort", "ExternalName", "Public", "Any")...),
		object("bound", "rbac.authorization.k8s.io/v1/RoleBinding", equal("roleRef/name", "cluster-admin", "admin", "edit", "root", "owner")...),
		object("plain_http", "networking.k8s.io/v1/Ingress", gone(d, "spec/tls"), gone(d, "spec/ingressClassName"), gone(d, "spec/rules"), gone(d, "metadata/uid"), gone(d, "metadata/annotations")),
		object("open_policy", "networking.k8s.io/v1/NetworkPolicy", gone(d, "spec/ingress"), gone(d, "spec/egress"), gone(d, "spec/podSelector/matchLabels"), gone(d, "spec/policyTypes"), gone(d, "metadata/labels")),
		object("mutable", "v1/ConfigMap", gone(d, "immutable"), gone(d, "metadata/labels"), gone(d, "metadata/annotations"), gone(d, "metadata/uid"), gone(d, "metadata/namespace")),
		object("mounted", "v1/ServiceAccount", off(d, "automountServiceAccountToken", "false"), gone(d, "imagePullSecrets"), gone(d, "metadata/labels"), gone(d, "metadata/annotations"), gone(d, "secrets")),
	}
}
