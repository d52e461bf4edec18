package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3control"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyendpoints "github.com/aws/smithy-go/endpoints"
	"github.com/aws/smithy-go/logging"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// session is one reading of one origin: its clients, and the count of what was asked.
type session struct {
	cfg    Config
	scope  string // a region, or global
	region string // where requests go

	sts       *sts.Client
	iam       *iam.Client
	s3        *s3.Client
	s3control *s3control.Client
	ec2       *ec2.Client
	rds       *rds.Client

	report credentialReport
	watch  *audit.Stopwatch

	mu     sync.Mutex
	meters map[string]*meter
	host   string // that answered who we are
}

// meter counts the use of one operation with one set of parameters.
type meter struct {
	call                    audit.Call
	absent                  []string // the error codes that mean "there is none"
	watch                   *audit.Stopwatch
	requests, items, errors atomic.Int64
}

// start counts a request, which may be several attempts. It ends with what it returns.
func (m *meter) start() (end func(err error)) {
	m.requests.Add(1)
	stop := m.watch.Start(m.call.Operation)
	return func(err error) {
		if says(err, m.absent) {
			err = nil
		}
		stop(err)
	}
}

func (s *session) meter(operation, permission string, parameters map[string]string, absent ...string) *meter {
	key := operation + fmt.Sprint(parameters)
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.meters[key]
	if m == nil {
		m = &meter{call: audit.Call{Operation: operation, Permission: permission, Parameters: parameters}, absent: absent, watch: s.watch}
		s.meters[key] = m
	}
	return m
}

// calls returns what was asked, sorted.
func (s *session) calls() []audit.Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []audit.Call
	for _, key := range slices.Sorted(maps.Keys(s.meters)) {
		m := s.meters[key]
		m.call.Requests, m.call.Items, m.call.Errors = m.requests.Load(), m.items.Load(), m.errors.Load()
		out = append(out, m.call)
	}
	return out
}

func (c *Collector) session(ctx context.Context, scope string, watch *audit.Stopwatch) (*session, error) {
	base, err := c.load(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{cfg: c.cfg, scope: scope, region: scope, watch: watch, meters: map[string]*meter{}}
	if scope == global {
		s.region = c.cfg.Regions[0]
	}
	cfg := base.Copy()
	cfg.Region = s.region
	s.sts = sts.NewFromConfig(cfg)
	s.iam = iam.NewFromConfig(cfg)
	s.ec2 = ec2.NewFromConfig(cfg)
	s.rds = rds.NewFromConfig(cfg)
	s.s3 = s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = o.BaseEndpoint != nil })
	s.s3control = s3control.NewFromConfig(cfg, func(o *s3control.Options) {
		if u, ok := local(o.BaseEndpoint); ok {
			o.EndpointResolverV2 = unprefixed{next: s3control.NewDefaultEndpointResolverV2(), base: u}
		}
	})
	return s, nil
}

// load finds credentials once for all origins. A failure is not remembered: the
// next run tries again.
func (c *Collector) load(ctx context.Context) (sdk.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.base != nil {
		return *c.base, nil
	}
	opts := []func(*config.LoadOptions) error{
		config.WithRegion(c.cfg.Regions[0]),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(c.cfg.Timeout)), // the SDK adds AWS_CA_BUNDLE to it
		config.WithRetryMaxAttempts(c.cfg.MaxAttempts),
		config.WithRetryer(func() sdk.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff = c.cfg.MaxAttempts, c.cfg.MaxBackoff
			})
		}),
	}
	if c.cfg.Profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(c.cfg.Profile))
	}
	if c.cfg.Endpoint != "" {
		opts = append(opts, config.WithBaseEndpoint(c.cfg.Endpoint))
	}
	if c.cfg.Credentials != nil {
		opts = append(opts, config.WithCredentialsProvider(c.cfg.Credentials))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return sdk.Config{}, &audit.SourceError{Code: audit.Unauthenticated, Operation: identityCall, Err: fmt.Errorf("loading the AWS configuration: %w", err)}
	}
	cfg.HTTPClient = bounded{next: cfg.HTTPClient, max: c.cfg.MaxAnswer}
	cfg.Logger = logging.Nop{} // what matters comes back as an error
	cfg.APIOptions = append(cfg.APIOptions, middleware.AddUserAgentKeyValue("crosscheck", c.cfg.Version))
	if c.cfg.RoleARN != "" {
		cfg.Credentials = stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), c.cfg.RoleARN, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = c.cfg.SessionName
			if c.cfg.ExternalID != "" {
				o.ExternalID = &c.cfg.ExternalID
			}
		})
	}
	cfg.Credentials = sdk.NewCredentialsCache(provider{cfg.Credentials})
	c.base = &cfg
	return cfg, nil
}

