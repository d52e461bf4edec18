package configs_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	sigyaml "sigs.k8s.io/yaml"

	"github.com/crosscheck-dev/crosscheck/configs"
)

// objects reads manifests strictly, as the API server would without lenience.
func objects(t *testing.T, path string) []any {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []any
	for dec := yaml.NewDecoder(bytes.NewReader(b)); ; {
		var node yaml.Node
		if err := dec.Decode(&node); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		one, err := yaml.Marshal(&node)
		if err != nil {
			t.Fatal(err)
		}
		var kind struct{ APIVersion, Kind string }
		if err := sigyaml.Unmarshal(one, &kind); err != nil {
			t.Fatal(err)
		}
		obj, ok := map[string]any{
			"apps/v1 StatefulSet": &appsv1.StatefulSet{}, "batch/v1 CronJob": &batchv1.CronJob{}, "v1 Service": &corev1.Service{},
			"v1 ServiceAccount": &corev1.ServiceAccount{}, "v1 PersistentVolumeClaim": &corev1.PersistentVolumeClaim{},
		}[kind.APIVersion+" "+kind.Kind]
		if !ok {
			t.Fatalf("%s: unexpected %s %s", path, kind.APIVersion, kind.Kind)
		}
		if err := sigyaml.UnmarshalStrict(one, obj); err != nil {
			t.Fatalf("%s: %s: %v", path, kind.Kind, err)
		}
		out = append(out, obj)
	}
}

// checkPod holds pods to what our own controls ask of others.
func checkPod(t *testing.T, p corev1.PodSpec) {
	t.Helper()
	volumes := map[string]bool{}
	for _, v := range p.Volumes {
		volumes[v.Name] = true
	}
	volumes["data"] = true // of a claim
	c := p.Containers[0]
	for _, m := range c.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("no volume %s", m.Name)
		}
	}
	s := c.SecurityContext
	if !*p.SecurityContext.RunAsNonRoot || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || s.Capabilities.Drop[0] != "ALL" || c.Resources.Limits.Memory().IsZero() {
		t.Error("the pod may do more than it needs")
	}
}

func TestKubernetes(t *testing.T) {
	t.Parallel()
	set, ok := objects(t, filepath.Join("kubernetes", "statefulset.yaml"))[0].(*appsv1.StatefulSet)
	if !ok {
		t.Fatal("no StatefulSet")
	}
	c, err := configs.Demo()
	if err != nil {
		t.Fatal(err)
	}
	pod := set.Spec.Template.Spec
	checkPod(t, pod)
	if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; grace <= c.Daemon.Grace || *set.Spec.Replicas != 1 {
		t.Errorf("%s to end, and an audit may take %s; %d replicas", grace, c.Daemon.Grace, *set.Spec.Replicas)
	}
	job, ok := objects(t, filepath.Join("kubernetes", "cronjob.yaml"))[0].(*batchv1.CronJob)
	if !ok {
		t.Fatal("no CronJob")
	}
	checkPod(t, job.Spec.JobTemplate.Spec.Template.Spec)
	if job.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent || job.Spec.StartingDeadlineSeconds == nil {
		t.Error("audits may overlap, or be missed for good")
	}
}

// TestSystemd has systemd itself read the unit.
func TestSystemd(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join("systemd", "crosscheck.service"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Type=notify\n", "ExecReload=/bin/kill -HUP $MAINPID\n", "TimeoutStopSec=6min\n", "WatchdogSec="} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the unit does not say %s", want)
		}
	}
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	// It wants a program that is there.
	path := filepath.Join(t.TempDir(), "crosscheck.service")
	unit := strings.ReplaceAll(string(b), "/usr/local/bin/crosscheck", "/bin/true")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), verify, "verify", "--man=no", "--recursive-errors=no", path).CombinedOutput(); err != nil || strings.Contains(string(out), "crosscheck.service:") {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}
