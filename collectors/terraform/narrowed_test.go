package terraform_test

import (
	"slices"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/terraform"
)

// TestAbsentFromOneFile shows that nothing is gone while one of the files cannot be read.
func TestAbsentFromOneFile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		other  terraform.Input
		absent bool
	}{
		"all are read": {input("b.tfstate", `{"version": 4, "terraform_version": "1.9.0", "serial": 1, "lineage": "l", "outputs": {}, "resources": []}`), true},
		"one is torn":  {input("b.tfstate", `{"version": 4, "resou`), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := collector(t, terraform.Config{Files: []string{"testdata/state.tfstate"}, Inputs: []terraform.Input{tt.other}})
			origin := c.Origins()[0]
			w := &audittest.Writer{}
			id := origin + "/aws_s3_bucket/aws_s3_bucket.none"
			col, err := c.Collect(t.Context(), audit.Request{Origin: origin, Resources: []string{id}}, w)
			if err != nil || len(w.Lines) > 0 {
				t.Fatalf("%d documents, %v", len(w.Lines), err)
			}
			if got := slices.Contains(col.Absent, id); got != tt.absent || got == (len(col.Gaps) > 0) {
				t.Errorf("absent %v, gaps %v", col.Absent, col.Gaps)
			}
		})
	}
	c := collector(t, terraform.Config{Inputs: []terraform.Input{input("b.tfstate", `{"version": 4, "resou`)}})
	id := c.Origins()[0] + "/aws_s3_bucket/aws_s3_bucket.none"
	col, err := c.Collect(t.Context(), audit.Request{Origin: c.Origins()[0], Resources: []string{id}}, &audittest.Writer{})
	if err == nil || len(col.Absent) > 0 {
		t.Errorf("absent %v and %v, though nothing could be read", col.Absent, err)
	}
}
