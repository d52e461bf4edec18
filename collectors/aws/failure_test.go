package aws_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/aws"
)

// all that went missing in an account: document gaps by resource type, and population gaps.
type missing struct {
	documents map[string]map[string]int // type → "pointer reason" → documents
	listed    []audit.Gap
}

// missingFrom collects both origins of one region and says what is missing.
func missingFrom(t *testing.T, e *estate) missing {
	t.Helper()
	cfg := config(e.start(t))
	cfg.Regions = []string{"eu-west-1"}
	out := missing{documents: map[string]map[string]int{}}
	for _, origin := range []string{globalOrigin, westOrigin} {
		w, col := read(t, cfg, origin)
		out.listed = append(out.listed, col.Gaps...)
		for _, r := range w.Resources {
			for pointer, reason := range r.Gaps {
				if out.documents[r.Type] == nil {
					out.documents[r.Type] = map[string]int{}
				}
				out.documents[r.Type][pointer+" "+reason]++
			}
		}
	}
	return out
}

// Each call of the table, failing in each way, leaves exactly the gap that is its own.
func TestEachCallFails(t *testing.T) {
	t.Parallel()
	documents := map[string]int{"AWS::::Account": 1, "AWS::::Region": 1, "AWS::IAM::User": 5, "AWS::S3::Bucket": 4}
	answers := map[string]struct {
		fault fault
		code  audit.GapCode
	}{
		"denied":    {fault{status: 403, code: "AccessDenied"}, audit.AccessDenied},
		"throttled": {fault{status: 400, code: "Throttling"}, audit.Throttled},
		"expired":   {fault{status: 400, code: "ExpiredToken"}, audit.Unauthenticated},
		"broken":    {fault{status: 500, code: "InternalFailure"}, audit.Failed},
	}
	rows := aws.Rows()
	if len(rows) != 25 {
		t.Errorf("the table has %d rows: is its test still complete?", len(rows))
	}
	want := map[string]map[string]map[string]int{} // operation → type → pointer → documents
	listed := map[string]audit.Gap{}
	for _, row := range rows {
		if row.List {
			origin := westOrigin
			if row.Global {
				origin = globalOrigin
			}
			listed[row.Operation] = audit.Gap{Origin: origin, Type: row.Type, Operation: row.Operation}
			continue
		}
		if want[row.Operation] == nil {
			want[row.Operation] = map[string]map[string]int{}
		}
		_, name, _ := strings.Cut(row.Operation, ":")
		want[row.Operation][row.Type] = map[string]int{"/data/" + name: documents[row.Type]}
		if row.Tagged != "" {
			want[row.Operation][row.Type]["/tags"] = documents[row.Type]
		}
	}
	want["iam:GenerateCredentialReport"] = want["iam:GetCredentialReport"]
	for _, row := range append(rows, aws.Row{Operation: "iam:GenerateCredentialReport"}) {
		for name, answer := range answers {
			t.Run(row.Operation+" "+name, func(t *testing.T) {
				t.Parallel()
				e := usual()
				e.faults = map[string]fault{row.Operation: answer.fault}
				got := missingFrom(t, e)
				wantDocuments := map[string]map[string]int{}
				for typ, pointers := range want[row.Operation] {
					wantDocuments[typ] = map[string]int{}
					for pointer, n := range pointers {
						wantDocuments[typ][pointer+" "+answer.code.Reason(row.Operation)] = n
					}
				}
				if diff := cmp.Diff(wantDocuments, got.documents); diff != "" {
					t.Errorf("document gaps (-want +got):\n%s", diff)
				}
				var wantListed []audit.Gap
				if gap, ok := listed[row.Operation]; ok {
					gap.Code = answer.code
					wantListed = []audit.Gap{gap}
				}
				if diff := cmp.Diff(wantListed, got.listed); diff != "" {
					t.Errorf("population gaps (-want +got):\n%s", diff)
				}
				if e.count(row.Operation) == 0 {
					t.Error("the call was never made")
				}
			})
		}
	}
}

