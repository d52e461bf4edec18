// Package netbox collects what NetBox documents: devices, machines, addresses,
// prefixes, sites and clusters, over its REST API and read-only.
//
// A NetBox token with a constrained permission gets 200, fewer objects and a
// count that agrees, so that a list alone never proves that it is whole. Each
// type is therefore proved by the token's own permissions, reconciled with
// counts that permissions do not touch, or asserted by a named person; else it
// has a population gap.
package netbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Config says which NetBox to read, as whom, and what a person vouches for.
type Config struct {
	Name       string        // the origin is netbox/<Name>
	URL        string        // where NetBox is, without /api; https unless it is a loopback address
	Token      string        // v1 (40 hex digits) or v2 (nbt_<key>.<token>); sent to URL's host alone, never logged
	CAFile     string        // PEM certificates trusted beside the system's; not with HTTPClient
	HTTPClient *http.Client  // default: Go's own transport; redirects are never followed
	Timeout    time.Duration // of one request, default 60 s; an HTTPClient's own comes first
	Page       int           // objects asked for at once, default 500, at most 1000
	Asserted   []Assertion

	PlainFields  []string // custom fields kept as they are beside DefaultPlainFields(); the strings in all others become tokens
	SecretFields []string // custom fields whose strings become tokens whatever else is said

	Redactor *audit.Redactor                            // required
	Log      *slog.Logger                               // required
	Wait     func(context.Context, time.Duration) error // before a retry; default: a timer
}

// Assertion is one person's word that a type is listed completely. It holds
// only where nothing that was read speaks against it.
type Assertion struct {
	Type   string    // such as ipam.ipaddress
	By     string    // who says so
	Reason string    // how they know
	On     time.Time // when they said so; only the date counts
}

// DefaultPlainFields are the custom fields that are kept as they are: those
// that controls judge or join by.
func DefaultPlainFields() []string {
	return []string{
		"aws_instance_id", "compliance_scope", "data_classification", "last_scanned",
		"owner", "patched_at", "support_end", "terraform_address",
	}
}

// Collector reads one NetBox. It implements audit.Collector.
type Collector struct {
	cfg    Config
	base   string // scheme, host and path, without a slash at its end
	host   string
	scheme string // of the Authorization header
	plain  map[string]bool
}

var nameRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// New checks the configuration; it reads nothing.
func New(cfg Config) (*Collector, error) {
	u, err := baseURL(cfg.URL)
	switch {
	case !nameRE.MatchString(cfg.Name):
		return nil, fmt.Errorf("netbox: name %q: want letters, digits, dots, dashes and underscores", cfg.Name)
	case err != nil:
		return nil, fmt.Errorf("netbox %s: %w", cfg.Name, err)
	case cfg.Token == "":
		return nil, fmt.Errorf("netbox %s: token is required: create a read-only one in NetBox and name the file or variable that holds it", cfg.Name)
	case strings.ContainsFunc(cfg.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, fmt.Errorf("netbox %s: token has white space or other characters that no token has: check the file that holds it", cfg.Name)
	case cfg.Page < 0 || cfg.Page > largestPage:
		return nil, fmt.Errorf("netbox %s: page is %d, want 1 to %d", cfg.Name, cfg.Page, largestPage)
	case cfg.CAFile != "" && cfg.HTTPClient != nil:
		return nil, fmt.Errorf("netbox %s: ca_file and an HTTP client exclude each other", cfg.Name)
	case cfg.Redactor == nil || cfg.Log == nil:
		return nil, fmt.Errorf("netbox %s: redactor and log are required", cfg.Name)
	}
	if err := checkAssertions(cfg.Asserted); err != nil {
		return nil, fmt.Errorf("netbox %s: %w", cfg.Name, err)
	}
	cfg.Page = cmp.Or(cfg.Page, 500)
	cfg.Timeout = cmp.Or(cfg.Timeout, time.Minute)
	if cfg.Wait == nil {
		cfg.Wait = wait
	}
	c := &Collector{cfg: cfg, base: strings.TrimRight(u.String(), "/"), host: u.Host, scheme: "Token", plain: map[string]bool{}}
	if strings.HasPrefix(cfg.Token, "nbt_") {
		c.scheme = "Bearer"
	}
	for _, f := range slices.Concat(DefaultPlainFields(), cfg.PlainFields) {
		c.plain[f] = !slices.Contains(cfg.SecretFields, f)
	}
	return c, nil
}

func baseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("url cannot be parsed: want https://host[/path]") // the text may hold a password
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return nil, errors.New("url: want https://host[/path]")
	case u.User != nil:
		return nil, errors.New("url holds a user or password: give the token instead")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("url has a query or fragment: give the address of NetBox alone")
	case strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/api"):
		return nil, errors.New("url ends in /api: give the address of NetBox itself")
	}
	return u, nil
}

