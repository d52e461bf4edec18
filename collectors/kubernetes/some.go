package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// mostAsked objects of one kind are asked for one by one; more are found in the list of all.
const mostAsked = 20

// some reads what a narrowed request asks for. Single objects are listed by
// their names: that takes no other permission than listing all, and an empty
// list says that there is none.
func (c *Collector) some(ctx context.Context, client discovery.DiscoveryInterface, req audit.Request, w audit.SnapshotWriter, col *audit.Collection) error {
	req.Origin = c.origin
	s := &selection{c: c, client: client, request: req, w: audit.NewNarrow(req, w), col: col, served: map[schema.GroupVersion][]metav1.APIResource{}, asked: map[string][]string{}}
	for _, typ := range req.Types {
		s.asked[typ] = nil
	}
	for _, id := range req.Resources {
		if typ, native, ok := splitID(strings.TrimPrefix(id, c.origin+"/")); ok {
			s.asked[typ] = append(s.asked[typ], native)
		}
	}
	var listers []*lister
	for _, typ := range slices.Sorted(maps.Keys(s.asked)) {
		more, err := s.listers(ctx, typ)
		if err != nil {
			return err
		}
		listers = append(listers, more...)
	}
	if s.failed != nil && len(s.served) == 0 {
		return &audit.SourceError{Code: codeOf(s.failed), Operation: "discover kinds", Err: s.failed}
	}
	results, err := c.listAll(ctx, listers)
	if err != nil {
		return err
	}
	s.settle(listers, results)
	return nil
}

// selection is one narrowed reading.
type selection struct {
	c       *Collector
	client  discovery.DiscoveryInterface
	request audit.Request
	w       *audit.Narrow
	col     *audit.Collection
	served  map[schema.GroupVersion][]metav1.APIResource
	failed  error               // of a version of a group that could not be discovered, the last
	known   bool                // everything was discovered
	kinds   []kind              // then
	asked   map[string][]string // type → native ids
}

// splitID splits what follows the origin in an id: v1/Pod/shop/web, apps/v1/Deployment/shop/web.
func splitID(rest string) (typ, native string, ok bool) {
	n := 3
	if strings.HasPrefix(rest, "v1/") { // no group is called so
		n = 2
	}
	parts := strings.SplitN(rest, "/", n+1)
	if len(parts) <= n {
		return "", "", false
	}
	return strings.Join(parts[:n], "/"), audit.NativeID(parts[n]), true
}

// listers are the lists to ask for because of one type.
func (s *selection) listers(ctx context.Context, typ string) ([]*lister, error) {
	kinds, err := s.find(ctx, typ)
	if err != nil {
		return nil, err
	}
	var out []*lister
	for _, k := range kinds {
		natives := s.asked[typ]
		if s.request.All(typ) || len(natives) > mostAsked {
			l := s.c.lister(s.client.RESTClient(), k, s.request.Watch, s.w)
			for _, native := range natives {
				l.ids = append(l.ids, audit.ResourceID(s.c.origin, typ, native))
			}
			out = append(out, l)
			continue
		}
		for _, native := range natives {
			namespace, name, within := strings.Cut(native, "/")
			if !within {
				namespace, name = "", native
			}
			if name == "" || len(content.IsPathSegmentName(name))+len(content.IsPathSegmentName(namespace)) > 0 {
				continue // no cluster accepts it, and nothing can be asked
			}
			l := s.c.lister(s.client.RESTClient(), k, s.request.Watch, s.w)
			l.namespace, l.only, l.ids = namespace, name, []string{audit.ResourceID(s.c.origin, typ, native)}
			out = append(out, l)
		}
	}
	return out, nil
}