// TestTimed has each request timed once under its operation's name, whatever
// attempts it took; that there is no policy is an answer.
func TestTimed(t *testing.T) {
	t.Parallel()
	e := usual()
	e.faults = map[string]fault{
		"s3:GetBucketAcl":    {status: 503, code: "SlowDown"},
		"s3:GetBucketPolicy": {status: 404, code: "NoSuchBucketPolicy"},
	}
	_, w, err := audittest.Timed(t, collector(t, config(e.start(t))), audit.Request{Origin: westOrigin}, &audittest.Writer{})
	if err != nil {
		t.Fatal(err)
	}
	answered, failed := w.Told()
	if diff := cmp.Diff(failed, map[string]int{"s3:GetBucketAcl": 4}); diff != "" {
		t.Errorf("failed (-got +want):\n%s", diff)
	}
	if answered["s3:GetBucketPolicy"] != 4 || answered["ec2:DescribeVolumes"] != 3 || answered["sts:GetCallerIdentity"] != 1 {
		t.Errorf("answered: %v", answered)
	}
	if e.count("s3:GetBucketAcl") <= 4 {
		t.Error("nothing was tried again")
	}
}

// A list that breaks off keeps what came before, and is a gap.
func TestListBreaksOff(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		estate func(*estate)
		config func(*aws.Config)
		want   audit.Gap
		users  int
	}{
		"no end": {
			func(e *estate) { e.endless = "ListUsers" }, func(c *aws.Config) { c.MaxPages = 20 },
			audit.Gap{Origin: globalOrigin, Type: "AWS::IAM::User", Code: audit.Truncated, Operation: "iam:ListUsers"},
			2,
		},
		"an element without an id": {
			func(e *estate) { e.users = []string{"ada", "", "cem"} }, func(*aws.Config) {},
			audit.Gap{Origin: globalOrigin, Type: "AWS::IAM::User", Code: audit.Failed, Operation: "iam:ListUsers"},
			2,
		},
		"nonsense": {
			func(e *estate) { e.answers = map[string]string{"iam:ListUsers": "<html>not what was asked"} }, func(*aws.Config) {},
			audit.Gap{Origin: globalOrigin, Type: "AWS::IAM::User", Code: audit.Failed, Operation: "iam:ListUsers"},
			0,
		},
		"a huge answer": {
			func(e *estate) {
				e.answers = map[string]string{"iam:ListUsers": "<ListUsersResponse>" + strings.Repeat(" ", 2<<20)}
			}, func(c *aws.Config) { c.MaxAnswer = 1 << 20 },
			audit.Gap{Origin: globalOrigin, Type: "AWS::IAM::User", Code: audit.Failed, Operation: "iam:ListUsers"},
			0,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := usual()
			tt.estate(e)
			cfg := config(e.start(t))
			tt.config(&cfg)
			w, col := read(t, cfg, globalOrigin)
			if diff := cmp.Diff([]audit.Gap{tt.want}, col.Gaps); diff != "" {
				t.Errorf("gaps (-want +got):\n%s", diff)
			}
			if got := len(w.Resources) - 1; got != tt.users {
				t.Errorf("%d users, want %d", got, tt.users)
			}
		})
	}
}

