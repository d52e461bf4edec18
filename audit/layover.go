package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// laying lays what a narrowed reading found over an earlier snapshot.
type laying struct {
	reading
	col    Collection
	wrote  map[string]bool   // ids that were asked for and written
	gone   map[string]bool   // ids that were asked for, and the source says that they do not exist
	unread map[string]Unread // ids that were asked for, and nobody knows
	held   map[string]bool   // of unread: the earlier snapshot has a document
	change map[string]int64  // type → documents more than before, where not all of it was read
}

// layOver makes a snapshot of what was read and of what there was before. Only
// the spill's lines and one line of the earlier snapshot are held.
func (a *Auditor) layOver(ctx context.Context, r reading, wrote map[string]bool, col Collection, w *spill, started time.Time) (Snapshot, error) {
	l := &laying{
		reading: r, col: col, wrote: wrote, gone: map[string]bool{}, unread: map[string]Unread{}, held: map[string]bool{}, change: map[string]int64{},
	}
	l.settle()
	to := newLineStream(ctx, a.Vault, r.like)
	err := l.merge(ctx, a.Vault, w, to)
	if err != nil {
		to.abandon(err)
		return Snapshot{}, fmt.Errorf("storing the snapshot of %s: %w", r.request.Origin, err)
	}
	m, err := to.end()
	if err != nil {
		return Snapshot{}, fmt.Errorf("storing the snapshot of %s: %w", r.request.Origin, err)
	}
	return l.snapshot(m, newSnapshot(r.request.Origin, col, m, started, a.Now()), a.Decider.Catalog()), nil
}

// settle finds out what became of each resource that was asked for by id.
func (l *laying) settle() {
	for _, id := range l.request.Resources {
		listed := func(t string) bool { return strings.HasPrefix(id, l.request.Origin+"/"+t+"/") && l.listed(t) }
		switch {
		case l.wrote[id]:
		case slices.Contains(l.col.Absent, id), slices.ContainsFunc(l.request.Types, listed):
			l.gone[id] = true
		default:
			l.unread[id] = whyUnread(id, l.col.Gaps)
		}
	}
}

func whyUnread(id string, gaps []Gap) Unread {
	for _, g := range gaps {
		if g.hides(id) {
			return Unread{id, g.Code, g.Operation}
		}
	}
	return Unread{id, NotCollected, "no collector reads this type"}
}

func (l *laying) gap(typ string) bool {
	return slices.ContainsFunc(l.col.Gaps, func(g Gap) bool { return g.Covers(typ) })
}

// listed tells whether all of a type was asked for, and read.
func (l *laying) listed(typ string) bool {
	return slices.Contains(l.request.Types, typ) && !l.gap(typ) &&
		slices.ContainsFunc(l.col.Types, func(t TypeCount) bool { return t.Type == typ })
}

// replaced tells whether documents of a type that were not read again are left
// out: there are no more, or what is judged could not be listed. What is only
// looked up stays as it was where it could not be listed, beside the gap.
func (l *laying) replaced(typ string) bool {
	return l.listed(typ) || slices.Contains(l.request.Types, typ) && slices.Contains(l.judged, typ) && l.gap(typ)
}

// merge writes, in order of id, what was read and what stays of what there was.
func (l *laying) merge(ctx context.Context, v Vault, w *spill, to *lineStream) error {
	if w.stream != nil {
		if err := w.breakOff(); err != nil {
			return err
		}
	}
	sortLines(w.lines)
	fresh, closeAll, err := w.open(ctx)
	defer closeAll()
	if err != nil {
		return err
	}
	r, err := v.Open(ctx, l.base.Digest)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	next := storedLines(r)
	old, more, err := next()
	for err == nil && (more || len(fresh) > 0) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if more && (len(fresh) == 0 || old.id < fresh[0].head.id) {
			if err = l.keep(old, to); err == nil {
				old, more, err = next()
			}
			continue
		}
		line := fresh[0].head
		known := more && old.id == line.id
		if err = l.add(line, known, to); err == nil {
			err = fresh.advance()
		}
		if known && err == nil {
			old, more, err = next()
		}
	}
	return err
}

func (l *laying) add(line idLine, known bool, to *lineStream) error {
	if !known && !l.replaced(line.typ) && to.last.id != line.id {
		l.change[line.typ]++
	}
	return to.write(line)
}

