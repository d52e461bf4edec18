// Package aws reads one AWS account: its account-wide facts, IAM users, S3
// buckets, EC2 instances, volumes and security groups, and RDS databases. What is read
// is a table of calls (account.go, iam.go, s3.go, ec2.go, rds.go); machine.go executes it.
package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Config says which account is read, and with whose permissions.
type Config struct {
	Account string   // 12 digits, required: origins are named by it before anything answers
	Regions []string // required; global services are asked through the first

	Profile     string // of the shared AWS configuration; empty: the SDK's default chain
	RoleARN     string // assumed on top of the credentials found
	ExternalID  string // for RoleARN
	SessionName string // for RoleARN, default crosscheck: CloudTrail shows it
	Endpoint    string // http or https URL of a stand-in for AWS; AWS_ENDPOINT_URL works as well

	Redactor *audit.Redactor // required
	Log      *slog.Logger    // required
	Version  string          // of this program, for the user agent

	Credentials sdk.CredentialsProvider // instead of the SDK's default chain
	MaxAttempts int                     // of one request, default 8
	MaxBackoff  time.Duration           // between attempts, default 20 s
	Timeout     time.Duration           // of one attempt, default 60 s
	Parallel    int                     // resources read at once in one origin, default 8
	MaxAnswer   int64                   // bytes of one answer, default 64 MiB
	MaxPages    int                     // of one list call before it counts as truncated, default 10,000
	ReportPoll  time.Duration           // between questions whether the credential report is there, default 2 s
	ReportPolls int                     // questions before the credential report counts as failed, default 45
}

// Collector reads the origins of one account: aws/<account>/global and one for
// each region.
type Collector struct {
	cfg Config

	mu   sync.Mutex
	base *sdk.Config // loaded by the first Collect that gets that far
}

var (
	accountNumber = regexp.MustCompile(`^[0-9]{12}$`)
	regionName    = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)
)

const global = "global"

// New checks cfg. It reads neither files nor the network.
func New(cfg Config) (*Collector, error) {
	switch {
	case !accountNumber.MatchString(cfg.Account):
		return nil, fmt.Errorf("account %q: want the 12 digits of an AWS account number", cfg.Account)
	case len(cfg.Regions) == 0:
		return nil, errors.New("regions is required: name every region that is in use, like eu-west-1")
	case cfg.Redactor == nil:
		return nil, errors.New("a redactor is required")
	case cfg.Log == nil:
		return nil, errors.New("a logger is required")
	}
	for i, r := range cfg.Regions {
		if !regionName.MatchString(r) {
			return nil, fmt.Errorf("region %q: want a region's code, like eu-west-1", r)
		}
		if slices.Contains(cfg.Regions[:i], r) {
			return nil, fmt.Errorf("region %q is listed twice", r)
		}
	}
	if err := checkRole(cfg); err != nil {
		return nil, err
	}
	if cfg.Endpoint != "" {
		if u, err := url.Parse(cfg.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, errors.New("endpoint: want an http or https URL with a host")
		}
	}
	cfg.Regions = slices.Clone(cfg.Regions)
	cfg.SessionName = cmp.Or(cfg.SessionName, "crosscheck")
	cfg.Version = cmp.Or(cfg.Version, "dev")
	cfg.MaxAttempts = cmp.Or(max(cfg.MaxAttempts, 0), 8)
	cfg.MaxBackoff = cmp.Or(max(cfg.MaxBackoff, 0), 20*time.Second)
	cfg.Timeout = cmp.Or(max(cfg.Timeout, 0), time.Minute)
	cfg.Parallel = cmp.Or(max(cfg.Parallel, 0), 8)
	cfg.MaxAnswer = cmp.Or(max(cfg.MaxAnswer, 0), 64<<20) // the largest real ones are a few MB
	cfg.MaxPages = cmp.Or(max(cfg.MaxPages, 0), 10_000)
	cfg.ReportPoll = cmp.Or(max(cfg.ReportPoll, 0), 2*time.Second)
	cfg.ReportPolls = cmp.Or(max(cfg.ReportPolls, 0), 45)
	return &Collector{cfg: cfg}, nil
}

func checkRole(cfg Config) error {
	if cfg.RoleARN == "" {
		if cfg.ExternalID != "" {
			return errors.New("external_id is of no use without role_arn")
		}
		return nil
	}
	parts := strings.SplitN(cfg.RoleARN, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "iam" || !strings.HasPrefix(parts[5], "role/") {
		return fmt.Errorf("role_arn %q: want arn:aws:iam::%s:role/<name>", cfg.RoleARN, cfg.Account)
	}
	if parts[4] != cfg.Account {
		return fmt.Errorf("role_arn %q is of account %q, but account %s is to be read", cfg.RoleARN, parts[4], cfg.Account)
	}
	return nil
}

// Origins implements audit.Collector.
func (c *Collector) Origins() []string {
	out := []string{c.origin(global)}
	for _, r := range c.cfg.Regions {
		out = append(out, c.origin(r))
	}
	return out
}

func (c *Collector) origin(scope string) string {
	return audit.AWS + "/" + c.cfg.Account + "/" + scope
}

// Collect implements audit.Collector. It reads nothing before the credentials
// have proved to be of the configured account.
func (c *Collector) Collect(ctx context.Context, req audit.Request, w audit.SnapshotWriter) (audit.Collection, error) {
	name, ok := strings.CutPrefix(req.Origin, c.origin(""))
	if !ok || name != global && !slices.Contains(c.cfg.Regions, name) {
		return audit.Collection{}, fmt.Errorf("origin %q is not of this collector", req.Origin)
	}
	s, err := c.session(ctx, name, req.Watch)
	if err != nil {
		return audit.Collection{Answers: answers(name)}, err
	}
	r := &reading{session: s, request: req, origin: req.Origin, writer: w, gaps: map[audit.Gap]bool{}, logged: map[string]bool{}}
	r.identity, err = s.identify(ctx)
	if err == nil {
		err = r.all(ctx)
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return r.collection(), err
}

// Permissions lists the IAM actions that reading everything takes, sorted.
func Permissions() []string {
	var out []string
	for _, k := range kinds() {
		out = append(out, k.permission)
		for _, c := range k.calls {
			out = append(append(out, c.permission), c.needs...)
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(s string) bool { return s == "" })
}
