// Package kubernetes repairs objects of a cluster by server-side apply, so that
// only the fields which a runbook names are touched. Values reach the API server
// as JSON values of the patch and nothing else.
package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/remediate"
)

// annotation says which repair touched an object last.
const annotation = "crosscheck.dev/repair"

// Cluster says who acts in one cluster. It should not be who audits it.
type Cluster struct {
	Name       string // as in sources.kubernetes
	Kubeconfig string
	Context    string
	InCluster  bool
	REST       *rest.Config // instead of the others
}

// Config says where the runner may act.
type Config struct {
	Clusters  []Cluster
	UserAgent string
	Timeout   time.Duration // of one request, default 30 s
}

// Runner implements remediate.Runner.
type Runner struct {
	cfg      Config
	clusters map[string]Cluster // by origin
}

// New does not read the kubeconfig.
func New(cfg Config) (*Runner, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	r := &Runner{cfg: cfg, clusters: map[string]Cluster{}}
	for _, c := range cfg.Clusters {
		origin := audit.Kubernetes + "/" + c.Name
		if _, twice := r.clusters[origin]; twice || c.Name == "" {
			return nil, fmt.Errorf("cluster %q has no name, or is configured twice", c.Name)
		}
		r.clusters[origin] = c
	}
	return r, nil
}

// told is what a runbook tells this runner.
type told struct {
	Patch map[string]any `json:"patch"` // an object with what is to be so
	Force bool           `json:"force"` // take fields that others own; without it that is an error
	New   bool           `json:"new"`   // the object must not be there yet
}

// Check implements remediate.Checker.
func (r *Runner) Check(b remediate.Runbook) error {
	var t told
	if err := remediate.Decode(b.Act, &t); err != nil {
		return err
	}
	meta, _ := t.Patch["metadata"].(map[string]any)
	switch {
	case t.Patch["apiVersion"] == nil || t.Patch["kind"] == nil || meta["name"] == nil:
		return errors.New("act.patch: apiVersion, kind and metadata.name are required")
	case meta["managedFields"] != nil || meta["finalizers"] != nil || meta["ownerReferences"] != nil || t.Patch["status"] != nil:
		return errors.New("act.patch: neither status nor managedFields, finalizers and ownerReferences can be repaired")
	}
	return nil
}

// work is one call made ready: the object with what is to be so, and its client.
type work struct {
	told
	patch    *unstructured.Unstructured
	resource dynamic.ResourceInterface
}

func (r *Runner) work(c remediate.Call) (*work, error) {
	w := &work{}
	var patch any
	for _, target := range c.Targets {
		var t told
		if err := remediate.Decode(c.Runbook.Fill(target), &t); err != nil {
			return nil, err
		}
		var err error
		if patch, err = merge(patch, t.Patch, ""); err != nil {
			return nil, err
		}
		w.Force, w.New = t.Force, t.New
	}
	b, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	w.patch = &unstructured.Unstructured{}
	if err := w.patch.UnmarshalJSON(b); err != nil {
		return nil, fmt.Errorf("act.patch: %w", err)
	}
	annotations := w.patch.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotation] = c.Repair
	w.patch.SetAnnotations(annotations)
	w.resource, err = r.resource(c.Origin, w.patch)
	return w, err
}

// resource finds what serves an object, in the cluster of its origin.
func (r *Runner) resource(origin string, o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	cfg, err := r.rest(origin)
	if err != nil {
		return nil, err
	}
	client, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, err
	}
	gv, err := schema.ParseGroupVersion(o.GetAPIVersion())
	if err != nil {
		return nil, fmt.Errorf("act.patch.apiVersion: %w", err)
	}
	list, err := client.ServerResourcesForGroupVersion(gv.String())
	if err != nil {
		return nil, fmt.Errorf("%s: finding %s: %w", origin, gv, err)
	}
	dyn, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	for _, served := range list.APIResources {
		if served.Kind != o.GetKind() || strings.Contains(served.Name, "/") {
			continue
		}
		if served.Namespaced != (o.GetNamespace() != "") {
			return nil, fmt.Errorf("%s %s: a namespace is given where there is none, or missing", gv, o.GetKind())
		}
		at := dyn.Resource(gv.WithResource(served.Name))
		if served.Namespaced {
			return at.Namespace(o.GetNamespace()), nil
		}
		return at, nil
	}
	return nil, fmt.Errorf("%s serves no %s %s", origin, gv, o.GetKind())
}