// Where nobody can be identified nothing is read.
func TestOriginFails(t *testing.T) {
	t.Parallel()
	nobody := httptest.NewServer(http.NotFoundHandler())
	nobody.Close()
	over := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	t.Cleanup(func() { close(over); silent.Close() })
	identity := func(code string, status int) func(*estate) {
		return func(e *estate) { e.faults = map[string]fault{"sts:GetCallerIdentity": {status: status, code: code}} }
	}
	tests := map[string]struct {
		estate func(*estate)
		config func(*aws.Config)
		code   audit.GapCode
		call   string
		says   []string
	}{
		"another account": {func(e *estate) { e.account = "999988887777" }, nil, audit.AccessDenied, "sts:GetCallerIdentity", []string{"999988887777", account, "role.arn"}},
		"expired":         {identity("ExpiredToken", 403), nil, audit.Unauthenticated, "sts:GetCallerIdentity", []string{account, "ExpiredToken"}},
		"unknown key":     {identity("InvalidClientTokenId", 403), nil, audit.Unauthenticated, "sts:GetCallerIdentity", nil},
		"throttled":       {identity("Throttling", 400), nil, audit.Throttled, "sts:GetCallerIdentity", nil},
		"broken":          {identity("InternalFailure", 500), nil, audit.Failed, "sts:GetCallerIdentity", nil},
		"nobody there":    {nil, func(c *aws.Config) { c.Endpoint = nobody.URL }, audit.Unreachable, "sts:GetCallerIdentity", nil},
		"no answer": {nil, func(c *aws.Config) {
			c.Endpoint, c.Timeout = silent.URL, 20*time.Millisecond
		}, audit.Unreachable, "sts:GetCallerIdentity", nil},
		"no such profile": {nil, func(c *aws.Config) { c.Profile = "crosscheck-no-such-profile" }, audit.Unauthenticated, "sts:GetCallerIdentity", []string{"crosscheck-no-such-profile"}},
		"role denied": {func(e *estate) { e.faults = map[string]fault{"sts:AssumeRole": {status: 403, code: "AccessDenied"}} }, func(c *aws.Config) {
			c.RoleARN = "arn:aws:iam::" + account + ":role/auditor"
		}, audit.AccessDenied, "sts:AssumeRole", nil},
		"no identity": {func(e *estate) {
			e.answers = map[string]string{"sts:GetCallerIdentity": "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>" + account + "</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"}
		}, nil, audit.Failed, "sts:GetCallerIdentity", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := usual()
			if tt.estate != nil {
				tt.estate(e)
			}
			cfg := config(e.start(t))
			if tt.config != nil {
				tt.config(&cfg)
			}
			w := &audittest.Writer{}
			col, _, err := audittest.Timed(t, collector(t, cfg), audit.Request{Origin: westOrigin}, w)
			want := []string{"AWS::::Region", "AWS::EC2::Instance", "AWS::EC2::SecurityGroup", "AWS::EC2::Volume", "AWS::RDS::DBInstance", "AWS::S3::Bucket"}
			if diff := cmp.Diff(want, col.Answers); diff != "" {
				t.Errorf("what the region answers for, read or not (-want +got):\n%s", diff)
			}
			var se *audit.SourceError
			if !errors.As(err, &se) || se.Code != tt.code || se.Operation != tt.call {
				t.Fatalf("Collect() = %v, want a SourceError with %s at %s", err, tt.code, tt.call)
			}
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
			if len(w.Resources) > 0 {
				t.Errorf("%d documents were written", len(w.Resources))
			}
		})
	}
}

func TestWriterFails(t *testing.T) {
	t.Parallel()
	full := &audit.StorageError{Doing: "spilling", Err: errors.New("disk full")}
	c := collector(t, config(usual().start(t)))
	if _, err := c.Collect(t.Context(), audit.Request{Origin: westOrigin}, refusing{typ: "AWS::S3::Bucket", err: full}); !errors.Is(err, full) {
		t.Errorf("Collect() = %v, want the writer's error", err)
	}
	// A document that alone cannot be kept is missing, the others are not.
	col, err := c.Collect(t.Context(), audit.Request{Origin: westOrigin}, refusing{typ: "AWS::S3::Bucket", err: errors.New("document too large")})
	want := []audit.Gap{{Origin: westOrigin, Type: "AWS::S3::Bucket", Code: audit.Failed, Operation: "s3:ListBuckets"}}
	if diff := cmp.Diff(want, col.Gaps); diff != "" || err != nil {
		t.Errorf("Collect() = %v, gaps (-want +got):\n%s", err, diff)
	}
}

// refusing takes all but one type.
type refusing struct {
	typ string
	err error
}

func (w refusing) Write(r audit.Resource) error {
	if r.Type == w.typ {
		return w.err
	}
	return nil
}

