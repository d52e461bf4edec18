// Package aws repairs by single calls of AWS APIs, out of a closed list of
// actions of which each has its inverse. Values reach AWS as fields of the SDK's
// inputs and nothing else.
package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/remediate"
)

// Account says who acts in one account. It should not be who audits it.
type Account struct {
	ID          string
	Region      string // for what is not of a region; default us-east-1
	Profile     string
	RoleARN     string
	ExternalID  string
	Endpoint    string                  // instead of AWS's own
	Credentials sdk.CredentialsProvider // default the SDK's chain
}

// Config says where the runner may act.
type Config struct {
	Accounts []Account
	Version  string // of crosscheck, for the user agent
	Timeout  time.Duration
}

// Runner implements remediate.Runner.
type Runner struct {
	cfg      Config
	accounts map[string]Account

	mu    sync.Mutex
	bases map[string]sdk.Config // by account, once its credentials proved to be of it
}

// New makes no call.
func New(cfg Config) (*Runner, error) {
	r := &Runner{cfg: cfg, accounts: map[string]Account{}, bases: map[string]sdk.Config{}}
	if r.cfg.Timeout == 0 {
		r.cfg.Timeout = 30 * time.Second
	}
	for _, a := range cfg.Accounts {
		if len(a.ID) != 12 || strings.Trim(a.ID, "0123456789") != "" {
			return nil, fmt.Errorf("account %q: expected 12 digits", a.ID)
		}
		if _, twice := r.accounts[a.ID]; twice {
			return nil, fmt.Errorf("account %s is configured twice", a.ID)
		}
		if a.Region == "" {
			a.Region = "us-east-1"
		}
		r.accounts[a.ID] = a
	}
	return r, nil
}

// told is what a runbook tells this runner.
type told struct {
	Action string         `json:"action"`
	With   map[string]any `json:"with"`
}

// Check implements remediate.Checker.
func (r *Runner) Check(b remediate.Runbook) error {
	var t told
	if err := remediate.Decode(b.Act, &t); err != nil {
		return err
	}
	a, ok := actions[t.Action]
	if !ok {
		return fmt.Errorf("act.action %q: expected one of %s", t.Action, strings.Join(slices.Sorted(maps.Keys(actions)), ", "))
	}
	for name := range t.With {
		if !slices.Contains(a.needs, name) && !slices.Contains(a.takes, name) {
			return fmt.Errorf("act.with.%s: %s does not take it", name, t.Action)
		}
	}
	for _, name := range a.needs {
		if _, ok := t.With[name]; !ok {
			return fmt.Errorf("act.with.%s: %s needs it", name, t.Action)
		}
	}
	return nil
}

// use is one action on one target.
type use struct {
	*conn
	act  string
	with map[string]string
}

// uses renders a call: an action for each target.
func (r *Runner) uses(ctx context.Context, c remediate.Call) ([]use, action, error) {
	conn, err := r.connect(ctx, c.Origin)
	if err != nil {
		return nil, action{}, err
	}
	var out []use
	var a action
	for _, target := range c.Targets {
		var t told
		if err := remediate.Decode(c.Runbook.Fill(target), &t); err != nil {
			return nil, a, err
		}
		u := use{conn: conn, act: t.Action, with: map[string]string{}}
		for name, v := range t.With {
			switch v := v.(type) {
			case string:
				u.with[name] = v
			case json.Number:
				u.with[name] = v.String()
			default:
				return nil, a, fmt.Errorf("act.with.%s: expected text or a number", name)
			}
		}
		var ok bool
		if a, ok = actions[t.Action]; !ok {
			return nil, a, fmt.Errorf("no action %q", t.Action)
		}
		for _, name := range slices.Concat(a.needs, a.takes) {
			if v, given := u.with[name]; (given || slices.Contains(a.needs, name)) && !forms[name].MatchString(v) {
				return nil, a, fmt.Errorf("act.with.%s: not what AWS calls one", name)
			}
		}
		out = append(out, u)
	}
	return out, a, nil
}

// Capture implements remediate.Runner: a list, one state for each target.
func (r *Runner) Capture(ctx context.Context, c remediate.Call) (json.RawMessage, error) {
	list, a, err := r.uses(ctx, c)
	if err != nil {
		return nil, err
	}
	states, err := capture(ctx, list, a)
	if err != nil {
		return nil, err
	}
	return audit.Canonical(states)
}

func capture(ctx context.Context, list []use, a action) ([]any, error) {
	out := make([]any, len(list))
	for i, u := range list {
		state, err := a.capture(ctx, u)
		if err != nil {
			return nil, fmt.Errorf("%s: reading what is there: %w", u.act, err)
		}
		out[i] = state
	}
	return out, nil
}

