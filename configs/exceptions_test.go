package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/configs"
)

func check(e configs.Exception) error { return audit.Exception(e).Check() }

const entry = `  - id: E-1
    control: STO-001
    resource: aws/1/eu-west-1/AWS::S3::Bucket/www
    justification: public by intent
    requested_by: Jo
    approved_by: Sam
    approved_on: 2026-11-01
    expires: 2027-01-01T12:00:00+01:00
    ticket: SEC-1
`

func TestExceptionsExample(t *testing.T) {
	t.Parallel()
	x, err := configs.LoadExceptions("exceptions.example.yaml", check)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("exceptions.example.yaml")
	if err != nil || string(raw) != string(x.Raw) || len(x.List) != 1 || x.List[0].ID != "EXC-2026-014" {
		t.Errorf("LoadExceptions() = %+v, %v", x.List, err)
	}
}

func TestExceptions(t *testing.T) {
	t.Parallel()
	x, err := configs.ParseExceptions([]byte("version: 1\nexceptions:\n"+entry), "e.yaml", check)
	if err != nil {
		t.Fatal(err)
	}
	want := []configs.Exception{{
		ID: "E-1", Control: "STO-001", Resource: "aws/1/eu-west-1/AWS::S3::Bucket/www", Justification: "public by intent", RequestedBy: "Jo", ApprovedBy: "Sam",
		ApprovedOn: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Expires: time.Date(2027, 1, 1, 11, 0, 0, 0, time.UTC), Ticket: "SEC-1",
	}}
	if diff := cmp.Diff(x.List, want); diff != "" {
		t.Errorf("ParseExceptions() (-got +want):\n%s", diff)
	}
	if x, err := configs.ParseExceptions([]byte("version: 1\nexceptions: []\n"), "e.yaml", check); err != nil || len(x.List) != 0 {
		t.Errorf("no exceptions: %+v, %v", x.List, err)
	}
}

func TestExceptionErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"empty":         {"", "e.yaml:1: the file is empty"},
		"no version":    {"exceptions: []\n", "e.yaml:1: version: required"},
		"unknown field": {"version: 1\nexceptions:\n" + entry + "    owner: Jo\n", "e.yaml:12: exceptions[0].owner: unknown field: expected approved_by"},
		"missing field": {"version: 1\nexceptions:\n" + strings.Replace(entry, "    ticket: SEC-1\n", "", 1), "e.yaml:3: exceptions[0] E-1: ticket is required"},
		"no expiry":     {"version: 1\nexceptions:\n" + strings.Replace(entry, "    expires: 2027-01-01T12:00:00+01:00\n", "", 1), "e.yaml:3: exceptions[0] E-1: expires is required"},
		"self approved": {"version: 1\nexceptions:\n" + strings.Replace(entry, "Sam", "jo", 1), "e.yaml:3: exceptions[0] E-1: approved_by must not be requested_by"},
		"control":       {"version: 1\nexceptions:\n" + strings.Replace(entry, "STO-001", "sto1", 1), "e.yaml:4: exceptions[0].control: expected a control id"},
		"twice":         {"version: 1\nexceptions:\n" + entry + entry, `e.yaml:12: exceptions[1].id: "E-1" is used twice, first in line 3`},
		"date":          {"version: 1\nexceptions:\n" + strings.Replace(entry, "2026-11-01", "01.11.2026", 1), "e.yaml:9: exceptions[0].approved_on: expected a date"},
		"not a list":    {"version: 1\nexceptions: {a: b}\n", "e.yaml:2: exceptions: expected a list, got a mapping"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := configs.ParseExceptions([]byte(tt.text), "e.yaml", check); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseExceptions() = %v\nwant %s", err, tt.want)
			}
		})
	}
	if _, err := configs.LoadExceptions(filepath.Join(t.TempDir(), "none.yaml"), check); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("LoadExceptions() of no file: %v", err)
	}
}

func FuzzParseExceptions(f *testing.F) {
	f.Add("version: 1\nexceptions:\n" + entry)
	f.Add("version: 1\nexceptions: [{}]\n")
	f.Add("version: 1\nexceptions: [{id: [}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		x, err := configs.ParseExceptions([]byte(text), "e.yaml", check)
		if err != nil {
			return
		}
		for _, e := range x.List {
			if err := check(e); err != nil {
				t.Errorf("accepted an invalid exception: %v", err)
			}
		}
	})
}