func TestUnknownOrigin(t *testing.T) {
	t.Parallel()
	c := collector(t, config("http://127.0.0.1:1"))
	for _, origin := range []string{"", "aws/" + account, "aws/" + account + "/", "aws/" + account + "/us-east-1", "aws/999988887777/global"} {
		if _, err := c.Collect(t.Context(), audit.Request{Origin: origin}, &audittest.Writer{}); err == nil {
			t.Errorf("Collect(%q) succeeded", origin)
		}
	}
}

// A denied list of all buckets cannot hide a region silently.
func TestRegionsNotCompared(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	e := usual()
	e.faults = map[string]fault{"s3:ListBuckets": {status: 403, code: "AccessDenied"}}
	cfg := config(e.start(t))
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	_, col := read(t, cfg, globalOrigin)
	want := []audit.Notice{{
		Code: "regions_not_compared", Subject: "aws/" + account,
		Message: "whether S3 buckets exist in regions that are not configured is not known: AccessDenied s3:ListBuckets",
	}}
	if diff := cmp.Diff(want, col.Notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
	if !strings.Contains(log.String(), "s3:ListBuckets") {
		t.Errorf("the log does not name the call:\n%s", log.String())
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	api := func(code string) error { return &smithy.GenericAPIError{Code: code, Message: "m"} }
	status := func(n int, err error) error {
		return &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: n}}, Err: err}
	}
	tests := map[audit.GapCode][]error{
		audit.AccessDenied: {
			api("AccessDenied"), api("AccessDeniedException"), api("UnauthorizedOperation"), api("OptInRequired"),
			status(403, api("SomethingNew")), status(403, errors.New("proxy's page")), aws.CredentialError(api("AccessDenied")),
		},
		audit.Unauthenticated: {
			api("ExpiredToken"), api("ExpiredTokenException"), api("RequestExpired"), api("InvalidClientTokenId"), api("AuthFailure"),
			api("SignatureDoesNotMatch"), status(401, api("SomethingNew")), status(403, api("InvalidAccessKeyId")),
			aws.CredentialError(errors.New("no EC2 IMDS role found")), aws.CredentialError(api("ExpiredToken")),
			aws.CredentialError(&smithy.OperationError{ServiceID: "ec2imds", OperationName: "GetMetadata", Err: &smithyhttp.RequestSendError{Err: io.EOF}}),
		},
		audit.Throttled: {
			api("Throttling"), api("ThrottlingException"), api("RequestLimitExceeded"), api("SlowDown"), api("TooManyRequestsException"),
			status(429, api("SomethingNew")), fmt.Errorf("exceeded maximum number of attempts, 8, %w", status(503, api("SlowDown"))),
		},
		audit.Unreachable: {
			&smithyhttp.RequestSendError{Err: &net.DNSError{Err: "no such host", IsNotFound: true}}, &net.OpError{Op: "dial", Err: io.EOF},
			aws.CredentialError(&smithy.OperationError{ServiceID: "STS", OperationName: "AssumeRole", Err: &smithyhttp.RequestSendError{Err: io.EOF}}),
		},
		audit.Failed: {
			api("InternalFailure"), api("NoSuchBucket"), status(500, api("SomethingNew")), &smithy.DeserializationError{Err: io.ErrUnexpectedEOF}, errors.New("anything"),
		},
	}
	for want, errs := range tests {
		for _, err := range errs {
			if got := aws.Classify(&smithy.OperationError{ServiceID: "S3", OperationName: "ListBuckets", Err: err}); got != want {
				t.Errorf("Classify(%v) = %s, want %s", err, got, want)
			}
		}
	}
}

func TestRowsAreSound(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range aws.Rows() {
		_, name, ok := strings.Cut(r.Operation, ":")
		if !ok || r.Permission == "" || seen[r.Type+name] {
			t.Errorf("row %+v: want service:Operation, an IAM action, and one place in the document", r)
		}
		seen[r.Type+name] = true
	}
}
