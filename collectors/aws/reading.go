package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// reading is one Collect: what it has found beside the documents.
type reading struct {
	session  *session
	request  audit.Request
	origin   string
	writer   audit.SnapshotWriter
	identity string

	mu      sync.Mutex
	types   []audit.TypeCount
	gaps    map[audit.Gap]bool
	absent  []string
	notices []audit.Notice
	logged  map[string]bool
}

// kinds is everything that is read, in the order it is read.
func kinds() []kind {
	return slices.Concat(accountKinds(), iamKinds(), s3Kinds(), ec2Kinds(), rdsKinds())
}

// all reads all that is asked for.
func (r *reading) all(ctx context.Context) error {
	inGlobal := r.session.scope == global
	for _, k := range kinds() {
		if k.global != inGlobal {
			continue
		}
		read := r.population
		if !r.request.All(k.name) {
			read = r.some
		}
		if err := read(ctx, k); err != nil {
			return err
		}
	}
	if inGlobal && r.request.Whole() {
		return r.elsewhere(ctx)
	}
	return nil
}

func (r *reading) collection() audit.Collection {
	r.mu.Lock()
	defer r.mu.Unlock()
	gaps := slices.SortedFunc(maps.Keys(r.gaps), func(a, b audit.Gap) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Operation, b.Operation))
	})
	return audit.Collection{
		Identity: r.identity, Endpoint: r.session.host, Types: r.types, Gaps: gaps, Absent: r.absent,
		Calls: r.session.calls(), Notices: r.notices, Answers: answers(r.session.scope),
	}
}

// answers are the types that an origin has, global or of a region.
func answers(scope string) []string {
	var out []string
	for _, k := range kinds() {
		if k.global == (scope == global) {
			out = append(out, k.name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (r *reading) count(k kind, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.types = append(r.types, audit.TypeCount{Type: k.name, Listed: n, Completeness: audit.Listed, Basis: cmp.Or(k.operation, "one by definition")})
}

// gap records that resources of a type may be missing.
func (r *reading) gap(ctx context.Context, typ, operation string, err error) {
	var at *operationError
	if errors.As(err, &at) {
		operation = at.operation
	}
	code := r.log(ctx, operation, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gaps[audit.Gap{Origin: r.origin, Type: typ, Code: code, Operation: operation}] = true
}

// log tells the operator, once for each operation and code, what the gap's code
// leaves out, and returns the code.
func (r *reading) log(ctx context.Context, operation string, err error) audit.GapCode {
	code := classify(err)
	if ctx.Err() != nil {
		return code // nothing is wrong with the source
	}
	r.mu.Lock()
	first := !r.logged[code.Reason(operation)]
	r.logged[code.Reason(operation)] = true
	r.mu.Unlock()
	if first {
		r.session.cfg.Log.WarnContext(ctx, "a call failed: what it would have answered is a gap",
			"origin", r.origin, "operation", operation, "code", string(code), "error", shorten(err))
	}
	return code
}

func (r *reading) notice(code, subject, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notices = append(r.notices, audit.Notice{Code: code, Subject: subject, Message: fmt.Sprintf(format, args...)})
}

// shorten keeps a hostile error from flooding the log.
func shorten(err error) string {
	const limit = 600
	text := err.Error()
	if len(text) > limit {
		return text[:limit] + " …"
	}
	return text
}
