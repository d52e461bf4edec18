package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/collectors/netbox/netboxtest"
)

// object is any JSON object.
type object = map[string]any

const (
	applied = "kubectl.kubernetes.io/last-applied-configuration"
	marker  = "cAnaRymarker" // in the names of what holds secrets: it must be found everywhere
)

// kubernetesObjects hold a secret in each place that DESIGN.md names, by the
// path and plural that an API server lists them under.
func kubernetesObjects(c canaries) map[string][]object {
	env := func(place string) []any {
		return []any{object{"name": "PASSWORD", "value": c.plant(place)}, object{"name": "MODE", "valueFrom": object{"secretKeyRef": object{"name": "db", "key": "k"}}}}
	}
	pod := func(of string) object {
		return object{
			"containers":          []any{object{"name": "app", "image": "shop:1", "securityContext": object{"privileged": true}, "env": env(of + " container")}},
			"initContainers":      []any{object{"name": "init", "image": "shop:1", "env": env(of + " init container")}},
			"ephemeralContainers": []any{object{"name": "debug", "image": "shop:1", "env": env(of + " ephemeral container")}},
		}
	}
	meta := func(of string) object {
		return object{"name": marker + "-" + strings.ToLower(of), "namespace": "shop", "annotations": object{applied: lastApplied(c.plant(of + " last applied"))}}
	}
	workload := func(of string, spec object) []object { return []object{{"metadata": meta(of), "spec": spec}} }
	template := func(of string) object { return object{"template": object{"metadata": object{}, "spec": pod(of)}} }
	b64 := func(place string) string { return base64.StdEncoding.EncodeToString([]byte(c.plant(place))) }
	return map[string][]object{
		"v1 pods Pod":                                    workload("Pod", pod("Pod")),
		"v1 secrets Secret":                              {{"metadata": meta("Secret"), "type": "Opaque", "data": object{"k": b64("Secret data")}, "stringData": object{"k": c.plant("Secret stringData")}}},
		"v1 configmaps ConfigMap":                        {{"metadata": meta("ConfigMap"), "data": object{"a/b~c": c.plant("ConfigMap data")}, "binaryData": object{"f": b64("ConfigMap binaryData")}}},
		"v1 services Service":                            {{"metadata": meta("Service"), "spec": object{"type": "LoadBalancer", "ports": []any{object{"port": 443}}}}},
		"v1 nodes Node":                                  {{"metadata": object{"name": "node-" + marker}}},
		"apps/v1 deployments Deployment":                 workload("Deployment", template("Deployment")),
		"apps/v1 daemonsets DaemonSet":                   workload("DaemonSet", template("DaemonSet")),
		"apps/v1 statefulsets StatefulSet":               workload("StatefulSet", template("StatefulSet")),
		"batch/v1 jobs Job":                              workload("Job", template("Job")),
		"batch/v1 cronjobs CronJob":                      workload("CronJob", object{"jobTemplate": object{"spec": template("CronJob")}}),
		"apps/v1 controllerrevisions ControllerRevision": {{"metadata": meta("ControllerRevision"), "data": object{"spec": template("ControllerRevision")}}},
	}
}

