package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// ebsState is a Terraform state of one volume and one bucket, and more.
func ebsState(encrypted bool, more string) string {
	resource := func(typ, name, attributes string) string {
		return fmt.Sprintf(`{"mode": "managed", "type": %q, "name": %q, "provider": "provider[\"registry.terraform.io/hashicorp/aws\"]",
			"instances": [{"schema_version": 0, "attributes": {%s}, "sensitive_attributes": []}]}`, typ, name, attributes)
	}
	list := []string{
		resource("aws_ebs_volume", "a", fmt.Sprintf(`"id": "vol-a", "encrypted": %v, "size": 8`, encrypted)),
		resource("aws_s3_bucket", "logs", `"id": "logs", "bucket": "logs", "arn": "arn:aws:s3:::logs"`),
	}
	if more != "" {
		list = append(list, resource("aws_s3_bucket_public_access_block", "logs", more))
	}
	return `{"version": 4, "terraform_version": "1.9.0", "serial": 1, "lineage": "8f1d2a6e-0000-4000-8000-000000000000", "outputs": {}, "resources": [` + strings.Join(list, ",") + `]}`
}

// TestJudgeAgain verifies repairs as whoever repairs does, also a day and more
// after the last run of everything: what a control looks up is read again too.
func TestJudgeAgain(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, ".config"))
	t.Chdir(dir)
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("crosscheck.yaml", "version: 1\nentity: E\nsystem: S\nsources: {terraform: [{name: main, files: [state.tfstate]}]}\nsinks: {console: {}}\n")
	write("state.tfstate", ebsState(false, ""))
	now := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &out, now: func() time.Time { now = now.Add(time.Second); return now }, engine: "vm"}
	in, err := a.prepare()
	if err != nil {
		t.Fatal(err)
	}
	first, err := a.perform(t.Context(), in, audit.Order{Trigger: audit.Manual}, show{quiet: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.close() }()
	decisions := map[string]audit.Found{}
	rec, err := in.record(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	page, err := rec.Find(t.Context(), audit.Query{Outcome: audit.Fail})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range page.Decisions {
		decisions[d.Control] = d
	}
	block := `"id": "logs", "bucket": "logs", "block_public_acls": true, "block_public_policy": true, "ignore_public_acls": true, "restrict_public_buckets": true`
	for _, step := range []struct {
		name, state, control string
		want                 audit.Outcome
		gone                 bool
	}{
		{"nothing was done", ebsState(false, ""), "CMP-001", audit.Fail, false},
		{"the volume is encrypted", ebsState(true, ""), "CMP-001", audit.Pass, false},
		{"the bucket is blocked by another resource", ebsState(true, block), "STO-001", audit.Pass, false},
		{"it is not any more", ebsState(true, ""), "STO-001", audit.Fail, false},
		{"everything is gone", `{"version": 4, "terraform_version": "1.9.0", "serial": 9, "lineage": "l", "outputs": {}, "resources": []}`, "STO-001", "", true},
		{"the state is torn", `{"version": 4, "resour`, "CMP-001", audit.NotEvaluated, false},
	} {
		now = now.Add(25 * time.Hour)
		write("state.tfstate", step.state)
		old := decisions[step.control]
		run, err := a.judgeAgain(t.Context(), in, old, "repair-1")
		if err != nil {
			t.Fatalf("%s: %v\n%s", step.name, err, out.String())
		}
		is, gone, err := in.became(t.Context(), run, old)
		switch {
		case err != nil || gone != step.gone || (is == nil) != (step.want == ""):
			t.Errorf("%s: became %v, gone %v, %v", step.name, is, gone, err)
		case is != nil && (is.Outcome != step.want || is.ID == old.ID || is.Resource != old.Resource):
			t.Errorf("%s: became %+v, want %s", step.name, is, step.want)
		}
		if run.Repair != "repair-1" || run.Trigger != audit.Reaudit || run.Previous != first.ID || !run.AsOf.Equal(run.Started) {
			t.Errorf("%s: run %+v", step.name, run)
		}
	}
}