func checkAssertions(asserted []Assertion) error {
	seen := map[string]bool{}
	for _, a := range asserted {
		switch {
		case !slices.ContainsFunc(endpoints(), func(e endpoint) bool { return e.typ == a.Type }):
			return fmt.Errorf("asserted: type %q is none that is collected", a.Type)
		case seen[a.Type]:
			return fmt.Errorf("asserted: type %s is there twice", a.Type)
		case strings.TrimSpace(a.By) == "" || strings.TrimSpace(a.Reason) == "" || a.On.IsZero():
			return fmt.Errorf("asserted: %s: by, reason and on are required: a person vouches for it with name and date", a.Type)
		}
		seen[a.Type] = true
	}
	return nil
}

// Origins implements audit.Collector.
func (c *Collector) Origins() []string { return []string{audit.NetBox + "/" + c.cfg.Name} }

// Collect implements audit.Collector.
func (c *Collector) Collect(ctx context.Context, req audit.Request, w audit.SnapshotWriter) (audit.Collection, error) {
	col := audit.Collection{Endpoint: c.base, Identity: "an unknown user of " + c.host}
	if !slices.Contains(c.Origins(), req.Origin) {
		return col, fmt.Errorf("netbox %s does not read origin %q", c.cfg.Name, req.Origin)
	}
	s, err := c.open(req.Watch)
	if err != nil {
		return col, err
	}
	if req.Whole() {
		err = s.collect(ctx, req.Origin, w, &col)
	} else {
		err = s.some(ctx, req, w, &col)
	}
	col.Calls = s.made()
	return col, err
}

// Lists implements audit.Lister.
func (*Collector) Lists(string) bool { return true }

// collect reads status, own rights and then every type, sites and clusters
// first: what they count is held against what is read after.
func (s *session) collect(ctx context.Context, origin string, w audit.SnapshotWriter, col *audit.Collection) error {
	rights, err := s.begin(ctx, origin, col)
	if err != nil {
		return err
	}
	tallies := map[string]*tally{}
	for _, e := range endpoints() {
		t, err := s.read(ctx, e, origin, w)
		if err != nil {
			return err
		}
		tallies[e.typ] = t
	}
	j := &judge{session: s, origin: origin, rights: rights, tallies: tallies}
	if err := j.recount(ctx); err != nil {
		return err
	}
	for _, e := range endpoints() {
		col.Types = append(col.Types, j.judge(e))
	}
	col.Gaps = append(col.Gaps, j.gaps...)
	col.Notices = append(col.Notices, j.notices...)
	return nil
}

// begin asks NetBox for its status and who reads it, with which rights.
func (s *session) begin(ctx context.Context, origin string, col *audit.Collection) (rights, error) {
	version, err := s.status(ctx)
	if err != nil {
		return rights{}, err
	}
	col.Notices = append(col.Notices, s.c.notices(origin, version)...)
	rights := s.rights(ctx)
	if rights.user != "" {
		col.Identity = fmt.Sprintf("%s (user %d, token %d)", rights.user, rights.userID, rights.tokenID)
	}
	if rights.writes {
		col.Notices = append(col.Notices, audit.Notice{
			Code: "netbox_token_writes", Subject: origin,
			Message: fmt.Sprintf("token %d of %s may write: use one with write_enabled off", rights.tokenID, rights.user),
		})
	}
	return rights, nil
}

// notices are what the address and the version of NetBox give cause to say.
func (c *Collector) notices(origin, version string) (out []audit.Notice) {
	if v := minor(version); v != "4.3" {
		out = append(out, audit.Notice{
			Code: "netbox_version", Subject: origin,
			Message: fmt.Sprintf("NetBox %s: this collector is tested against 4.3; look at its gaps closely", cmp.Or(version, "of unknown version")),
		})
	}
	host, _, err := net.SplitHostPort(c.host)
	if err != nil {
		host = c.host
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	if strings.HasPrefix(c.base, "http:") && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		out = append(out, audit.Notice{
			Code: "netbox_plaintext", Subject: origin,
			Message: "the token and all that is read travel unencrypted: use https",
		})
	}
	return out
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