// lastApplied is what kubectl notes of an object.
func lastApplied(secret string) string {
	b, err := json.Marshal(object{"spec": secret})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// apiServer lists objects as much as a reader needs, and Secrets whole to
// whoever asks for more than metadata. It returns a kubeconfig.
func apiServer(t *testing.T, token string, objects map[string][]object) string {
	t.Helper()
	reply := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	kinds, lists := map[string][]object{}, map[string]func(metadataOnly bool) object{}
	for key, items := range objects {
		f := strings.Fields(key) // group and version, plural, kind
		kinds[f[0]] = append(kinds[f[0]], object{"name": f[1], "kind": f[2], "namespaced": true, "verbs": []string{"get", "list"}})
		lists[f[0]+"/"+f[1]] = func(metadataOnly bool) object {
			out := []any{}
			for _, o := range items {
				if metadataOnly {
					o = object{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": o["metadata"]}
				}
				out = append(out, o)
			}
			return object{"kind": f[2] + "List", "apiVersion": f[0], "metadata": object{"resourceVersion": "1"}, "items": out}
		}
	}
	var groups []object
	for gv := range kinds {
		if group, version, ok := strings.Cut(gv, "/"); ok {
			v := object{"groupVersion": gv, "version": version}
			groups = append(groups, object{"name": group, "versions": []object{v}, "preferredVersion": v})
		}
	}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(strings.TrimPrefix(strings.Trim(r.URL.Path, "/"), "apis/"), "api/")
		switch list := lists[path]; {
		case r.Header.Get("Authorization") != "Bearer "+token:
			http.Error(w, "who are you?", http.StatusUnauthorized)
		case path == "api":
			reply(w, object{"kind": "APIVersions", "versions": []string{"v1"}})
		case path == "apis":
			reply(w, object{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
		case list != nil:
			reply(w, list(strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList")))
		case kinds[path] != nil:
			reply(w, object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": path, "resources": kinds[path]})
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return kubeconfig(s.URL, token, ca)
}

// kubeconfig is one with a token, which client-go sends over TLS only.
func kubeconfig(server, token string, ca []byte) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"k","user":"u"}}],
"clusters":[{"name":"k","cluster":{"server":%q,"certificate-authority-data":%q}}],"users":[{"name":"u","user":{"token":%q}}]}`,
		server, base64.StdEncoding.EncodeToString(ca), token)
}

// manifestsOf are the same objects as files of a gate.
func manifestsOf(t *testing.T, objects map[string][]object) string {
	t.Helper()
	var out strings.Builder
	for key, items := range objects {
		f := strings.Fields(key)
		for _, o := range items {
			b, err := json.Marshal(object{"apiVersion": f[0], "kind": f[2], "metadata": o["metadata"], "spec": o["spec"], "data": o["data"], "stringData": o["stringData"], "binaryData": o["binaryData"]})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "---\n%s\n", b)
		}
	}
	return out.String()
}

// netBox plays the recorded NetBox back with secrets planted in every object
// where NetBox keeps them in plain text.
func netBox(t *testing.T, c canaries, token string) string {
	t.Helper()
	server, err := netboxtest.New(os.DirFS(filepath.Join("..", "..", "testdata", "netbox")), netboxtest.Options{Tokens: map[string]string{token: ""}})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		server.ServeHTTP(rec, r)
		body := rec.Body.Bytes()
		for _, path := range []string{"/api/dcim/devices/", "/api/virtualization/virtual-machines/"} {
			if r.URL.Path == path && rec.Code == http.StatusOK {
				body = plantNetBox(t, c, path, body)
			}
		}
		w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		w.WriteHeader(rec.Code)
		_, _ = w.Write(body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func plantNetBox(t *testing.T, c canaries, path string, body []byte) []byte {
	t.Helper()
	var page object
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&page); err != nil {
		t.Error(err)
	}
	results, _ := page["results"].([]any)
	for _, v := range results {
		o, _ := v.(object)
		fields, ok := o["custom_fields"].(object)
		if !ok {
			t.Errorf("%s: an object has no custom fields", path)
			continue
		}
		fields["bmc_password"] = c[path+" custom field"]
		fields["snmp"] = object{"community": c[path+" custom field below"]}
		o["local_context_data"] = object{"ntp": []any{object{"key": c[path+" local context"]}}}
		o["config_context"] = object{"tacacs": c[path+" rendered context"]}
	}
	out, err := json.Marshal(page)
	if err != nil {
		t.Error(err)
	}
	return out
}

// awsServer knows the caller and one bucket, whose policy has a password in it;
// everything else is denied.
func awsServer(t *testing.T, c canaries) string {
	t.Helper()
	policy, err := json.Marshal(object{"Version": "2012-10-17", "Statement": []any{object{
		"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*",
		"Condition": object{"StringEquals": object{"aws:Referer": c.plant("bucket policy referer")}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		q := r.URL.Query()
		switch {
		case bytes.Contains(body, []byte("GetCallerIdentity")):
			_, _ = io.WriteString(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/auditor</Arn><UserId>A</UserId><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
		case q.Has("policy"):
			_, _ = w.Write(policy)
		case r.URL.Path == "/" && r.Method == http.MethodGet:
			_, _ = io.WriteString(w, `<ListAllMyBucketsResult><Buckets><Bucket><Name>`+strings.ToLower(marker)+`</Name><BucketRegion>eu-central-1</BucketRegion><CreationDate>2026-01-01T00:00:00Z</CreationDate></Bucket></Buckets></ListAllMyBucketsResult>`)
		default:
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `<Error><Code>AccessDenied</Code><Message>no</Message></Error>`)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// terraformState holds secrets where Terraform marks them and where only the lists know.
func terraformState(t *testing.T, c canaries) string {
	t.Helper()
	resource := func(typ string, attributes object, sensitive ...any) object {
		return object{
			"mode": "managed", "type": typ, "name": marker, "provider": `provider["registry.terraform.io/hashicorp/aws"]`,
			"instances": []any{object{"schema_version": 0, "attributes": attributes, "sensitive_attributes": append([]any{}, sensitive...), "private": c.plant("terraform private")}},
		}
	}
	path := []any{object{"type": "get_attr", "value": "hidden"}, object{"type": "index", "value": object{"value": "a", "type": "string"}}}
	b, err := json.MarshalIndent(object{
		"version": 4, "terraform_version": "1.9.0", "serial": 1, "lineage": "8f1d2a6e-0000-4000-8000-000000000000",
		"outputs": object{"password": object{"value": c.plant("terraform output"), "type": "string", "sensitive": true}},
		"resources": []any{
			resource("aws_instance", object{"id": "i-" + marker, "user_data": c.plant("user_data"), "user_data_base64": c.plant("user_data_base64")}),
			resource("aws_ebs_volume", object{"id": "vol-" + marker, "encrypted": false, "hidden": object{"a": c.plant("sensitive path")}}, path),
			resource("aws_cloudformation_stack", object{"id": "x", "parameters": object{"P": c.plant("stack parameter")}, "outputs": object{"O": c.plant("stack output")}}),
			resource("random_password", object{"id": "none", "result": c.plant("random_password")}),
			resource("kubernetes_config_map", object{"id": "x", "data": object{"k": c.plant("terraform config map")}}),
			resource("kubernetes_secret", object{"id": "x", "data": object{"k": c.plant("terraform secret")}}),
			resource("aws_lambda_function", object{"id": "x", "environment": []any{object{"variables": object{"K": c.plant("lambda environment")}}}}),
			resource("aws_db_instance", object{"id": "x", "password": c.plant("database password")}),
		},
	}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// terraformPlan holds secrets in all the parts of a plan.
func terraformPlan(t *testing.T, c canaries) string {
	t.Helper()
	b, err := json.Marshal(object{
		"format_version": "1.2", "terraform_version": "1.9.0",
		"variables":      object{"v": object{"value": c.plant("plan variable")}},
		"output_changes": object{"o": object{"actions": []string{"create"}, "after": c.plant("plan output"), "after_sensitive": true}},
		"resource_changes": []any{object{
			"address": "aws_instance." + marker, "mode": "managed", "type": "aws_instance", "name": marker, "provider_name": "registry.terraform.io/hashicorp/aws",
			"change": object{
				"actions": []string{"update"}, "before": object{"tags": object{"t": c.plant("plan before")}}, "before_sensitive": object{"tags": true},
				"after":           object{"user_data": c.plant("plan user_data"), "tags": object{"t": c.plant("plan after")}, "metadata_options": []any{object{"http_tokens": "optional"}}},
				"after_sensitive": object{"tags": object{"t": true}}, "after_unknown": object{"arn": true},
			},
		}},
		"configuration": object{
			"provider_config": object{"aws": object{"name": "aws", "full_name": "registry.terraform.io/hashicorp/aws", "expressions": object{"secret_key": object{"constant_value": c.plant("provider secret")}}}},
			"root_module":     object{"variables": object{"v": object{"default": c.plant("variable default")}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