func (r *Runner) rest(origin string) (*rest.Config, error) {
	c, ok := r.clusters[origin]
	if !ok {
		return nil, fmt.Errorf("%q is not among remediation.kubernetes: nothing may be repaired in it", origin)
	}
	cfg, err := c.REST, error(nil)
	switch {
	case cfg != nil:
		cfg = rest.CopyConfig(cfg)
	case c.InCluster:
		cfg, err = rest.InClusterConfig()
	default:
		rules := clientcmd.NewDefaultClientConfigLoadingRules()
		if c.Kubeconfig != "" {
			rules = &clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}
		}
		cfg, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.Context}).ClientConfig()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	cfg.Timeout, cfg.UserAgent, cfg.WarningHandler = r.cfg.Timeout, r.cfg.UserAgent, rest.NoWarnings{}
	return cfg, nil
}

// get gives the object as it is, nil where there is none.
func (w *work) get(ctx context.Context) (*unstructured.Unstructured, error) {
	o, err := w.resource.Get(ctx, w.patch.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return o, err
}

// state is what Undo puts back.
type state struct {
	Exists bool    `json:"exists"`
	Fields []field `json:"fields,omitempty"` // those that the patch names, where it exists
}

// Capture implements remediate.Runner.
func (r *Runner) Capture(ctx context.Context, c remediate.Call) (json.RawMessage, error) {
	w, err := r.work(c)
	if err != nil {
		return nil, err
	}
	o, err := w.get(ctx)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return audit.Canonical(state{})
	}
	return audit.Canonical(state{true, fieldsOf(w.patch.Object, o.Object)})
}

// Same implements remediate.Comparer: what was captured is there again, whoever
// made or took away what holds it.
func (r *Runner) Same(before, now json.RawMessage) bool {
	var a, b state
	if json.Unmarshal(before, &a) != nil || json.Unmarshal(now, &b) != nil || a.Exists != b.Exists {
		return false
	}
	return slices.EqualFunc(a.Fields, b.Fields, func(x, y field) bool {
		return slices.Equal(x.Path, y.Path) && bytes.Equal(x.Was, y.Was)
	})
}

// Act implements remediate.Runner.
func (r *Runner) Act(ctx context.Context, c remediate.Call) (string, error) {
	w, err := r.work(c)
	if err != nil {
		return "", err
	}
	before, err := w.get(ctx)
	switch {
	case err != nil:
		return "", err
	case w.New && before != nil:
		return "", fmt.Errorf("%s %s is there already", w.patch.GetKind(), w.patch.GetName())
	case !w.New && before == nil:
		return "", fmt.Errorf("%s %s is not there", w.patch.GetKind(), w.patch.GetName())
	}
	opts, verb := metav1.ApplyOptions{FieldManager: manager(c), Force: w.Force}, "applied"
	if c.DryRun {
		opts.DryRun, verb = []string{metav1.DryRunAll}, "would apply"
	}
	after, err := w.resource.Apply(ctx, w.patch.GetName(), w.patch, opts)
	if err != nil {
		return "", err
	}
	b, err := audit.Canonical(w.patch.Object)
	if err != nil {
		return "", err
	}
	changed := before == nil || !equality.Semantic.DeepEqual(before.Object["spec"], after.Object["spec"])
	return fmt.Sprintf("%s %s (changed: %v, generation %d)", verb, b, changed, after.GetGeneration()), nil
}

// manager owns the fields: one for each repair, so that no repair gives up what another set.
func manager(c remediate.Call) string { return "crosscheck-" + c.Repair[:min(12, len(c.Repair))] }

// Undo implements remediate.Runner. Where somebody changed the object between
// reading and writing, the server refuses; it is not tried again.
func (r *Runner) Undo(ctx context.Context, c remediate.Call, before json.RawMessage) (string, error) {
	w, err := r.work(c)
	if err != nil {
		return "", err
	}
	var was state
	if err := json.Unmarshal(before, &was); err != nil {
		return "", fmt.Errorf("what was there before: %w", err)
	}
	o, err := w.get(ctx)
	switch {
	case err != nil:
		return "", err
	case !was.Exists && o == nil:
		return "it is not there", nil
	case o == nil:
		return "", fmt.Errorf("%s %s is gone", w.patch.GetKind(), w.patch.GetName())
	case !was.Exists && o.GetAnnotations()[annotation] != c.Repair:
		return "", fmt.Errorf("%s %s is not what this repair made", w.patch.GetKind(), w.patch.GetName())
	case !was.Exists:
		uid, version := o.GetUID(), o.GetResourceVersion()
		return "deleted " + o.GetKind() + " " + o.GetName(), w.resource.Delete(ctx, o.GetName(), metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version},
		})
	}
	for _, f := range was.Fields {
		if err := f.restore(o.Object); err != nil {
			return "", err
		}
	}
	if _, err := w.resource.Update(ctx, o, metav1.UpdateOptions{FieldManager: manager(c)}); err != nil {
		return "", err
	}
	return fmt.Sprintf("put %d fields of %s %s back", len(was.Fields), o.GetKind(), o.GetName()), nil
}