// find finds what is listed for a type. A type that is not served, which is
// seldom, is looked for among all that is.
func (s *selection) find(ctx context.Context, typ string) ([]kind, error) {
	i := strings.LastIndex(typ, "/")
	gv, err := schema.ParseGroupVersion(typ[:max(i, 0)])
	if err != nil || i < 0 || gv.Version == "" || len(content.IsPathSegmentName(gv.Group))+len(content.IsPathSegmentName(gv.Version)) > 0 {
		return nil, nil //nolint:nilerr // no type of a cluster: nothing is said of it
	}
	if _, ok := s.served[gv]; !ok {
		if err := s.discover(ctx, gv); err != nil {
			s.c.cfg.Log.WarnContext(ctx, "group cannot be discovered", "origin", s.c.origin, "group", gv.String(), "error", err.Error())
			s.gap(typ, codeOf(err), "discover "+gv.String())
			s.failed = err
			return nil, nil
		}
	}
	var out []kind
	for _, r := range s.served[gv] {
		if r.Kind == typ[i+1:] && listable(gv, r) {
			out = append(out, kind{gv, r.Kind, r.Name})
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	return nil, s.unserved(ctx, typ)
}

// discover asks one version of a group what it serves. One that is not there serves nothing.
func (s *selection) discover(ctx context.Context, gv schema.GroupVersion) error {
	operation := "discover " + gv.String()
	call := audit.Call{Operation: operation, Permission: "get " + discoveryPath(gv), Requests: 1}
	stop := s.request.Watch.Start("discover")
	b, err := s.client.RESTClient().Get().AbsPath(discoveryPath(gv)).Do(ctx).Raw()
	var list metav1.APIResourceList
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err == nil && list.GroupVersion != gv.String() {
		err = fmt.Errorf("the server answered with the kinds of %q", list.GroupVersion)
	}
	switch {
	case apierrors.IsNotFound(err):
		err = nil
	case err != nil:
		call.Errors = 1
	}
	stop(err)
	call.Items = int64(len(list.APIResources))
	s.col.Calls = append(s.col.Calls, call)
	if err == nil {
		s.served[gv] = list.APIResources
	}
	return err
}

// unserved says of a type that is not served what a reading of everything says
// of it: that there is none, or that it cannot be told.
func (s *selection) unserved(ctx context.Context, typ string) error {
	if !s.known {
		var all audit.Collection
		kinds, err := s.c.discover(ctx, s.client, s.request.Watch, &all)
		s.col.Calls = append(s.col.Calls, all.Calls...)
		if err != nil {
			return &audit.SourceError{Code: codeOf(err), Operation: "discover kinds", Err: err}
		}
		s.known, s.kinds = true, kinds
		s.col.Gaps = append(s.col.Gaps, all.Gaps...)
	}
	covered := slices.ContainsFunc(s.col.Gaps, func(g audit.Gap) bool { return g.Covers(typ) })
	if covered || slices.ContainsFunc(s.kinds, func(k kind) bool { return k.typ() == typ }) {
		return nil
	}
	if s.request.All(typ) {
		s.col.Types = append(s.col.Types, audit.TypeCount{Type: typ, Completeness: audit.Listed, Basis: "discover kinds: not served"})
	}
	for _, native := range s.asked[typ] {
		s.col.Absent = append(s.col.Absent, audit.ResourceID(s.c.origin, typ, native))
	}
	return nil
}

func (s *selection) gap(typ string, code audit.GapCode, operation string) {
	s.col.Gaps = append(s.col.Gaps, audit.Gap{Origin: s.c.origin, Type: typ, Code: code, Operation: operation})
}

// settle says what came of the lists: an object that no list has, of all that
// could have it, is absent.
func (s *selection) settle(listers []*lister, results []listing) {
	complete := map[string]bool{} // ids → whether all lists that could have it came to their end
	calls := map[string]*audit.Call{}
	var lists []listing
	for i, l := range listers {
		r := results[i]
		if c := calls[r.call.Operation]; c != nil {
			c.Requests, c.Items, c.Errors = c.Requests+r.call.Requests, c.Items+r.call.Items, c.Errors+r.call.Errors
		} else {
			calls[r.call.Operation] = &r.call
		}
		for _, id := range l.ids {
			before, looked := complete[id]
			complete[id] = r.code == "" && (before || !looked)
		}
		if s.request.All(l.kind.typ()) {
			lists = append(lists, r)
		} else {
			s.col.Gaps = append(s.col.Gaps, r.gaps...)
		}
	}
	var whole audit.Collection
	merge(&whole, lists)
	s.col.Types = append(s.col.Types, whole.Types...)
	s.col.Gaps = append(s.col.Gaps, whole.Gaps...)
	for _, operation := range slices.Sorted(maps.Keys(calls)) {
		s.col.Calls = append(s.col.Calls, *calls[operation])
	}
	for _, id := range slices.Sorted(maps.Keys(complete)) {
		if complete[id] && !s.w.Wrote(id) {
			s.col.Absent = append(s.col.Absent, id)
		}
	}
}
