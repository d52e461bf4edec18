package terraform_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/terraform"
)

// collect reads inputs or files of one collector, which must succeed.
func collect(t *testing.T, cfg terraform.Config) (*audittest.Writer, audit.Collection) {
	t.Helper()
	c := collector(t, cfg)
	w := &audittest.Writer{}
	col, _, err := audittest.Timed(t, c, audit.Request{Origin: c.Origins()[0]}, w)
	if err != nil {
		t.Fatal(err)
	}
	w.Sort()
	return w, col
}

func data(t *testing.T, r audit.Resource) map[string]any {
	t.Helper()
	m, ok := r.Data.(map[string]any)
	if !ok {
		t.Fatalf("%s: data is %T", r.ID, r.Data)
	}
	return m
}

func TestPlanReferences(t *testing.T) {
	t.Parallel()
	w, _ := collect(t, terraform.Config{Files: []string{"testdata/plan.json"}})
	var got []string
	for _, r := range w.Resources {
		refs, _ := data(t, r)["references"].(map[string]any)
		for _, place := range slices.Sorted(maps.Keys(refs)) {
			got = append(got, fmt.Sprintf("%s %s → %v", data(t, r)["address"], place, refs[place]))
		}
	}
	want := []string{
		`aws_iam_access_key.ci user → [aws_iam_user.ci]`,
		`aws_instance.web[0] subnet_id → [aws_subnet.main]`,
		`aws_instance.web[0] vpc_security_group_ids → [aws_security_group.web[0]]`,
		`aws_instance.web[1] subnet_id → [aws_subnet.main]`,
		`aws_instance.web[1] vpc_security_group_ids → [aws_security_group.web[1]]`,
		`module.bucket["assets"].aws_s3_bucket_public_access_block.this bucket → [module.bucket["assets"].aws_s3_bucket.this]`,
		`module.bucket["invoices"].aws_s3_bucket_public_access_block.this bucket → [module.bucket["invoices"].aws_s3_bucket.this]`,
		`module.bucket["logs"].aws_s3_bucket_public_access_block.this bucket → [module.bucket["logs"].aws_s3_bucket.this]`,
		`module.log.aws_s3_bucket_public_access_block.this bucket → [module.log.aws_s3_bucket.this]`,
		`aws_s3_bucket_versioning.each["assets"] bucket → [module.bucket["assets"].aws_s3_bucket.this]`,
		`aws_s3_bucket_versioning.each["invoices"] bucket → [module.bucket["invoices"].aws_s3_bucket.this]`,
		`aws_s3_bucket_versioning.each["logs"] bucket → [module.bucket["logs"].aws_s3_bucket.this]`,
		`aws_secretsmanager_secret_version.db secret_id → [aws_secretsmanager_secret.db]`,
		`aws_security_group.web[0] ingress → [aws_vpc.main]`,
		`aws_security_group.web[0] vpc_id → [aws_vpc.main]`,
		`aws_security_group.web[1] ingress → [aws_vpc.main]`,
		`aws_security_group.web[1] vpc_id → [aws_vpc.main]`,
		`aws_subnet.main vpc_id → [aws_vpc.main]`,
		`module.bucket["assets"].terraform_data.log["access"] input → [module.bucket["assets"].aws_s3_bucket.this module.log.aws_s3_bucket.this]`,
		`module.bucket["invoices"].terraform_data.log["access"] input → [module.bucket["invoices"].aws_s3_bucket.this module.log.aws_s3_bucket.this]`,
		`module.bucket["logs"].terraform_data.log["access"] input → [module.bucket["logs"].aws_s3_bucket.this module.log.aws_s3_bucket.this]`,
		`terraform_data.later["a \"quoted\" key"] input → [module.bucket["invoices"].aws_s3_bucket.this]`,
		`terraform_data.later["a \"quoted\" key"] triggers_replace → [aws_ebs_volume.data aws_instance.web[0]]`,
		`terraform_data.later["b/c"] input → [module.bucket["invoices"].aws_s3_bucket.this]`,
		`terraform_data.later["b/c"] triggers_replace → [aws_ebs_volume.data aws_instance.web[0]]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("references differ (-want +got):\n%s", diff)
	}
}

func TestPlanResource(t *testing.T) {
	t.Parallel()
	w, _ := collect(t, terraform.Config{Name: "prod", Files: []string{"testdata/plan.json"}})
	got := w.Find(t, `terraform/prod/aws_s3_bucket_public_access_block/module.bucket["invoices"].aws_s3_bucket_public_access_block.this`)
	want := audit.Resource{
		Data: map[string]any{
			"address": `module.bucket["invoices"].aws_s3_bucket_public_access_block.this`, "change": map[string]any{"actions": []any{"create"}},
			"index": nil, "mode": "managed", "module": `module.bucket["invoices"]`, "name": "this",
			"provider":       "registry.terraform.io/hashicorp/aws",
			"references":     map[string]any{"bucket": []any{`module.bucket["invoices"].aws_s3_bucket.this`}},
			"schema_version": int64(0),
			"values": map[string]any{
				"block_public_acls": true, "block_public_policy": true, "ignore_public_acls": true, "restrict_public_buckets": true,
			},
		},
		Gaps:   map[string]string{"/data/values/bucket": "KnownAfterApply plan", "/data/values/id": "KnownAfterApply plan"},
		ID:     `terraform/prod/aws_s3_bucket_public_access_block/module.bucket["invoices"].aws_s3_bucket_public_access_block.this`,
		Name:   "this",
		Origin: "terraform/prod", Source: "terraform", Tags: map[string]string{}, Type: "aws_s3_bucket_public_access_block",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("resource differs (-want +got):\n%s", diff)
	}
}

func TestPlanChanges(t *testing.T) {
	t.Parallel()
	w, col := collect(t, terraform.Config{Files: []string{"testdata/plan.json"}})
	replaced := data(t, w.Find(t, "terraform/test/aws_ebs_volume/aws_ebs_volume.data"))
	want := map[string]any{"actions": []any{"delete", "create"}, "action_reason": "replace_because_cannot_update"}
	if diff := cmp.Diff(want, replaced["change"]); diff != "" {
		t.Errorf("change differs (-want +got):\n%s", diff)
	}
	if zone := replaced["values"].(map[string]any)["availability_zone"]; zone != "eu-central-1b" {
		t.Errorf("availability zone = %v, want the planned one", zone)
	}
	me := data(t, w.Find(t, "terraform/test/data.aws_caller_identity/data.aws_caller_identity.me"))
	if diff := cmp.Diff(map[string]any{"actions": []any{"no-op"}}, me["change"]); diff != "" {
		t.Errorf("change of a data source read already differs (-want +got):\n%s", diff)
	}
	for _, r := range w.Resources {
		if strings.Contains(r.ID, "aws_ebs_volume.old") {
			t.Errorf("%s is deleted by the plan, and yet there", r.ID)
		}
	}
	notices := []audit.Notice{{
		Code: "planned_removals", Subject: "terraform/test",
		Message: "resources that the plan deletes or forgets, which are not judged: 1",
	}}
	if diff := cmp.Diff(notices, col.Notices); diff != "" {
		t.Errorf("notices differ (-want +got):\n%s", diff)
	}
	if !col.Exhaustive || len(col.Gaps) > 0 {
		t.Errorf("exhaustive = %v with gaps %v, want a gap-free listing", col.Exhaustive, col.Gaps)
	}
}

// planOf is a plan of changes, each "address type name after after_unknown actions".
func planOf(more string, changes ...string) terraform.Input {
	return input("plan.json", `{"format_version":"1.2","terraform_version":"1.11.4","planned_values":{},"resource_changes":[`+
		strings.Join(changes, ",")+`]`+more+`}`)
}

var modulePath = regexp.MustCompile(`^(module\.\w+(\[[^\]]*\])?\.)*`)

func change(address, after, unknown string, actions ...string) string {
	typ, name, _ := strings.Cut(modulePath.ReplaceAllString(address, ""), ".")
	name, _, _ = strings.Cut(name, "[")
	return fmt.Sprintf(`{"address":%q,"mode":"managed","type":%q,"name":%q,"change":{"actions":["%s"],"after":%s,"after_unknown":%s}}`,
		address, typ, name, strings.Join(actions, `","`), after, unknown)
}

func TestPlanUnknown(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		after, unknown string
		gaps           map[string]string
		tags           map[string]string
		name           string
	}{
		"nothing":      {`{"tags":{"Name":"n"}}`, `{}`, nil, map[string]string{"Name": "n"}, "n"},
		"a leaf below": {`{"a":[{"b/c":null}]}`, `{"a":[{"b/c":true}]}`, map[string]string{"/data/values/a/0/b~1c": unknown}, map[string]string{}, "x"},
		"everything": {`null`, `true`, map[string]string{
			"/data/values": unknown, "/tags": unknown, "/name": unknown,
		}, map[string]string{}, "x"},
		"all tags, the name known": {`{"tags":{"Name":"n"}}`, `{"tags_all":true}`, map[string]string{
			"/data/values/tags_all": unknown, "/tags": unknown,
		}, map[string]string{"Name": "n"}, "n"},
		"all tags": {`{}`, `{"tags_all":true}`, map[string]string{
			"/data/values/tags_all": unknown, "/tags": unknown, "/name": unknown,
		}, map[string]string{}, "x"},
		"the name": {`{"tags_all":{"Name":null,"owner":"web"}}`, `{"tags_all":{"Name":true}}`, map[string]string{
			"/data/values/tags_all/Name": unknown, "/tags/Name": unknown, "/name": unknown,
		}, map[string]string{"owner": "web"}, "x"},
		"an owner": {`{"tags_all":{"Name":"n","owner":null}}`, `{"tags_all":{"owner":true}}`, map[string]string{
			"/data/values/tags_all/owner": unknown, "/tags/owner": unknown,
		}, map[string]string{"Name": "n"}, "n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := collect(t, terraform.Config{Inputs: []terraform.Input{planOf("", change("aws_x.x", tt.after, tt.unknown, "create"))}})
			r := w.Find(t, "terraform/test/aws_x/aws_x.x")
			if diff := cmp.Diff(tt.gaps, r.Gaps); diff != "" {
				t.Errorf("gaps differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.tags, r.Tags); diff != "" {
				t.Errorf("tags differ (-want +got):\n%s", diff)
			}
			if r.Name != tt.name {
				t.Errorf("name = %q, want %q", r.Name, tt.name)
			}
		})
	}
}

const unknown = "KnownAfterApply plan"

func TestPlanActions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		actions []string
		there   bool
	}{
		"no-op": {[]string{"no-op"}, true}, "create": {[]string{"create"}, true}, "update": {[]string{"update"}, true},
		"replace": {[]string{"create", "delete"}, true}, "delete": {[]string{"delete"}, false}, "forget": {[]string{"forget"}, false},
		"one not known yet": {[]string{"recite"}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := collect(t, terraform.Config{Inputs: []terraform.Input{planOf("", change("aws_x.x", `{}`, `{}`, tt.actions...))}})
			if got := len(w.Resources) == 1; got != tt.there {
				t.Errorf("there = %v, want %v", got, tt.there)
			}
		})
	}
}

func TestPlanOfAPart(t *testing.T) {
	t.Parallel()
	_, col := collect(t, terraform.Config{Inputs: []terraform.Input{planOf(`,"complete":false`, change("aws_x.x", `{}`, `{}`, "create"))}})
	want := []audit.Gap{{Origin: "terraform/test", Type: audit.AllTypes, Code: audit.Truncated, Operation: "read plan.json"}}
	if diff := cmp.Diff(want, col.Gaps); diff != "" || col.Exhaustive {
		t.Errorf("exhaustive = %v, gaps differ (-want +got):\n%s", col.Exhaustive, diff)
	}
}

// What a plan has and does not say the change of may not pass for absent.
func TestPlanThatDoesNotSayAll(t *testing.T) {
	t.Parallel()
	more := `,"prior_state":{"values":{"root_module":{"child_modules":[{"resources":[` +
		`{"address":"module.m.aws_y.y","mode":"managed","type":"aws_y","name":"y","values":{}},` +
		`{"address":"module.m.aws_z.z","mode":"managed","type":"aws_z","name":"z","deposed_key":"0a","values":{}},` +
		`{"address":"aws_x.x","mode":"managed","type":"aws_x","name":"x","values":{}}]}]}}}`
	w, col := collect(t, terraform.Config{Inputs: []terraform.Input{planOf(more, change("aws_x.x", `{}`, `{}`, "no-op"))}})
	want := []audit.Gap{{Origin: "terraform/test", Type: "aws_y", Code: audit.Truncated, Operation: "read plan.json"}}
	if diff := cmp.Diff(want, col.Gaps); diff != "" || len(w.Resources) != 1 || col.Exhaustive {
		t.Errorf("%d resources, exhaustive = %v, gaps differ (-want +got):\n%s", len(w.Resources), col.Exhaustive, diff)
	}
}
