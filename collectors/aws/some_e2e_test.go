//go:build e2e

package aws_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/aws"
)

// through is a way to moto that counts what goes over it: others use moto meanwhile.
func through(t *testing.T, endpoint string) (url string, calls *atomic.Int64) {
	t.Helper()
	to, err := neturl.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	calls = &atomic.Int64{}
	proxy := httputil.NewSingleHostReverseProxy(to)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, calls
}

// TestMotoNarrowed asks the emulator for some of what it has: the same bytes,
// in a handful of calls, and what is deleted is absent.
func TestMotoNarrowed(t *testing.T) {
	endpoint := motoEndpoint(t)
	name := fmt.Sprintf("crosscheck-some-%d", time.Now().UnixNano())
	cfg := sdk.Config{Region: "eu-central-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	prepare(t, cfg, name)
	url, calls := through(t, endpoint)
	c, err := aws.New(aws.Config{
		Account: motoAccount, Regions: []string{"eu-central-1", "eu-west-1"}, Endpoint: url, Credentials: cfg.Credentials,
		Redactor: audit.NewRedactor([]byte("0123456789abcdef")), Log: audittest.Log(), ReportPoll: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	audittest.Narrowed(t, regional{c}, none)

	origin := "aws/" + motoAccount + "/eu-central-1"
	ask := func(t *testing.T, origin, resource string) (*audittest.Writer, audit.Collection, int64) {
		t.Helper()
		w, before := &audittest.Writer{}, calls.Load()
		col, err := c.Collect(t.Context(), audit.Request{Origin: origin, Resources: []string{origin + "/" + resource}}, w)
		if err != nil {
			t.Fatal(err)
		}
		return w, col, calls.Load() - before
	}
	for resource, most := range map[string]int64{"AWS::S3::Bucket/" + name: 15, "AWS::EC2::SecurityGroup/sg-none": 2, "AWS::RDS::DBInstance/" + name: 2, "AWS::RDS::DBInstance/none": 2, "AWS::::Region/eu-central-1": 2} {
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
}