const identityCall = "sts:GetCallerIdentity"

// identify asks who we are and refuses to read another account under this one's name.
func (s *session) identify(ctx context.Context) (string, error) {
	m := s.meter(identityCall, "", nil)
	end := m.start()
	out, err := s.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}, func(o *sts.Options) {
		o.HTTPClient = listening{next: o.HTTPClient, heard: func(host string) { s.host = host }}
	})
	end(err)
	if err != nil {
		m.errors.Add(1)
		operation := identityCall
		var ce *credentialError
		var oe *smithy.OperationError
		if errors.As(err, &ce) && errors.As(ce.err, &oe) && oe.Service() == sts.ServiceID {
			operation = "sts:" + oe.Operation()
		}
		return "", &audit.SourceError{Code: classify(err), Operation: operation, Err: fmt.Errorf("account %s: %w", s.cfg.Account, err)}
	}
	m.items.Add(1)
	account, arn := sdk.ToString(out.Account), sdk.ToString(out.Arn)
	if account != s.cfg.Account {
		return "", &audit.SourceError{Code: audit.AccessDenied, Operation: identityCall, Err: fmt.Errorf(
			"the credentials are of account %q, but account %s is configured: use its credentials, or set role.arn to a role of it", account, s.cfg.Account)}
	}
	if arn == "" || strings.ContainsFunc(arn, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", &audit.SourceError{Code: audit.Failed, Operation: identityCall, Err: fmt.Errorf("account %s: the answer %q is no ARN", s.cfg.Account, arn)}
	}
	return arn, nil
}

// provider marks the errors of credentials, so that they are told from those of calls.
type provider struct{ next sdk.CredentialsProvider }

// Retrieve implements the SDK's CredentialsProvider.
func (p provider) Retrieve(ctx context.Context) (sdk.Credentials, error) {
	if p.next == nil {
		return sdk.Credentials{}, &credentialError{errors.New("no credentials are configured")}
	}
	creds, err := p.next.Retrieve(ctx)
	if err != nil {
		return creds, &credentialError{withoutOutput(err)}
	}
	return creds, nil
}

// withoutOutput leaves out what a credential_process printed, which the SDK
// quotes where it cannot parse it: it may hold the secret.
func withoutOutput(err error) error {
	if !errors.As(err, new(*processcreds.ProviderError)) {
		return err
	}
	ended := new(exec.ExitError)
	if errors.As(err, &ended) {
		return fmt.Errorf("credential_process failed: %w: run it by hand", ended)
	}
	return errors.New("credential_process gave no credentials that can be read: run it by hand, and compare what it prints with what the AWS CLI documents")
}

type credentialError struct{ err error }

func (e *credentialError) Error() string { return "finding credentials: " + e.err.Error() }
func (e *credentialError) Unwrap() error { return e.err }

var errTooLarge = errors.New("the answer is larger than max_answer")

// bounded refuses answers without end.
type bounded struct {
	next doer
	max  int64
}

type doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Do implements the SDK's HTTPClient.
func (b bounded) Do(req *http.Request) (*http.Response, error) {
	resp, err := b.next.Do(req)
	if resp != nil && resp.Body != nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: b.max}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// listening notes which host was asked.
type listening struct {
	next  doer
	heard func(host string)
}

// Do implements the SDK's HTTPClient.
func (l listening) Do(req *http.Request) (*http.Response, error) {
	l.heard(cmp.Or(req.URL.Host, req.Host))
	return l.next.Do(req)
}

// local tells whether an endpoint is an address or this machine, where no
// account can be put before the host's name.
func local(endpoint *string) (*url.URL, bool) {
	u, err := url.Parse(sdk.ToString(endpoint))
	if err != nil || u.Host == "" {
		return nil, false
	}
	return u, u.Hostname() == "localhost" || net.ParseIP(u.Hostname()) != nil
}

// unprefixed asks S3 Control at the endpoint's own host.
type unprefixed struct {
	next s3control.EndpointResolverV2
	base *url.URL
}

// ResolveEndpoint implements s3control.EndpointResolverV2.
func (u unprefixed) ResolveEndpoint(ctx context.Context, params s3control.EndpointParameters) (smithyendpoints.Endpoint, error) {
	e, err := u.next.ResolveEndpoint(ctx, params)
	if err == nil {
		e.URI = *u.base
	}
	return e, err
}
