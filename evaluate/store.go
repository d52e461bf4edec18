package evaluate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/crosscheck-dev/crosscheck/evaluate/lookup"
)

// store shows OPA the documents that controls may read beside the input:
// data.estate (through one decision's view), data.parameters and data.run.
type store struct {
	storage.PolicyNotSupported
	storage.TriggersNotSupported
	storage.WritesNotSupported
	base   ast.Object
	cancel topdown.Cancel
	ids    atomic.Uint64
}

// newStore takes data.parameters and, once it is known, data.run.as_of.
func newStore(parameters map[string]any, asOf string, cancel topdown.Cancel) *store {
	if parameters == nil {
		parameters = map[string]any{}
	}
	base := ast.NewObject([2]*ast.Term{ast.StringTerm("parameters"), ast.NewTerm(ast.MustInterfaceToValue(parameters))})
	if asOf != "" {
		run := ast.NewObject([2]*ast.Term{ast.StringTerm("as_of"), ast.StringTerm(asOf)})
		base.Insert(ast.StringTerm("run"), ast.NewTerm(run))
	}
	return &store{base: base, cancel: cancel}
}

// view is the transaction of one decision: it remembers what was looked up.
type view struct {
	id      uint64
	store   *store
	cancel  topdown.Cancel
	estate  *estate // nil where nothing may be looked up
	lookups lookups
	failed  error // what could not be looked up; nothing is decided by such a view
}

// ID implements storage.Transaction.
func (v *view) ID() uint64 { return v.id }

func (s *store) view(e *estate) *view {
	return &view{id: s.ids.Add(1), store: s, estate: e, cancel: s.cancel}
}

// NewTransaction implements storage.Store for readers that look nothing up.
func (s *store) NewTransaction(context.Context, ...storage.TransactionParams) (storage.Transaction, error) {
	return s.view(nil), nil
}

// Read implements storage.Store.
func (s *store) Read(_ context.Context, txn storage.Transaction, path storage.Path) (any, error) {
	v, ok := txn.(*view)
	if !ok {
		return nil, &storage.Error{Code: storage.InvalidTransactionErr}
	}
	if len(path) > 0 && path[0] == "estate" {
		return v.lookup(path)
	}
	return walk(v.store.base, path, path)
}

// Commit implements storage.Store; there is nothing to write.
func (s *store) Commit(context.Context, storage.Transaction) error { return nil }

// Truncate implements storage.Store; there is nothing to write.
func (s *store) Truncate(context.Context, storage.Transaction, storage.TransactionParams, storage.Iterator) error {
	return errors.New("the estate is read only")
}

// Abort implements storage.Store; there is nothing to undo.
func (s *store) Abort(context.Context, storage.Transaction) {}

// lookup answers data.estate.<source>.<kind>[<key>], and remembers that it was asked.
func (v *view) lookup(path storage.Path) (any, error) {
	if len(path) < 4 {
		return nil, &storage.Error{Code: storage.InternalErr, Message: fmt.Sprintf("data.%v is not bound to one key: read data.estate.<source>.<kind>[<key>]", path)}
	}
	if v.estate == nil {
		return nil, notFound(path)
	}
	hits, err := v.find(lookupKey{path[1], path[2], path[3]})
	if err != nil {
		return nil, &storage.Error{Code: storage.InternalErr, Message: err.Error()}
	}
	if hits == nil {
		return nil, notFound(path)
	}
	terms := make([]*ast.Term, len(hits))
	for i, h := range hits {
		if terms[i], err = hitTerm(h); err != nil {
			return nil, err
		}
	}
	return walk(ast.NewArray(terms...), path[4:], path)
}

// find looks a key up, and remembers that it was asked for. A look-up that is not
// answered is not a miss: it ends the run.
func (v *view) find(k lookupKey) ([]lookup.Hit, error) {
	hits, asked := v.lookups.get(k)
	if asked {
		return hits, nil
	}
	hits, err := v.estate.find(k)
	if err != nil {
		v.failed = err
		return nil, err
	}
	v.lookups.add(k, hits)
	return hits, nil
}

// hitTerm is a hit as controls read it.
func hitTerm(h lookup.Hit) (*ast.Term, error) {
	v, err := ast.ValueFromReader(bytes.NewReader(h.Value))
	if err != nil {
		return nil, err
	}
	return ast.ObjectTerm(
		ast.Item(ast.StringTerm("id"), ast.StringTerm(h.ID)),
		ast.Item(ast.StringTerm("origin"), ast.StringTerm(h.Origin)),
		ast.Item(ast.StringTerm("value"), ast.NewTerm(v)),
	), nil
}

// walk steps into a value.
func walk(v ast.Value, rest, path storage.Path) (any, error) {
	for _, step := range rest {
		var next *ast.Term
		switch x := v.(type) {
		case ast.Object:
			next = x.Get(ast.StringTerm(step))
		case *ast.Array:
			if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < x.Len() {
				next = x.Elem(i)
			}
		}
		if next == nil {
			return nil, notFound(path)
		}
		v = next.Value
	}
	return v, nil
}

func notFound(path storage.Path) error {
	return &storage.Error{Code: storage.NotFoundErr, Message: path.String() + " does not exist"}
}
