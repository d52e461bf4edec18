package audit_test

import (
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
)

func TestGapCovers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		gap, typ string
		want     bool
	}{
		"the same type":                 {"v1/Service", "v1/Service", true},
		"another type":                  {"v1/Service", "v1/Pod", false},
		"every type":                    {audit.AllTypes, "aws_s3_bucket", true},
		"a version of a group":          {"apps/v1/*", "apps/v1/Deployment", true},
		"another version":               {"apps/v1/*", "apps/v2/Deployment", false},
		"the core group":                {"v1/*", "v1/Service", true},
		"the core group is not a group": {"v1/*", "apps/v1/Deployment", false},
		"a group that begins alike":     {"apps/v1/*", "apps/v1beta1/Deployment", false},
		"the prefix itself":             {"apps/v1/*", "apps/v1", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := (audit.Gap{Type: tt.gap}).Covers(tt.typ); got != tt.want {
				t.Errorf("Gap of %q covers %q: %v, want %v", tt.gap, tt.typ, got, tt.want)
			}
		})
	}
}