// Act implements remediate.Runner.
func (r *Runner) Act(ctx context.Context, c remediate.Call) (string, error) {
	list, a, err := r.uses(ctx, c)
	if err != nil {
		return "", err
	}
	states, err := capture(ctx, list, a)
	if err != nil {
		return "", err
	}
	var said strings.Builder
	for i, u := range list {
		now, err := audit.Canonical(states[i])
		if err != nil {
			return said.String(), err
		}
		with, err := audit.Canonical(u.with)
		if err != nil {
			return said.String(), err
		}
		verb := "did"
		if c.DryRun {
			verb = "would do"
		}
		err = a.do(ctx, u, c.DryRun)
		if dryRunOK(err) {
			err = nil
		}
		if err != nil {
			return said.String(), fmt.Errorf("%s %s: %w", u.act, with, err)
		}
		fmt.Fprintf(&said, "%s %s %s, was %s\n", verb, u.act, with, now)
	}
	return said.String(), nil
}

// dryRunOK tells whether EC2 says that a call would have been allowed.
func dryRunOK(err error) bool {
	var e smithy.APIError
	return errors.As(err, &e) && e.ErrorCode() == "DryRunOperation"
}

// Undo implements remediate.Runner: the last target first.
func (r *Runner) Undo(ctx context.Context, c remediate.Call, before json.RawMessage) (string, error) {
	list, a, err := r.uses(ctx, c)
	if err != nil {
		return "", err
	}
	var states []json.RawMessage
	if err := json.Unmarshal(before, &states); err != nil || len(states) != len(list) {
		return "", errors.New("what was there before is not on record for each target")
	}
	var said strings.Builder
	for i := len(list) - 1; i >= 0; i-- {
		if err := a.undo(ctx, list[i], states[i]); err != nil {
			return said.String(), fmt.Errorf("undoing %s: %w", list[i].act, err)
		}
		fmt.Fprintf(&said, "undid %s, is %s again\n", list[i].act, states[i])
	}
	return said.String(), nil
}

// conn is the clients of one account and region. Reads are retried; what changes
// something is asked once.
type conn struct {
	read, write clients
}

type clients struct {
	s3  *s3.Client
	ec2 *ec2.Client
	iam *iam.Client
	rds *rds.Client
}

// Connect gives the configuration of who acts in an origin, for runners that
// call other services. It is of the origin's account, or there is an error.
func (r *Runner) Connect(ctx context.Context, origin string) (sdk.Config, error) {
	parts := strings.Split(origin, "/")
	if len(parts) != 3 || parts[0] != audit.AWS {
		return sdk.Config{}, fmt.Errorf("%q is no origin of AWS", origin)
	}
	account, ok := r.accounts[parts[1]]
	if !ok {
		return sdk.Config{}, fmt.Errorf("account %s is not among remediation.aws: nothing may be repaired in it", parts[1])
	}
	base, err := r.base(ctx, account)
	if err != nil {
		return sdk.Config{}, fmt.Errorf("account %s: %w", account.ID, err)
	}
	cfg := base.Copy()
	if cfg.Region = parts[2]; parts[2] == "global" {
		cfg.Region = account.Region
	}
	return cfg, nil
}

func (r *Runner) connect(ctx context.Context, origin string) (*conn, error) {
	cfg, err := r.Connect(ctx, origin)
	if err != nil {
		return nil, err
	}
	once := cfg.Copy()
	once.RetryMaxAttempts = 1
	once.Retryer = func() sdk.Retryer { return sdk.NopRetryer{} }
	return &conn{newClients(cfg), newClients(once)}, nil
}

func newClients(cfg sdk.Config) clients {
	return clients{
		s3:  s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = local(o.BaseEndpoint) }),
		ec2: ec2.NewFromConfig(cfg), iam: iam.NewFromConfig(cfg), rds: rds.NewFromConfig(cfg),
	}
}

// local tells whether an endpoint is this machine, where no bucket can be put before the host's name.
func local(endpoint *string) bool {
	u, err := url.Parse(sdk.ToString(endpoint))
	return err == nil && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()) != nil)
}

// base finds the credentials of an account, and refuses those of another.
func (r *Runner) base(ctx context.Context, a Account) (sdk.Config, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cfg, ok := r.bases[a.ID]; ok {
		return cfg, nil
	}
	opts := []func(*config.LoadOptions) error{
		config.WithRegion(a.Region), config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(r.cfg.Timeout)),
	}
	if a.Profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(a.Profile))
	}
	if a.Endpoint != "" {
		opts = append(opts, config.WithBaseEndpoint(a.Endpoint))
	}
	if a.Credentials != nil {
		opts = append(opts, config.WithCredentialsProvider(a.Credentials))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return cfg, fmt.Errorf("loading the AWS configuration: %w", err)
	}
	cfg.Logger = logging.Nop{}
	cfg.APIOptions = append(cfg.APIOptions, middleware.AddUserAgentKeyValue("crosscheck-repair", r.cfg.Version))
	if a.RoleARN != "" {
		cfg.Credentials = sdk.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), a.RoleARN, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "crosscheck-repair"
			if a.ExternalID != "" {
				o.ExternalID = &a.ExternalID
			}
		}))
	}
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return cfg, fmt.Errorf("asking who acts: %w", err)
	}
	if got := sdk.ToString(who.Account); got != a.ID {
		return cfg, fmt.Errorf("the credentials are of account %q: nothing is repaired with them", got)
	}
	r.bases[a.ID] = cfg
	return cfg, nil
}
