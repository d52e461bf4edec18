package aws_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/collectors/aws"
)

func TestCredentialReport(t *testing.T) {
	t.Parallel()
	gone := func(code string) fault { return fault{status: 410, code: code} }
	tests := map[string]struct {
		estate   func(*estate)
		want     string // the gap of every user and the account, or none
		generate int    // requests to make the report
	}{
		"ready":             {func(*estate) {}, "", 1},
		"in the making":     {func(e *estate) { e.states = []string{"STARTED", "INPROGRESS"} }, "", 3},
		"never ready":       {func(e *estate) { e.states = []string{"STARTED", "INPROGRESS", "INPROGRESS", "INPROGRESS"} }, "Failed iam:GenerateCredentialReport", 3},
		"state unknown":     {func(e *estate) { e.states = []string{"", "DREAMING", ""} }, "Failed iam:GenerateCredentialReport", 3},
		"expired meanwhile": {func(e *estate) { e.reports = []fault{gone("ReportExpired")} }, "", 2},
		"not present yet": {func(e *estate) {
			e.reports = []fault{gone("ReportNotPresent"), {status: 404, code: "ReportInProgress"}}
		}, "", 3},
		"expired for ever": {func(e *estate) {
			e.reports = []fault{gone("ReportExpired"), gone("ReportExpired"), gone("ReportExpired")}
		}, "Failed iam:GetCredentialReport", 3},
		"too many are made": {func(e *estate) {
			e.faults = map[string]fault{"iam:GenerateCredentialReport": {status: 409, code: "ReportGenerationLimitExceeded"}}
		}, "Throttled iam:GenerateCredentialReport", 1},
		"nothing but a header":  {func(e *estate) { e.csv = "user,arn\n" }, "Truncated iam:GetCredentialReport", 1},
		"cut off within a row":  {func(e *estate) { e.csv = "user,arn,mfa_active\n<root_account>,r,true\nada,a,true\nben,b" }, "Failed iam:GetCredentialReport", 1},
		"cut off within quotes": {func(e *estate) { e.csv = "user,arn,mfa_active\n<root_account>,r,\"tr" }, "Failed iam:GetCredentialReport", 1},
		"not a report":          {func(e *estate) { e.csv = "<html>\n" }, "Failed iam:GetCredentialReport", 1},
		"not base64": {func(e *estate) {
			e.answers = map[string]string{"iam:GetCredentialReport": "<GetCredentialReportResponse><GetCredentialReportResult><Content>!!</Content></GetCredentialReportResult></GetCredentialReportResponse>"}
		}, "Failed iam:GetCredentialReport", 1},
		"no content": {func(e *estate) {
			e.answers = map[string]string{"iam:GetCredentialReport": "<GetCredentialReportResponse><GetCredentialReportResult/></GetCredentialReportResponse>"}
		}, "Failed iam:GetCredentialReport", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := usual()
			tt.estate(e)
			w, col := read(t, config(e.start(t)), globalOrigin)
			if len(w.Resources) != 6 || len(col.Gaps) > 0 {
				t.Errorf("%d documents and gaps %v, want 6 and none", len(w.Resources), col.Gaps)
			}
			for _, r := range w.Resources {
				want := map[string]string{"/data/GetCredentialReport": tt.want}
				if tt.want == "" {
					want = nil
				}
				if diff := cmp.Diff(want, r.Gaps); diff != "" {
					t.Errorf("%s: gaps (-want +got):\n%s", r.ID, diff)
				}
			}
			if n := e.count("iam:GenerateCredentialReport"); n != tt.generate {
				t.Errorf("asked %d times for the report to be made, want %d", n, tt.generate)
			}
		})
	}
}

func TestParseReport(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		csv  string
		want map[string]map[string]string // nil: an error
	}{
		"rows":                      {"user,arn\n<root_account>,r\nada,a\n", map[string]map[string]string{"<root_account>": {"user": "<root_account>", "arn": "r"}, "ada": {"user": "ada", "arn": "a"}}},
		"no newline at the end":     {"user,arn\nada,a", map[string]map[string]string{"ada": {"user": "ada", "arn": "a"}}},
		"Windows line ends":         {"user,arn\r\nada,a\r\n", map[string]map[string]string{"ada": {"user": "ada", "arn": "a"}}},
		"columns in another order":  {"mfa_active,user\ntrue,ada\n", map[string]map[string]string{"ada": {"user": "ada", "mfa_active": "true"}}},
		"columns of the future":     {"user,passkey_active\nada,true\n", map[string]map[string]string{"ada": {"user": "ada", "passkey_active": "true"}}},
		"empty":                     {"", nil},
		"no user column":            {"name,arn\nada,a\n", nil},
		"a column twice":            {"user,user\nada,ada\n", nil},
		"a column without a name":   {"user,\nada,a\n", nil},
		"a user twice":              {"user,arn\nada,a\nada,b\n", nil},
		"a row too short":           {"user,arn\nada\n", nil},
		"a row too long":            {"user,arn\nada,a,true\n", nil},
		"a quote that does not end": {"user,arn\nada,\"a\n", nil},
		"not UTF-8":                 {"user,arn\nada,\xff\n", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := aws.ParseReport([]byte(tt.csv))
			if (err != nil) != (tt.want == nil) {
				t.Fatalf("ParseReport() = %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte("user,arn,mfa_active\n<root_account>,arn:aws:iam::111122223333:root,true\nada,a,false\n"))
	f.Add([]byte("user,arn\n\"a\"\"b\",\"c\nd\"\n"))
	f.Add([]byte("user\n\n\n,"))
	f.Fuzz(func(t *testing.T, content []byte) {
		rows, err := aws.ParseReport(content)
		if err != nil {
			return
		}
		columns := -1
		for user, row := range rows {
			if row["user"] != user {
				t.Errorf("row %q is kept under %q", row["user"], user)
			}
			if columns >= 0 && len(row) != columns {
				t.Errorf("rows have %d and %d columns", columns, len(row))
			}
			columns = len(row)
		}
		if lines := bytes.Count(content, []byte("\n")) + bytes.Count(content, []byte("\r")); len(rows) > lines+1 {
			t.Errorf("%d rows from %d lines", len(rows), lines)
		}
	})
}
