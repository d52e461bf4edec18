package evaluate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/evaluate"
	"github.com/crosscheck-dev/crosscheck/policies"
)

// TestDeclaringTypes: whoever reads again what may be looked up must know its
// types, also where nothing of them has been seen.
func TestDeclaringTypes(t *testing.T) {
	t.Parallel()
	lib, err := policies.Load(policies.Embedded(), nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := evaluate.New(evaluate.Config{Library: lib})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, source := range []string{"aws", "kubernetes", "terraform", "netbox", "none"} {
		types, err := e.DeclaringTypes(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range types {
			kinds, err := e.CanDeclare(source, typ)
			if err != nil {
				t.Fatal(err)
			}
			got[source+"/"+typ] = kinds
		}
	}
	controller := []string{"kubernetes.controller"}
	want := map[string][]string{
		"aws/AWS::EC2::Instance":        {"aws.address", "aws.instance"},
		"aws/AWS::S3::Bucket":           {"aws.bucket"},
		"kubernetes/v1/Node":            {"kubernetes.node", "kubernetes.node_address"},
		"kubernetes/apps/v1/Deployment": controller, "kubernetes/apps/v1/DaemonSet": controller, "kubernetes/apps/v1/StatefulSet": controller,
		"kubernetes/apps/v1/ReplicaSet": controller, "kubernetes/batch/v1/Job": controller, "kubernetes/batch/v1/CronJob": controller,
		"kubernetes/networking.k8s.io/v1/NetworkPolicy": {"kubernetes.namespace_policy"},
		"terraform/aws_instance":                        {"terraform.instance"},
		"terraform/aws_s3_bucket_public_access_block":   {"terraform.public_access_block"},
		"netbox/ipam.ipaddress":                         {"netbox.address", "netbox.address_in_vrf"},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("what can be looked up (-got +want):\n%s", diff)
	}
	if none, err := e.CanDeclare("aws", "AWS::SQS::Queue"); err != nil || len(none) > 0 {
		t.Errorf("a queue declares %v, %v", none, err)
	}
}
