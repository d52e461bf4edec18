// Package kubernetes reads clusters: every kind that can be listed, found by
// discovery, in pages, and Secrets by their metadata only. NewManifests reads
// the same objects from files, for a gate.
package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Config says which cluster is read, and with which credentials.
type Config struct {
	Name       string // names the origin: kubernetes/<Name>
	Kubeconfig string // path; empty: $KUBECONFIG, else ~/.kube/config
	Context    string // of the kubeconfig; empty: its current one
	InCluster  bool   // the service account of the pod that crosscheck runs in
	Redactor   *audit.Redactor
	Log        *slog.Logger
	Page       int64         // objects a request, default 500
	Parallel   int           // kinds listed at once, default 4
	UserAgent  string        // default crosscheck
	Timeout    time.Duration // of one request with its answer, default 60 s
	REST       *rest.Config  // instead of Kubeconfig, Context and InCluster

	// Types that controls are written for, such as "batch/v1/CronJob". A kind that
	// the cluster serves in several versions is read in the one named here, else
	// in the version that the cluster prefers.
	Types []string
}

// Collector reads one cluster.
type Collector struct {
	cfg    Config
	origin string
}

// New does not read the kubeconfig: Collect does, each time.
func New(cfg Config) (*Collector, error) {
	switch {
	case cfg.Name == "" || strings.Contains(cfg.Name, "/") || strings.ContainsFunc(cfg.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return nil, errors.New("kubernetes: name is required, printable and without a slash")
	case cfg.Redactor == nil || cfg.Log == nil:
		return nil, errors.New("kubernetes: a redactor and a log are required")
	case cfg.InCluster && (cfg.Kubeconfig != "" || cfg.Context != ""):
		return nil, errors.New("kubernetes: in_cluster excludes kubeconfig and context")
	case cfg.Page < 0 || cfg.Parallel < 0 || cfg.Timeout < 0:
		return nil, errors.New("kubernetes: page, parallel and timeout must not be negative")
	}
	if cfg.Page == 0 {
		cfg.Page = 500
	}
	if cfg.Parallel == 0 {
		cfg.Parallel = 4
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "crosscheck"
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	return &Collector{cfg: cfg, origin: audit.Kubernetes + "/" + cfg.Name}, nil
}

// Origins implements audit.Collector.
func (c *Collector) Origins() []string { return []string{c.origin} }

// Lists implements audit.Lister.
func (c *Collector) Lists(string) bool { return true }

// Collect implements audit.Collector. A cluster that cannot be discovered is an
// error, anything less a gap.
func (c *Collector) Collect(ctx context.Context, req audit.Request, w audit.SnapshotWriter) (audit.Collection, error) {
	ctx = logr.NewContext(ctx, logr.Discard()) // client-go's own; what matters is logged here
	col := audit.Collection{Identity: unknownIdentity}
	cfg, err := c.restConfig()
	if err != nil {
		return col, &audit.SourceError{Code: audit.Unauthenticated, Operation: "load kubeconfig", Err: err}
	}
	col.Endpoint = endpoint(cfg)
	client, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return col, &audit.SourceError{Code: audit.Unauthenticated, Operation: "load kubeconfig", Err: err}
	}
	c.identify(ctx, client.RESTClient(), req.Watch, &col)
	if !req.Whole() {
		err = c.some(ctx, client, req, w, &col)
		return col, cmp.Or(err, ctx.Err())
	}
	kinds, err := c.discover(ctx, client, req.Watch, &col)
	if err != nil {
		return col, &audit.SourceError{Code: codeOf(err), Operation: "discover kinds", Err: err}
	}
	listers := make([]*lister, len(kinds))
	for i, k := range kinds {
		listers[i] = c.lister(client.RESTClient(), k, req.Watch, w)
	}
	results, err := c.listAll(ctx, listers)
	if err != nil {
		return col, err
	}
	col.Exhaustive = true
	merge(&col, results)
	return col, ctx.Err()
}

func (c *Collector) lister(client rest.Interface, k kind, watch *audit.Stopwatch, w audit.SnapshotWriter) *lister {
	return &lister{
		kind: k, origin: c.origin, client: client, watch: watch, page: c.cfg.Page, redactor: c.cfg.Redactor, log: c.cfg.Log, w: w,
		seen: map[string]struct{}{},
	}
}

// listAll lists in parallel. Only what crosscheck itself cannot do is an error.
func (c *Collector) listAll(ctx context.Context, listers []*lister) ([]listing, error) {
	out := make([]listing, len(listers))
	var silent atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.cfg.Parallel)
	for i, l := range listers {
		g.Go(audit.Guarded(func() error {
			if silent.Load() >= maxSilent {
				out[i] = l.unasked()
				return nil
			}
			err := l.list(ctx)
			if l.code == audit.Unreachable {
				silent.Add(1)
			} else {
				silent.Store(0)
			}
			out[i] = l.listing
			return err
		}))
	}
	return out, g.Wait()
}

// maxSilent kinds in a row may go without an answer before the rest is not asked for: a
// dead server would otherwise cost a timeout for each of its kinds.
const maxSilent = 3

// merge adds what each kind gave; kinds may share a type.
func merge(col *audit.Collection, results []listing) {
	at := map[string]int{}
	for _, r := range results {
		if i, ok := at[r.count.Type]; ok {
			col.Types[i].Listed += r.count.Listed
			col.Types[i].Basis += "; " + r.count.Basis
		} else {
			at[r.count.Type] = len(col.Types)
			col.Types = append(col.Types, r.count)
		}
		col.Gaps = append(col.Gaps, r.gaps...)
		col.Calls = append(col.Calls, r.call)
	}
}

// endpoint is where the API server is, without credentials.
func endpoint(cfg *rest.Config) string {
	u, err := url.Parse(cfg.Host)
	if err != nil || u.Host == "" {
		return strings.TrimSpace(cfg.Host[strings.LastIndex(cfg.Host, "@")+1:])
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/")}).String()
}
