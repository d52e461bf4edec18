package aws_test

import (
	"math"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/collectors/aws"
)

type open struct{ json string }

func (o open) MarshalSmithyDocument() ([]byte, error) { return []byte(o.json), nil }

type nested struct{ Next *nested }

func TestEncode(t *testing.T) {
	t.Parallel()
	var metadata middleware.Metadata
	metadata.Set("key", "value")
	at := time.Date(2026, 11, 21, 3, 0, 0, 120_000_000, time.FixedZone("CET", 3600))
	policy := map[string]any{"Version": "2012-10-17", "n": aws.Literal("1.50")}
	tests := map[string]struct {
		in   any
		want any
	}{
		"nil is omitted":        {&iam.GetAccountSummaryOutput{ResultMetadata: metadata}, map[string]any{}},
		"empty is not":          {&iam.ListUsersOutput{Users: []iamtypes.User{}, Marker: new(string)}, map[string]any{"Users": []any{}, "Marker": "", "IsTruncated": false}},
		"map of numbers":        {&iam.GetAccountSummaryOutput{SummaryMap: map[string]int32{"Users": -3}}, map[string]any{"SummaryMap": map[string]any{"Users": aws.Literal("-3")}}},
		"time in UTC":           {iamtypes.User{CreateDate: &at}, map[string]any{"CreateDate": "2026-11-21T02:00:00.12Z"}},
		"enum":                  {&s3.GetBucketVersioningOutput{Status: s3types.BucketVersioningStatusEnabled}, map[string]any{"Status": "Enabled"}},
		"bytes":                 {&iam.GetCredentialReportOutput{Content: []byte("<&>")}, map[string]any{"Content": "PCY+"}},
		"union":                 {struct{ Filter s3types.AnalyticsFilter }{&s3types.AnalyticsFilterMemberPrefix{Value: "logs/"}}, map[string]any{"Filter": map[string]any{"Prefix": "logs/"}}},
		"union of structs":      {struct{ Filter s3types.AnalyticsFilter }{&s3types.AnalyticsFilterMemberTag{Value: s3types.Tag{Key: new(string)}}}, map[string]any{"Filter": map[string]any{"Tag": map[string]any{"Key": ""}}}},
		"union of tomorrow":     {struct{ Filter s3types.AnalyticsFilter }{&s3types.UnknownUnionMember{Tag: "New", Value: []byte("a")}}, map[string]any{"Filter": map[string]any{"New": "YQ=="}}},
		"document":              {struct{ Settings open }{open{`{"b":[1.0,null]}`}}, map[string]any{"Settings": map[string]any{"b": []any{aws.Literal("1.0"), nil}}}},
		"floats":                {struct{ A, B float64 }{1.5, math.NaN()}, map[string]any{"A": aws.Literal("1.5"), "B": "NaN"}},
		"large numbers":         {struct{ A int64 }{math.MaxInt64}, map[string]any{"A": aws.Literal("9223372036854775807")}},
		"policy":                {&s3.GetBucketPolicyOutput{Policy: ptr(`{"Version":"2012-10-17","n":1.50}`)}, map[string]any{"Policy": policy}},
		"policy, encoded":       {iamtypes.PolicyVersion{Document: ptr("%7B%22Version%22%3A%222012-10-17%22%2C%22n%22%3A1.50%7D")}, map[string]any{"Document": policy, "IsDefaultVersion": false}},
		"policy, not JSON":      {&s3.GetBucketPolicyOutput{Policy: ptr(`{"Version":`)}, map[string]any{"Policy": `{"Version":`}},
		"policy, not an object": {&s3.GetBucketPolicyOutput{Policy: ptr(`"Allow"`)}, map[string]any{"Policy": `"Allow"`}},
		"plain values":          {map[string]string{"a": "%7B%7D"}, map[string]any{"a": "%7B%7D"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := aws.Encode(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if _, err := audit.Canonical(got); err != nil {
				t.Errorf("Canonical() = %v", err)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	circle := &nested{}
	circle.Next = circle
	for name, in := range map[string]any{
		"a circle": circle, "a channel": struct{ C chan int }{make(chan int)}, "a document that is none": open{"{"}, "keys that are no strings": map[int]int{1: 1},
	} {
		if got, err := aws.Encode(in); err == nil {
			t.Errorf("%s: Encode() = %v, want an error", name, got)
		}
	}
}

func FuzzParsePolicy(f *testing.F) {
	for _, s := range []string{`{"Statement":[]}`, "%7B%7D", "%", "+", `{"a":1e400}`, `[[[[`, `{}{}`, "%7B%22a%22%3A%22%25%22%7D"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		switch got := aws.ParsePolicy(text).(type) {
		case string:
			if got != text {
				t.Errorf("ParsePolicy(%q) = %q: what does not parse stays", text, got)
			}
		case map[string]any:
			if _, err := audit.Canonical(got); err != nil {
				t.Errorf("ParsePolicy(%q) does not render: %v", text, err)
			}
		default:
			t.Errorf("ParsePolicy(%q) is a %T", text, got)
		}
	})
}

func ptr[T any](v T) *T { return &v }

// TestPoliciesOfTwoReadings: a policy that can be read in two ways stays text.
func TestPoliciesOfTwoReadings(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"Statement":[{"Effect":"Allow"}],"Statement":[]}`, "{\"Sid\":\"a\xff\"}"} {
		if got := aws.ParsePolicy(text); got != text {
			t.Errorf("ParsePolicy(%q) = %v, want it as it is", text, got)
		}
	}
}
