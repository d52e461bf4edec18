//go:build e2e

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// TestReauditOfOneBucket mends a bucket of moto's, and proves it by a handful
// of calls; then the bucket is deleted, and gone is proven by fewer.
func TestReauditOfOneBucket(t *testing.T) {
	t.Parallel()
	endpoint := os.Getenv("CROSSCHECK_MOTO")
	to, err := url.Parse(endpoint)
	if err != nil || endpoint == "" {
		t.Fatal("CROSSCHECK_MOTO is not set: `make e2e` sets it")
	}
	var calls atomic.Int64 // others use moto meanwhile
	proxy := httputil.NewSingleHostReverseProxy(to)
	counting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	defer counting.Close()
	name := fmt.Sprintf("crosscheck-reaudit-%d", time.Now().UnixNano())
	buckets := s3.NewFromConfig(sdk.Config{
		Region: "eu-west-3", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}, func(o *s3.Options) { o.UsePathStyle = true })
	_, err = buckets.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: "eu-west-3"}})
	if err != nil {
		t.Fatal(err)
	}
	h := newHome(t)
	h.write(t, "crosscheck.yaml", "version: 1\nentity: E\nsystem: S\nsources: {aws: [{account: \"123456789012\", regions: [eu-west-3], endpoint: "+counting.URL+"}]}\nsinks: {console: {}, pack: {}}\n")
	env := []string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test"}
	h.exits(t, []int{0}, env, "audit", "-q")
	decision := func() string {
		t.Helper()
		out := h.exits(t, []int{0}, env, "decisions", "list", "--control", "STO-001", "--resource", "*/"+name, "-o", "json")
		var page struct{ Decisions []struct{ ID string } }
		if err := json.Unmarshal(out.stdout, &page); err != nil || len(page.Decisions) != 1 {
			t.Fatalf("%v: %s", err, out.stdout)
		}
		return page.Decisions[0].ID
	}
	d1 := decision()
	on := sdk.Bool(true)
	if _, err := buckets.PutPublicAccessBlock(t.Context(), &s3.PutPublicAccessBlockInput{Bucket: &name, PublicAccessBlockConfiguration: &s3types.PublicAccessBlockConfiguration{
		BlockPublicAcls: on, BlockPublicPolicy: on, IgnorePublicAcls: on, RestrictPublicBuckets: on,
	}}); err != nil {
		t.Fatal(err)
	}
	again := func(want string, most int64) {
		t.Helper()
		before := calls.Load()
		out := h.exits(t, []int{0}, env, "reaudit", d1)
		if n := calls.Load() - before; !strings.Contains(string(out.stdout), want) || n > most {
			t.Errorf("%d calls, want %d at most and %q:\n%s", n, most, want, out.stdout)
		}
	}
	again("  pass     STO-001  aws/123456789012/eu-west-3/AWS::S3::Bucket/"+name, 15)
	if _, err := buckets.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	again("GONE  "+short(d1)+"  STO-001", 3)
	verified := 0
	for dir := range tree(t, h.packs()) {
		if before, ok := strings.CutSuffix(dir, "/manifest.json"); ok {
			h.exits(t, []int{0}, env, "evidence", "verify", h.path("crosscheck-data", "packs", before))
			verified++
		}
	}
	if verified != 3 {
		t.Errorf("%d packs were verified, want 3", verified)
	}
}
