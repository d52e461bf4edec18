//go:build e2e

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// docsAccount is that of the walk through docs/operators.md alone.
const docsAccount = "777788889999"

var marked = regexp.MustCompile("(?ms)^<!-- e2e(?:: (\\S+))? -->\n```\\w+\n(.*?)^```$")

// TestOperatorsPage follows docs/operators.md from nothing to nightly audits: it
// saves the files and types the commands that are marked there, in their order.
// The account is moto's, Elasticsearch a real one, Slack a stand-in.
func TestOperatorsPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operators.md"))
	ok(t, err)
	moto, elastic := os.Getenv("CROSSCHECK_MOTO"), os.Getenv("CROSSCHECK_ELASTICSEARCH")
	if moto == "" || elastic == "" {
		t.Fatal("CROSSCHECK_MOTO and CROSSCHECK_ELASTICSEARCH must name servers that tests may write to: make e2e starts them")
	}
	me, err := whoami()
	ok(t, err)
	h, hook := newHome(t), newWebhook(t)
	ns := fmt.Sprintf("docs%d", time.Now().UnixNano())
	t.Cleanup(func() { askElastic(t, elastic, http.MethodDelete, "/_data_stream/logs-crosscheck.findings-"+ns, "") })
	role := func(name string) string {
		return "endpoint: " + moto + "\n      role: {arn: \"arn:aws:iam::" + docsAccount + ":role/" + name + "\"}"
	}
	here := strings.NewReplacer(
		"111122223333", docsAccount, "profile: audit ", role("auditor")+" ", "profile: repair ", role("repairer")+" ",
		"https://elastic.example.com:9200", elastic+"\n    namespace: "+ns, "user:jo", me,
	)
	var script strings.Builder
	for _, m := range marked.FindAllStringSubmatch(string(page), -1) {
		if m[1] != "" {
			h.write(t, m[1], here.Replace(m[2]))
			continue
		}
		script.WriteString(m[2])
	}
	if n := strings.Count(script.String(), "crosscheck "); n < 12 {
		t.Fatalf("only %d commands are marked:\n%s", n, &script)
	}
	bucket := ns + "-www"
	buckets := s3.NewFromConfig(cloudOf(docsAccount), func(o *s3.Options) { o.UsePathStyle = true })
	_, err = buckets.CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: &bucket, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraintEuWest1},
	})
	ok(t, err)
	_, err = buckets.PutBucketTagging(t.Context(), &s3.PutBucketTaggingInput{Bucket: &bucket, Tagging: &s3types.Tagging{
		TagSet: []s3types.Tag{{Key: sdk.String("owner"), Value: sdk.String("web")}},
	}})
	ok(t, err)
	out := h.bash(t, script.String(), []string{
		"ELASTIC_API_KEY=unused", "SLACK_WEBHOOK=" + hook.URL + "/services/T0/B0/canarysecret", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
	})
	for _, want := range []string{
		`STO-001 .*` + bucket, `elasticsearch +run \w+ +delivered`, `slack +run \w+ +delivered`, `(?i)verified`, `STO-001 +critical +fixed .*` + bucket, `"status":"ok"|ok|ready`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%q is nowhere in what was printed", want)
		}
	}
	if told := strings.Join(hook.take(), "\n"); !strings.Contains(told, bucket) {
		t.Errorf("Slack was not told of %s", bucket)
	}
	kibana, err := os.ReadFile(h.path("kibana.ndjson"))
	if err != nil || bytes.Count(kibana, []byte("\n")) < 8 {
		t.Errorf("%d bytes of Kibana objects, %v", len(kibana), err)
	}
	if t.Failed() {
		t.Log(out)
	}
}

// bash runs a script as a person would type it, and ends what it left in the background.
func (h home) bash(t *testing.T, script string, env []string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
	defer stop()
	cmd := h.command(ctx, env)
	bash := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script+"\nkill %1\nwait %1\n")
	bash.Dir, bash.Env = cmd.Dir, cmd.Env
	out, err := bash.CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(h.path("daemon.log"))
		t.Fatalf("%v\n%s\n%s", err, out, log)
	}
	return string(out)
}
