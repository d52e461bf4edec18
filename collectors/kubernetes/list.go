package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// metadataOnly has the server leave out all but metadata. Nothing else is
// acceptable: a server that cannot do it refuses, and no secret is on the wire.
const metadataOnly = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

// maxIdle pages may bring nothing new before a list is taken for endless.
const maxIdle = 100

// listing is what came of listing one kind.
type listing struct {
	count audit.TypeCount
	gaps  []audit.Gap
	call  audit.Call
	code  audit.GapCode // why it is not complete; empty: it is
}

// lister lists one kind, page by page.
type lister struct {
	kind     kind
	origin   string
	client   rest.Interface
	watch    *audit.Stopwatch
	page     int64
	redactor *audit.Redactor
	log      *slog.Logger
	w        audit.SnapshotWriter

	namespace string   // empty: all
	only      string   // the one name to list; empty: all
	ids       []string // asked for, and in this list if they exist

	listing
	seen    map[string]struct{} // native ids written: a list that is begun again repeats them
	next    string              // continue token of the page to ask for
	version string              // resource version of the list
	total   int64               // objects there are, as far as the server said
	idle    int
}

// list reads the kind. Its failures are gaps; an error is crosscheck's own.
func (l *lister) list(ctx context.Context) error {
	l.begin()
	var expired, repeated bool
	for {
		more, err := l.readPage(ctx)
		var own *ownError
		switch {
		case errors.As(err, &own):
			return own.err
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && !more:
			l.end()
			return nil
		case err == nil:
			repeated = false
		case l.next != "" && (apierrors.IsResourceExpired(err) || apierrors.IsGone(err)):
			l.call.Errors++
			if expired {
				l.fail(ctx, audit.Truncated, err)
				return nil
			}
			expired, l.next = true, "" // the list is too old to go on with: begin again, once
		case codeOf(err) == audit.Unreachable && !repeated:
			l.call.Errors++
			repeated = true // the same page, once
		default:
			l.call.Errors++
			l.fail(ctx, codeOf(err), err)
			return nil
		}
	}
}

func (l *lister) begin() {
	op := l.kind.operation()
	l.count = audit.TypeCount{Type: l.kind.typ(), Completeness: audit.Listed, Basis: op}
	l.call = audit.Call{Operation: op, Permission: op, Parameters: map[string]string{
		"limit": strconv.FormatInt(l.page, 10), "version": l.kind.gv.Version,
	}}
	if l.kind.secret() {
		l.call.Parameters["as"] = "PartialObjectMetadataList"
	}
	if l.only != "" {
		l.call.Parameters["fieldSelector"] = "metadata.name"
	}
}

func (l *lister) end() {
	l.count.Listed = max(int64(len(l.seen)), l.total)
	l.call.Items = int64(len(l.seen))
	if l.version != "" {
		l.count.Basis = l.kind.operation() + " at resourceVersion " + l.version
	}
}

// unasked is the listing of a kind that nobody asked for because the server is silent.
func (l *lister) unasked() listing {
	l.begin()
	l.gap(audit.Unreachable)
	return l.listing
}

func (l *lister) fail(ctx context.Context, code audit.GapCode, err error) {
	l.log.WarnContext(ctx, "kind cannot be listed", "origin", l.origin, "type", l.kind.typ(), "read", len(l.seen), "error", err.Error())
	l.gap(code)
	l.end()
}

func (l *lister) gap(code audit.GapCode) {
	l.code = code
	l.gaps = append(l.gaps, audit.Gap{Origin: l.origin, Type: l.kind.typ(), Code: code, Operation: l.kind.operation()})
}

// ownError is crosscheck's own failure: a snapshot that cannot be stored.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }

// readPage asks for one page and writes its objects. more tells whether another follows.
func (l *lister) readPage(ctx context.Context) (more bool, err error) {
	accept := "application/json"
	if l.kind.secret() {
		accept = metadataOnly
	}
	req := l.client.Get().AbsPath(l.kind.path(l.namespace)).SetHeader("Accept", accept).Param("limit", strconv.FormatInt(l.page, 10))
	if l.only != "" {
		req = req.Param("fieldSelector", fields.OneTermEqualSelector("metadata.name", l.only).String())
	}
	if l.next != "" {
		req = req.Param("continue", l.next)
	}
	before := len(l.seen)
	meta, err := l.ask(ctx, req)
	if err != nil {
		return false, err
	}
	l.version = cmp.Or(meta.ResourceVersion, l.version)
	if meta.Continue == "" {
		l.total = 0
		return false, nil
	}
	if l.idle++; len(l.seen) > before {
		l.idle = 0
	}
	l.total = int64(len(l.seen)) + max(meta.Remaining, 0)
	if meta.Continue == l.next || l.idle > maxIdle {
		return false, errors.New("the server's pages do not come to an end")
	}
	l.next = meta.Continue
	return true, nil
}

// ask makes one request, and writes the objects while they come.
func (l *lister) ask(ctx context.Context, req *rest.Request) (meta listMeta, err error) {
	l.call.Requests++
	stop := l.watch.Start("list")
	defer func() { stop(err) }()
	body, err := req.Stream(ctx)
	if err != nil {
		return meta, err
	}
	defer func() { _ = body.Close() }()
	return readList(body, l.kind, func(object map[string]any) error { return l.write(ctx, object) })
}

// write puts one object into the snapshot, unless it is there already.
func (l *lister) write(ctx context.Context, object map[string]any) error {
	native, err := nativeID(object)
	if err != nil {
		return fmt.Errorf("%s: object %d: %w", l.kind.operation(), len(l.seen)+1, err)
	}
	if _, ok := l.seen[native]; ok {
		return nil
	}
	r := newResource(l.redactor, l.origin, l.kind.gv.String(), l.kind.name, native, object)
	if l.kind.secret() {
		for _, field := range []string{"data", "immutable", "stringData", "type"} {
			r.Gap("/data/"+field, audit.NotCollected, "get secrets: read by metadata only")
		}
	}
	l.seen[native] = struct{}{}
	if err := l.w.Write(r); err != nil {
		if errors.As(err, new(*audit.StorageError)) {
			return &ownError{err}
		}
		l.log.WarnContext(ctx, "object cannot be kept", "origin", l.origin, "id", r.ID, "error", err.Error())
		l.gap(audit.Failed)
	}
	return nil
}
