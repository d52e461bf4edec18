package ssm_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/remediate"
	"github.com/crosscheck-dev/crosscheck/remediate/ssm"
)

// automation answers as AWS documents StartAutomationExecution and
// GetAutomationExecution (API reference of Systems Manager, JSON 1.1): moto, the
// AWS server of the other tests, has neither. Starting twice with one client
// token is one execution.
type automation struct {
	mu       sync.Mutex
	starts   []map[string]any
	byToken  map[string]string
	statuses []string // answered one after the other, the last for ever
	asked    int
	message  string
	denied   string // operation that nobody may use
	lost     bool   // the connection is cut instead of an answer to a start
}

func (a *automation) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, err := io.ReadAll(req.Body)
	var in map[string]any
	if err == nil {
		err = json.Unmarshal(b, &in)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	answer := map[string]any{}
	switch _, op, _ := strings.Cut(req.Header.Get("X-Amz-Target"), "."); {
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
	case op == a.denied:
		w.WriteHeader(http.StatusBadRequest)
		answer = map[string]any{"__type": "AccessDeniedException", "Message": "not authorized"}
	case op == "StartAutomationExecution" && a.lost:
		panic(http.ErrAbortHandler)
	case op == "StartAutomationExecution" && in["DocumentName"] == "Missing":
		w.WriteHeader(http.StatusBadRequest)
		answer = map[string]any{"__type": "AutomationDefinitionNotFoundException", "Message": "no such document"}
	case op == "StartAutomationExecution":
		token, _ := in["ClientToken"].(string)
		if a.byToken[token] == "" {
			a.starts = append(a.starts, in)
			a.byToken[token] = "00000000-0000-4000-8000-00000000000" + string(rune('0'+len(a.starts)))
		}
		answer["AutomationExecutionId"] = a.byToken[token]
	case op == "GetAutomationExecution":
		status := a.statuses[min(a.asked, len(a.statuses)-1)]
		a.asked++
		answer["AutomationExecution"] = map[string]any{"AutomationExecutionId": in["AutomationExecutionId"], "AutomationExecutionStatus": status, "FailureMessage": a.message}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func setup(t *testing.T, a *automation, sleep func(context.Context, time.Duration) error) *ssm.Runner {
	t.Helper()
	a.byToken = map[string]string{}
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	if sleep == nil {
		sleep = func(context.Context, time.Duration) error { return nil }
	}
	r, err := ssm.New(ssm.Config{Sleep: sleep, Connect: func(_ context.Context, origin string) (sdk.Config, error) {
		if origin != "aws/111122223333/eu-west-1" {
			return sdk.Config{}, errors.New("another origin")
		}
		return sdk.Config{Region: "eu-west-1", BaseEndpoint: &srv.URL, Credentials: credentials.NewStaticCredentialsProvider("FAKE", "FAKE", "")}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func call(t *testing.T, names ...string) remediate.Call {
	t.Helper()
	b, err := remediate.Parse([]byte(`id: automate
version: 1.0.0
title: Automate
controls: [STO-001]
types: ["aws/AWS::S3::Bucket"]
runner: ssm
parameters:
  name: {from: document, pointer: /name, pattern: '^.*$', max: 4096}
act:
  document: {name: AWS-DisableS3BucketPublicReadWrite, version: "1"}
  undo: {name: Own-Undo, version: "3"}
  parameters: {S3BucketName: {param: name}, AutomationAssumeRole: arn:aws:iam::111122223333:role/automation}
`))
	if err != nil {
		t.Fatal(err)
	}
	c := remediate.Call{Repair: strings.Repeat("ab", 32), Runbook: b, Origin: "aws/111122223333/eu-west-1"}
	for _, n := range names {
		c.Targets = append(c.Targets, remediate.Values{"name": n})
	}
	return c
}

func TestStartedOnceAndPolled(t *testing.T) {
	t.Parallel()
	a := &automation{statuses: []string{"Pending", "InProgress", "Success"}}
	r := setup(t, a, nil)
	c := call(t, "logs", "www")
	out, err := r.Act(t.Context(), c)
	if err != nil || strings.Count(out, "Success") != 2 {
		t.Fatalf("%q, %v", out, err)
	}
	if _, err := r.Act(t.Context(), c); err != nil || len(a.starts) != 2 {
		t.Errorf("asked twice, %d were started, %v", len(a.starts), err)
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$`)
	for _, s := range a.starts {
		if token, _ := s["ClientToken"].(string); !uuid.MatchString(token) || s["DocumentVersion"] != "1" {
			t.Errorf("started with %v", s)
		}
	}
	if _, err := r.Undo(t.Context(), c, nil); err != nil || len(a.starts) != 4 || a.starts[3]["DocumentName"] != "Own-Undo" {
		t.Errorf("undo started %v, %v", a.starts, err)
	}
}

func TestHostileNamesAreValues(t *testing.T) {
	t.Parallel()
	a := &automation{statuses: []string{"Success"}}
	r := setup(t, a, nil)
	for _, name := range []string{`x"],"DocumentName":["y`, "$(id)", "x\r\nX-Evil: 1"} {
		a.starts, a.byToken = nil, map[string]string{}
		if _, err := r.Act(t.Context(), call(t, name)); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"S3BucketName": []any{name}, "AutomationAssumeRole": []any{"arn:aws:iam::111122223333:role/automation"}}
		if diff := cmp.Diff(want, a.starts[0]["Parameters"]); diff != "" || a.starts[0]["DocumentName"] != "AWS-DisableS3BucketPublicReadWrite" {
			t.Errorf("%q: %s", name, diff)
		}
	}
}

// TestReferencesAreRefused: Systems Manager resolves {{ssm:NAME}} in the values of parameters.
func TestReferencesAreRefused(t *testing.T) {
	t.Parallel()
	a := &automation{statuses: []string{"Success"}}
	if _, err := setup(t, a, nil).Act(t.Context(), call(t, "{{ssm:/prod/password}}")); err == nil || len(a.starts) > 0 {
		t.Errorf("it is started %d times: %v", len(a.starts), err)
	}
}

func TestHowItEnds(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"Failed", "TimedOut", "Cancelled", "Rejected", "ExitedWithoutSuccess", "SomethingNew"} {
		a := &automation{statuses: []string{"InProgress", status}, message: "step 2 said no"}
		if out, err := setup(t, a, nil).Act(t.Context(), call(t, "logs")); err == nil || !strings.Contains(err.Error(), "step 2 said no") || !strings.Contains(out, status) {
			t.Errorf("%s: %q, %v", status, out, err)
		}
	}
	a := &automation{statuses: []string{"InProgress"}}
	ctx, stop := context.WithCancel(t.Context())
	slept := 0
	r := setup(t, a, func(ctx context.Context, _ time.Duration) error {
		if slept++; slept == 3 {
			stop()
		}
		return ctx.Err()
	})
	if _, err := r.Act(ctx, call(t, "logs")); !errors.Is(err, context.Canceled) || !errors.Is(err, remediate.ErrAtWork) || slept != 3 {
		t.Errorf("after %d polls: %v", slept, err)
	}
	c := call(t, "logs")
	c.Runbook.Act["document"] = map[string]any{"name": "Missing", "version": "1"}
	if _, err := setup(t, a, nil).Act(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no such document") {
		t.Errorf("a missing document: %v", err)
	}
	c.Origin = "aws/999999999999/eu-west-1"
	if _, err := setup(t, a, nil).Act(t.Context(), c); err == nil {
		t.Error("it acts in another origin")
	}
}

// TestWhoEndsIsNotAtWork: an execution that was refused, or that ended badly, does
// not go on; one of which nobody may ask how it stands does.
func TestWhoEndsIsNotAtWork(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		a      *automation
		atWork bool
	}{
		"ended badly":  {&automation{statuses: []string{"Failed"}}, false},
		"not started":  {&automation{statuses: []string{"Success"}, denied: "StartAutomationExecution"}, false},
		"not watched":  {&automation{statuses: []string{"Success"}, denied: "GetAutomationExecution"}, true},
		"out of sight": {&automation{statuses: []string{"Success"}, lost: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := setup(t, tt.a, nil).Act(t.Context(), call(t, "logs"))
			if err == nil || errors.Is(err, remediate.ErrAtWork) != tt.atWork {
				t.Errorf("Act() = %v, want at work: %v", err, tt.atWork)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	r := setup(t, &automation{}, nil)
	b := call(t).Runbook
	if err := r.Check(b); err != nil {
		t.Error(err)
	}
	for name, act := range map[string]map[string]any{
		"latest":     {"document": map[string]any{"name": "Doc", "version": "$LATEST"}},
		"no version": {"document": map[string]any{"name": "Doc"}},
		"no name":    {"document": map[string]any{"version": "1"}},
	} {
		b.Act = act
		if err := r.Check(b); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	b = call(t).Runbook
	b.DryRun = true
	if err := r.Check(b); err == nil {
		t.Error("a dry run is taken")
	}
}
