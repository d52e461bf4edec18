package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	static "github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/collectors/aws"
	"github.com/crosscheck-dev/crosscheck/collectors/kubernetes"
	"github.com/crosscheck-dev/crosscheck/collectors/netbox"
	"github.com/crosscheck-dev/crosscheck/collectors/recorded"
	"github.com/crosscheck-dev/crosscheck/collectors/terraform"
	"github.com/crosscheck-dev/crosscheck/evidence"
)

// publicKey redacts the recorded estate. Anyone may know it: the secrets in the
// estate are made up, and whoever records it again gets the same tokens.
const publicKey = "the recorded estate hides nothing"

// archiveRole is what the account of the archive is read as; prod's is read as whoever the credentials are.
const archiveRole = "arn:aws:iam::" + archive + ":role/crosscheck"

// configuration writes crosscheck.yaml, which audits the estate, into e.dir.
func (e *estate) configuration(context.Context) error {
	text := fmt.Sprintf(`version: 1
entity: Nordhafen Logistik GmbH
system: Freight platform
data_dir: ./crosscheck-data
sources:
  aws:
    - account: %q
      regions: [eu-central-1, eu-west-1]
      endpoint: %s
    - account: %q
      regions: [eu-central-1]
      endpoint: %s
      role: {arn: %q}
  kubernetes:
    - {name: eks-prod-euc1, kubeconfig: ./estate-kubernetes/kubeconfig, context: auditor}
  terraform:
    - {name: nordhafen, files: [./terraform.tfstate]}
  netbox:
    - {name: nordhafen, url: %q, token: {env: CROSSCHECK_NETBOX_TOKEN}}
`, prod, e.url(estatePorts), archive, e.url(estatePorts), archiveRole, e.netbox())
	return os.WriteFile(filepath.Join(e.dir, "crosscheck.yaml"), []byte(text), 0o600)
}

// record lets the collectors read the estate and keeps what they saw.
func (e *estate) record(ctx context.Context) error {
	collectors, err := e.collectors()
	if err != nil {
		return err
	}
	vault, err := evidence.NewVault(filepath.Join(e.dir, "vault"))
	if err != nil {
		return err
	}
	to := filepath.Join(e.repository, "testdata", "estate", "recorded")
	auditor := audit.Auditor{
		Collectors: collectors, Decider: undecided{}, Vault: vault, TempDir: e.dir,
		Sinks: []audit.Sink{recording{to}}, Now: time.Now, Log: slog.Default(),
	}
	// Files are named in snapshots: by a path that means the same on every machine.
	if err := os.Chdir(e.dir); err != nil {
		return err
	}
	run, err := auditor.Run(ctx, audit.Order{Trigger: audit.Manual})
	if err != nil {
		return err
	}
	for _, s := range run.Snapshots {
		fmt.Fprintf(os.Stderr, "estate: %s: %d resources, %d bytes, read by %s\n", s.Origin, s.Resources, s.Bytes, s.Identity)
	}
	if gaps := run.Gaps(); len(gaps) > 0 {
		return fmt.Errorf("the recorded estate has gaps: %v", gaps)
	}
	return nil
}

func (e *estate) collectors() ([]audit.Collector, error) {
	redactor, log := audit.NewRedactor([]byte(publicKey)), slog.Default()
	fake := static.NewStaticCredentialsProvider("FAKEadmin", "FAKEsecret", "")
	first, err := aws.New(aws.Config{
		Account: prod, Regions: []string{"eu-central-1", "eu-west-1"}, Endpoint: e.url(estatePorts),
		Credentials: fake, Redactor: redactor, Log: log,
	})
	if err != nil {
		return nil, err
	}
	second, err := aws.New(aws.Config{
		Account: archive, Regions: []string{"eu-central-1"}, Endpoint: e.url(estatePorts), RoleARN: archiveRole,
		Credentials: fake, Redactor: redactor, Log: log,
	})
	if err != nil {
		return nil, err
	}
	cluster, err := kubernetes.New(kubernetes.Config{
		Name: "eks-prod-euc1", Kubeconfig: filepath.Join(e.dir, "estate-kubernetes", "kubeconfig"), Context: "auditor",
		Redactor: redactor, Log: log,
	})
	if err != nil {
		return nil, err
	}
	state, err := terraform.New(terraform.Config{Name: "nordhafen", Files: []string{"terraform.tfstate"}, Redactor: redactor, Log: log})
	if err != nil {
		return nil, err
	}
	inventory, err := netbox.New(netbox.Config{Name: "nordhafen", URL: e.netbox(), Token: token, Redactor: redactor, Log: log})
	if err != nil {
		return nil, err
	}
	return []audit.Collector{first, second, cluster, state, inventory}, nil
}

// undecided judges nothing: recording is about what was seen.
type undecided struct{}

// Catalog implements audit.Decider.
func (undecided) Catalog() audit.Catalog { return audit.Catalog{Revision: strings.Repeat("0", 64)} }

// Decide implements audit.Decider.
func (undecided) Decide(context.Context, audit.Judgement, func(audit.Verdict) error) error {
	return nil
}

// recording is the sink that saves a run's snapshots.
type recording struct{ dir string }

// Name implements audit.Sink.
func (recording) Name() string { return "recording" }

// Deliver implements audit.Sink.
func (r recording) Deliver(ctx context.Context, rec audit.Record, _ audit.Delivery) error {
	return recorded.Save(ctx, r.dir, rec.Run.Snapshots, rec.Vault)
}
