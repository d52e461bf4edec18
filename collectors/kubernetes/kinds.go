package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// kind is one list to ask for.
type kind struct {
	gv     schema.GroupVersion
	name   string // Deployment
	plural string // deployments
}

// typ is the resource type: apps/v1/Deployment, v1/Pod.
func (k kind) typ() string { return k.gv.String() + "/" + k.name }

// operation names the list call: list deployments.apps, list pods.
func (k kind) operation() string {
	return "list " + schema.GroupResource{Group: k.gv.Group, Resource: k.plural}.String()
}

// path is that of the list, of one namespace if it is not empty.
func (k kind) path(namespace string) string {
	if namespace != "" {
		return discoveryPath(k.gv) + "/namespaces/" + namespace + "/" + k.plural
	}
	return discoveryPath(k.gv) + "/" + k.plural
}

// discoveryPath is where a version of a group says what it serves.
func discoveryPath(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "/api/" + gv.Version
	}
	return "/apis/" + gv.String()
}

// secret tells whether only metadata may be asked for.
func (k kind) secret() bool { return k.gv.Group == "" && k.plural == "secrets" }

// passing tells of kinds that are no configuration: what happened, who holds a
// lock, how much is used just now. They are never read.
func passing(group, plural string) bool {
	switch group {
	case "":
		return plural == "events" || plural == "componentstatuses"
	case "events.k8s.io":
		return plural == "events"
	case "coordination.k8s.io":
		return strings.HasPrefix(plural, "lease")
	case "metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io":
		return true
	}
	return false
}

// discover finds the kinds to list, each in one version, sorted. A version of a
// group that cannot be discovered is a gap of all its types.
func (c *Collector) discover(ctx context.Context, client discovery.DiscoveryInterface, watch *audit.Stopwatch, col *audit.Collection) ([]kind, error) {
	stop := watch.Start("discover")
	groups, lists, err := discovery.ServerGroupsAndResourcesWithContext(ctx, discovery.ToDiscoveryInterfaceWithContext(client))
	stop(err)
	call := audit.Call{Operation: "discover kinds", Permission: "get /api, /api/*, /apis, /apis/*", Requests: 1}
	var partial *discovery.ErrGroupDiscoveryFailed
	if err != nil && !errors.As(err, &partial) {
		call.Errors = 1
		col.Calls = append(col.Calls, call)
		return nil, err
	}
	d := discovered{groups: groups, lists: map[schema.GroupVersion][]metav1.APIResource{}, failed: map[schema.GroupVersion]error{}}
	if partial != nil {
		maps.Copy(d.failed, partial.Groups)
	}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("discovery names group and version %q", l.GroupVersion)
		}
		d.lists[gv] = append(d.lists[gv], l.APIResources...)
	}
	kinds := d.kinds(c.cfg.Types)
	for gv, err := range d.missing() {
		c.cfg.Log.WarnContext(ctx, "group cannot be discovered", "origin", c.origin, "group", gv.String(), "error", err.Error())
		col.Gaps = append(col.Gaps, audit.Gap{Origin: c.origin, Type: gv.String() + "/*", Code: codeOf(err), Operation: "discover " + gv.String()})
		call.Errors++
	}
	for _, typ := range d.unread(c.cfg.Types, kinds) {
		col.Gaps = append(col.Gaps, audit.Gap{Origin: c.origin, Type: typ, Code: audit.NotCollected, Operation: "not served in this version, or not configuration"})
	}
	call.Items = int64(len(kinds))
	col.Calls = append(col.Calls, call)
	return kinds, nil
}

// discovered is what a cluster says it serves.
type discovered struct {
	groups []*metav1.APIGroup
	lists  map[schema.GroupVersion][]metav1.APIResource
	failed map[schema.GroupVersion]error
}

// kinds chooses for each resource of each group one version to read.
func (d discovered) kinds(wanted []string) []kind {
	chosen := map[schema.GroupResource]kind{}
	rank := map[schema.GroupResource]int{}
	for gv, list := range d.lists {
		for _, r := range list {
			if !listable(gv, r) {
				continue
			}
			k, key := kind{gv, r.Kind, r.Name}, schema.GroupResource{Group: gv.Group, Resource: r.Name}
			n := d.rank(gv)
			if slices.Contains(wanted, k.typ()) {
				n = -1
			}
			if old, ok := chosen[key]; !ok || n < rank[key] || n == rank[key] && gv.Version > old.gv.Version {
				chosen[key], rank[key] = k, n
			}
		}
	}
	return slices.SortedFunc(maps.Values(chosen), func(a, b kind) int {
		return cmp.Or(cmp.Compare(a.typ(), b.typ()), cmp.Compare(a.plural, b.plural))
	})
}

// listable tells whether a resource is one that is read.
func listable(gv schema.GroupVersion, r metav1.APIResource) bool {
	return !strings.Contains(r.Name, "/") && slices.Contains(r.Verbs, "list") && r.Kind != "" && !passing(gv.Group, r.Name)
}

// rank is 0 for the version that the cluster prefers of a group and grows in its order.
func (d discovered) rank(gv schema.GroupVersion) int {
	for _, g := range d.groups {
		if g.Name != gv.Group {
			continue
		}
		if g.PreferredVersion.Version == gv.Version {
			return 0
		}
		if i := slices.IndexFunc(g.Versions, func(v metav1.GroupVersionForDiscovery) bool { return v.Version == gv.Version }); i >= 0 {
			return i + 1
		}
	}
	return len(d.groups) + 1
}

// missing are the versions of groups of which nothing, or not all, is known.
func (d discovered) missing() map[schema.GroupVersion]error {
	out := map[schema.GroupVersion]error{}
	for gv, err := range d.failed {
		if !passing(gv.Group, "") {
			out[gv] = err
		}
	}
	for _, g := range d.groups {
		for _, v := range g.Versions {
			gv := schema.GroupVersion{Group: g.Name, Version: v.Version}
			if _, ok := d.lists[gv]; !ok && out[gv] == nil && !passing(gv.Group, "") {
				out[gv] = errors.New("discovery does not say what it serves")
			}
		}
	}
	// The discovery client takes a core group that is not found for an empty one.
	core := schema.GroupVersion{Version: "v1"}
	if len(d.lists[core]) == 0 && out[core] == nil {
		out[core] = errors.New("discovery says that the core group is empty")
	}
	return out
}

// unread are the wanted types whose objects exist in the cluster, or may, but
// are not read under that type.
func (d discovered) unread(wanted []string, kinds []kind) []string {
	var out []string
	for _, typ := range slices.Compact(slices.Sorted(slices.Values(wanted))) {
		i := strings.LastIndex(typ, "/")
		gv, err := schema.ParseGroupVersion(typ[:max(i, 0)])
		if err != nil || slices.ContainsFunc(kinds, func(k kind) bool { return k.typ() == typ }) {
			continue
		}
		for served, list := range d.lists {
			if served.Group == gv.Group && slices.ContainsFunc(list, func(r metav1.APIResource) bool {
				return r.Kind == typ[i+1:] && !strings.Contains(r.Name, "/") && slices.Contains(r.Verbs, "list")
			}) {
				out = append(out, typ)
				break
			}
		}
	}
	return out
}
