//go:build e2e

package aws_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/aws"
)

// called tells how many calls moto has had in all.
func called(t *testing.T, endpoint string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, endpoint+"/x/calls", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	calls := map[string]int{}
	if err := json.NewDecoder(resp.Body).Decode(&calls); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range calls {
		n += c
	}
	return n
}

// TestMotoNarrowed asks the emulator for some of what it has: the same bytes,
// in a handful of calls, and what is deleted is absent.
func TestMotoNarrowed(t *testing.T) {
	endpoint := motoEndpoint(t)
	name := fmt.Sprintf("crosscheck-some-%d", time.Now().UnixNano())
	cfg := sdk.Config{Region: "eu-central-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	prepare(t, cfg, name)
	c, err := aws.New(aws.Config{
		Account: motoAccount, Regions: []string{"eu-central-1", "eu-west-1"}, Endpoint: endpoint, Credentials: cfg.Credentials,
		Redactor: audit.NewRedactor([]byte("0123456789abcdef")), Log: audittest.Log(), ReportPoll: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	audittest.Narrowed(t, regional{c}, none)

	origin := "aws/" + motoAccount + "/eu-central-1"
	ask := func(t *testing.T, origin, resource string) (*audittest.Writer, audit.Collection, int) {
		t.Helper()
		w, before := &audittest.Writer{}, called(t, endpoint)
		col, err := c.Collect(t.Context(), audit.Request{Origin: origin, Resources: []string{origin + "/" + resource}}, w)
		if err != nil {
			t.Fatal(err)
		}
		return w, col, called(t, endpoint) - before
	}
	for resource, most := range map[string]int{"AWS::S3::Bucket/" + name: 15, "AWS::EC2::SecurityGroup/sg-none": 2, "AWS::::Region/eu-central-1": 2} {
		if _, _, n := ask(t, origin, resource); n > most {
			t.Errorf("%s took %d calls, want %d at most", resource, n, most)
		}
	}
	user := "AWS::IAM::User/" + name
	if w, _, n := ask(t, "aws/"+motoAccount+"/global", user); n > 10 || len(w.Resources) != 1 || len(w.Resources[0].Gaps) > 0 {
		t.Errorf("%s took %d calls and gave %v", user, n, w.Resources)
	}
	buckets := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := buckets.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	w, col, _ := ask(t, origin, "AWS::S3::Bucket/"+name)
	if !slices.Equal(col.Absent, []string{origin + "/AWS::S3::Bucket/" + name}) || len(w.Resources) > 0 {
		t.Errorf("absent %v, %d documents of a bucket that was deleted", col.Absent, len(w.Resources))
	}
	injected(t, endpoint, http.MethodPost, `{"match":"s3:GET /?","status":403,"code":"AccessDenied","count":1}`)
	t.Cleanup(func() { injected(t, endpoint, http.MethodDelete, "") })
	if _, col, _ := ask(t, origin, "AWS::S3::Bucket/"+name); len(col.Absent) > 0 || len(col.Gaps) != 1 || !strings.Contains(col.Gaps[0].Operation, "ListBuckets") {
		t.Errorf("absent %v and gaps %v where buckets may not be listed", col.Absent, col.Gaps)
	}
}
