package aws

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Lists implements audit.Lister.
func (*Collector) Lists(typ string) bool {
	i := slices.IndexFunc(kinds(), func(k kind) bool { return k.name == typ })
	return i >= 0 && (kinds()[i].list == nil || len(kinds()[i].calls) == 0)
}

// some reads the resources of a kind that are asked for by id. What a list that
// came to its end does not have is absent.
func (r *reading) some(ctx context.Context, k kind) error {
	wanted := r.request.Of(k.name)
	if len(wanted) == 0 {
		return nil
	}
	found := map[string]bool{}
	if k.list == nil {
		if native := r.itself(k); slices.Contains(wanted, native) {
			found[native] = true
			if err := r.resource(ctx, k, nil, native); err != nil {
				return err
			}
		}
		r.lacking(k, wanted, found)
		return nil
	}
	if k.narrowed != nil {
		k = k.only(wanted)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.session.cfg.Parallel)
	err := r.each(gctx, k, func(element map[string]any) {
		native, _ := element[k.native].(string)
		id := rendered(native)
		if _, asked := slices.BinarySearch(wanted, id); asked && !found[id] {
			found[id] = true
			g.Go(func() error { return r.resource(gctx, k, element, native) })
		}
	})
	if werr := g.Wait(); werr != nil {
		return werr
	}
	if err != nil && ctx.Err() == nil {
		r.gap(ctx, k.name, k.operation, err)
		return nil
	}
	r.lacking(k, wanted, found)
	return ctx.Err()
}

// only is the kind with a list call narrowed to some of its resources.
func (k kind) only(wanted []string) kind {
	always := k.parameters
	k.list = k.narrowed(natives(wanted))
	k.parameters = func(s *session) map[string]string {
		out := map[string]string{k.filter: fmt.Sprintf("%d of %s", len(wanted), k.native)}
		if always != nil {
			maps.Copy(out, always(s))
		}
		return out
	}
	return k
}

// lacking notes what the list does not have, unless a gap may hide it.
func (r *reading) lacking(k kind, wanted []string, found map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for g := range r.gaps {
		if g.Covers(k.name) {
			return
		}
	}
	for _, native := range wanted {
		if !found[native] {
			r.absent = append(r.absent, r.origin+"/"+k.name+"/"+native)
		}
	}
}

// rendered is a native id as an id ends in it.
func rendered(native string) string {
	return strings.TrimPrefix(audit.ResourceID("", "", native), "//")
}

// natives undoes rendered.
func natives(list []string) []string {
	out := make([]string, len(list))
	for i, native := range list {
		out[i] = audit.NativeID(native)
	}
	return out
}

// chunks lists one part of the natives after another: a filter takes 200 values.
func chunks(natives []string, of func(part []string) lister) lister {
	return func(ctx context.Context, s *session, m *meter, yield func(any) error) error {
		for part := range slices.Chunk(natives, 200) {
			if err := of(part)(ctx, s, m, yield); err != nil {
				return err
			}
		}
		return nil
	}
}

// shared is what several names begin with.
func shared(names []string) string {
	out := names[0]
	for _, name := range names[1:] {
		for !strings.HasPrefix(name, out) {
			out = out[:len(out)-1]
		}
	}
	return out
}
