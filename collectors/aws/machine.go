package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// kind is a type of resource: how its resources are listed and what else is
// asked about each. Its fields and those of call are all that a new service needs.
type kind struct {
	name   string // AWS::S3::Bucket
	global bool   // listed in the origin global, else in each region's

	// Without a list there is exactly one: the account or the region itself.
	operation  string // s3:ListBuckets; each element it lists is kept under data/ListBuckets
	permission string // IAM action
	parameters func(s *session) map[string]string
	list       lister
	narrowed   func(natives []string) lister // lists these, and perhaps others; nil: list does
	filter     string                        // the parameter by which it does
	native     string                        // the element's member that is the native id
	named      string                        // the member that is the name, or tag:<key> for a tag, else the native id
	tagged     string                        // the member that holds the tags
	secrets    []string                      // pointers into the element that are replaced by tokens
	admit      func(ctx context.Context, s *session, element map[string]any) (bool, error)

	calls []call // asked about each resource
}

// call is one operation asked about a resource. Its answer is kept under
// data/<Operation>; where it fails there is a gap.
type call struct {
	operation  string
	permission string   // IAM action
	needs      []string // further IAM actions
	absent     []string // the documented error codes that mean "there is none": the answer is null
	tagged     string   // the member of the answer that holds the resource's tags
	secrets    []string // pointers into the answer that are replaced by tokens
	read       reader
}

// subject is the resource that a call is about.
type subject struct{ account, native string }

// lister hands on each element, a struct of the SDK, page by page.
type lister func(ctx context.Context, s *session, m *meter, yield func(element any) error) error

// reader returns an answer: a struct of the SDK, or JSON values.
type reader func(ctx context.Context, s *session, about subject, m *meter) (any, error)

// get makes a reader of an operation that answers at once.
func get[C, In, O, Out any](client func(*session) C, operation func(C, context.Context, *In, ...func(*O)) (*Out, error), input func(subject) *In) reader {
	return func(ctx context.Context, s *session, about subject, m *meter) (any, error) {
		end := m.start()
		out, err := operation(client(s), ctx, input(about))
		end(err)
		if err != nil {
			return nil, err
		}
		m.items.Add(1)
		return out, nil
	}
}

// pager is what the SDK's paginators have in common.
type pager[O, Out any] interface {
	HasMorePages() bool
	NextPage(ctx context.Context, opts ...func(*O)) (*Out, error)
}

// errTruncated marks what becomes the code Truncated.
var errTruncated = errors.New("more exists than was read")