// keep writes a document that was not read again, unless it is gone. Of one that
// was asked for and could not be read, what it was is not what it is.
func (l *laying) keep(old idLine, to *lineStream) error {
	u, unread := l.unread[old.id]
	switch {
	case l.gone[old.id]:
		if !l.replaced(old.typ) {
			l.change[old.typ]--
		}
		return nil
	case unread:
		l.held[old.id] = true
		line, err := hollow(old.line, u)
		if err != nil {
			return err
		}
		return to.write(idLine{old.id, old.typ, line})
	case l.replaced(old.typ):
		return nil
	}
	return to.write(old)
}

// hollow is a document of which nothing is known but that it is asked for: who
// answers for it is shown, but nothing can be decided by it.
func hollow(line []byte, u Unread) ([]byte, error) {
	h, err := ParseHead(line)
	if err != nil {
		return nil, err
	}
	r := Resource{Data: map[string]any{}, ID: h.ID, Name: h.Name, Origin: h.Origin, Source: h.Source, Tags: h.Tags, Type: h.Type}
	for _, at := range []string{"/data", "/name", "/tags"} {
		r.Gap(at, u.Code, u.Operation)
	}
	return r.Line()
}

// snapshot says of the merged documents what was said of those before and of
// those that were read; read is what the reading alone came to.
func (l *laying) snapshot(m merged, read Snapshot, c Catalog) Snapshot {
	s := *l.base
	s.Digest, s.Resources, s.Bytes, s.Documents = m.digest, m.resources, m.bytes, read.Documents
	s.Types, s.Gaps = nil, nil
	for _, t := range l.base.Types {
		if !l.replaced(t.Type) {
			t.Listed += l.change[t.Type]
			delete(l.change, t.Type)
			s.Types = append(s.Types, t)
		}
	}
	for _, t := range read.Types {
		if l.replaced(t.Type) {
			s.Types = append(s.Types, t)
		}
	}
	for _, t := range slices.Sorted(maps.Keys(l.change)) {
		if n := l.change[t]; n > 0 && s.Exhaustive {
			s.Types = append(s.Types, TypeCount{Type: t, Listed: n, Completeness: Listed, Basis: "there was none; read by id"})
		}
	}
	slices.SortFunc(s.Types, func(x, y TypeCount) int { return strings.Compare(x.Type, y.Type) })
	for _, g := range l.base.Gaps {
		if !l.replaced(g.Type) {
			s.Gaps = append(s.Gaps, g)
		}
	}
	for _, g := range read.Gaps {
		if g.Type == AllTypes || slices.ContainsFunc(l.request.Types, g.Covers) {
			s.Gaps = append(s.Gaps, g)
		}
	}
	f := l.fresh(read)
	for _, u := range f.Unread {
		if !l.held[u.ID] {
			s.Gaps = append(s.Gaps, Gap{Origin: s.Origin, Type: l.typeOf(u.ID, c), Code: u.Code, Operation: u.Operation})
		}
	}
	slices.SortFunc(s.Gaps, Gap.compare)
	s.Gaps, s.Fresh = slices.Compact(s.Gaps), f
	return s
}

func (l *laying) fresh(read Snapshot) *Fresh {
	f := &Fresh{
		Over: l.base.Digest, Started: read.Started, Ended: read.Ended, Identity: read.Identity, Calls: read.Calls, Types: l.request.Types,
		Resources: slices.Sorted(maps.Keys(l.wrote)), Gone: slices.Sorted(maps.Keys(l.gone)),
	}
	for _, id := range slices.Sorted(maps.Keys(l.unread)) {
		f.Unread = append(f.Unread, l.unread[id])
	}
	return f
}

// typeOf finds the type that a resource's id names, among those that are known.
func (l *laying) typeOf(id string, c Catalog) string {
	rest := strings.TrimPrefix(id, l.request.Origin+"/")
	known := append(l.base.knownTypes(), l.base.Answers...)
	for _, ctl := range c.Controls {
		for _, at := range ctl.AppliesTo {
			known = append(known, strings.TrimPrefix(at, SourceOf(id)+"/"))
		}
	}
	best, _, _ := strings.Cut(rest, "/")
	for _, t := range known {
		if strings.HasPrefix(rest, t+"/") && len(t) > len(best) {
			best = t
		}
	}
	return best
}