// turn reads every page.
func turn[O, Out, E any](ctx context.Context, s *session, p pager[O, Out], m *meter, items func(*Out) []E, yield func(E) error) error {
	for page := 0; p.HasMorePages(); page++ {
		if page == s.cfg.MaxPages {
			return fmt.Errorf("after %d pages: %w", page, errTruncated)
		}
		end := m.start()
		out, err := p.NextPage(ctx)
		end(err)
		if err != nil {
			return err
		}
		elements := items(out)
		m.items.Add(int64(len(elements)))
		for _, e := range elements {
			if err := yield(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// list makes a lister of an operation that answers in pages.
func list[O, Out, E any, P pager[O, Out]](open func(*session) P, items func(*Out) []E) lister {
	return func(ctx context.Context, s *session, m *meter, yield func(any) error) error {
		return turn(ctx, s, pager[O, Out](open(s)), m, items, func(e E) error { return yield(e) })
	}
}

// gather makes a reader of an operation that answers in pages: {"<member>": [all elements]}.
func gather[O, Out, E any, P pager[O, Out]](member string, open func(*session, subject) P, items func(*Out) []E) reader {
	return func(ctx context.Context, s *session, about subject, m *meter) (any, error) {
		all := []E{}
		err := turn(ctx, s, pager[O, Out](open(s, about)), m, items, func(e E) error {
			all = append(all, e)
			return nil
		})
		if err != nil {
			return nil, err
		}
		return map[string][]E{member: all}, nil
	}
}

// member is the operation's name without its service.
func member(operation string) string {
	_, name, _ := strings.Cut(operation, ":")
	return name
}

// population reads all resources of a kind. Only what ends the reading is an
// error: a cancelled context, a writer that cannot write.
func (r *reading) population(ctx context.Context, k kind) error {
	if k.list == nil {
		r.count(k, 1)
		return r.resource(ctx, k, nil, r.itself(k))
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.session.cfg.Parallel)
	var listed int64
	seen := map[string]bool{}
	err := r.each(gctx, k, func(element map[string]any) {
		native, _ := element[k.native].(string)
		if native == "" {
			r.gap(gctx, k.name, k.operation, errNameless)
			listed++
			return
		}
		if !seen[native] { // pages shift while resources come and go
			seen[native] = true
			listed++
			g.Go(audit.Guarded(func() error { return r.resource(gctx, k, element, native) }))
		}
	})
	if werr := g.Wait(); werr != nil {
		return werr
	}
	r.count(k, listed)
	if err != nil && ctx.Err() == nil {
		r.gap(ctx, k.name, k.operation, err)
	}
	return ctx.Err()
}

// itself is the native id of the account or the region.
func (r *reading) itself(k kind) string {
	if k.global {
		return r.session.cfg.Account
	}
	return r.session.scope
}

var errNameless = errors.New("the list has an element without an id")

// each lists the elements of a kind that belong to this origin.
func (r *reading) each(ctx context.Context, k kind, yield func(map[string]any)) error {
	var parameters map[string]string
	if k.parameters != nil {
		parameters = k.parameters(r.session)
	}
	m := r.session.meter(k.operation, k.permission, parameters)
	err := k.list(ctx, r.session, m, func(e any) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		v, err := encode(e)
		if err != nil {
			return err
		}
		element, _ := v.(map[string]any)
		if k.admit != nil {
			ok, err := k.admit(ctx, r.session, element)
			if err != nil {
				r.gap(ctx, k.name, k.operation, err)
			}
			if !ok {
				return nil
			}
		}
		yield(element)
		return nil
	})
	if err != nil {
		m.errors.Add(1)
	}
	return err
}

// resource asks all calls about one resource and writes it.
func (r *reading) resource(ctx context.Context, k kind, element map[string]any, native string) error {
	data := map[string]any{}
	doc := audit.Resource{
		Data: data, ID: audit.ResourceID(r.origin, k.name, native), Name: native,
		Origin: r.origin, Source: audit.AWS, Tags: map[string]string{}, Type: k.name,
	}
	if element != nil {
		data[member(k.operation)] = element
		doc.Tags = tagsOf(element, k.tagged)
		doc.Name = nameOf(element, k.named, doc.Tags, native)
		doc.Redacted = r.session.cfg.Redactor.Strings(element, "/data/"+member(k.operation), k.secrets...)
	}
	about := subject{account: r.session.cfg.Account, native: native}
	for _, c := range k.calls {
		r.ask(ctx, c, about, &doc, data)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return r.write(ctx, k, doc)
}

// write hands the document on. One that cannot be kept, as it is too large, is
// missing; only where nothing can be kept does the reading end.
func (r *reading) write(ctx context.Context, k kind, doc audit.Resource) error {
	err := r.writer.Write(doc)
	if err == nil || errors.As(err, new(*audit.StorageError)) {
		return err
	}
	r.gap(ctx, k.name, cmp.Or(k.operation, "collect"), err)
	return nil
}

// ask makes one call and puts the answer, null or a gap into the document.
func (r *reading) ask(ctx context.Context, c call, about subject, doc *audit.Resource, data map[string]any) {
	m := r.session.meter(c.operation, c.permission, nil, c.absent...)
	key := member(c.operation)
	pointer := "/data/" + key
	answer, err := c.read(ctx, r.session, about, m)
	if err == nil {
		answer, err = encode(answer)
	}
	switch {
	case err == nil:
	case says(err, c.absent):
		answer = nil
	default:
		operation := c.operation
		var at *operationError
		if errors.As(err, &at) { // it counted itself
			operation = at.operation
		} else {
			m.errors.Add(1)
		}
		code := r.log(ctx, operation, err)
		doc.Gap(pointer, code, operation)
		if c.tagged != "" {
			doc.Gap("/tags", code, operation)
		}
		return
	}
	data[key] = answer
	if c.tagged != "" {
		doc.Tags = tagsOf(answer, c.tagged)
	}
	if len(c.secrets) > 0 {
		doc.Redacted = append(doc.Redacted, r.session.cfg.Redactor.Strings(answer, pointer, c.secrets...)...)
	}
}

// says tells whether an error is an answer of AWS with one of these codes.
func says(err error, codes []string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}

// operationError names the operation that failed where it is not the row's own.
type operationError struct {
	operation string
	err       error
}

func (e *operationError) Error() string { return e.operation + ": " + e.err.Error() }
func (e *operationError) Unwrap() error { return e.err }

// tagsOf reads a list of {Key, Value}, AWS's shape of tags.
func tagsOf(v any, member string) map[string]string {
	out := map[string]string{}
	doc, _ := v.(map[string]any)
	entries, _ := doc[member].([]any)
	for _, e := range entries {
		tag, _ := e.(map[string]any)
		if key, ok := tag["Key"].(string); ok {
			out[key], _ = tag["Value"].(string)
		}
	}
	return out
}

func nameOf(element map[string]any, named string, tags map[string]string, native string) string {
	name, _ := element[named].(string)
	if key, ok := strings.CutPrefix(named, "tag:"); ok {
		name = tags[key]
	}
	if name == "" {
		return native
	}
	return name
}
