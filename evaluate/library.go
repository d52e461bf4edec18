package evaluate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evaluate/plan"
)

// library prepares programs, each once.
type library struct {
	compiled func() (*plan.Graph, error) // each estate kind under a name of its own; once
	params   map[string]any
	controls []audit.Control // selected
	stock    *stock

	mu       sync.RWMutex
	programs map[plan.Kind]*program
	declared map[string][]string // source/type → estate kinds
}

// program specialises the library for a kind of resource, or returns what it did before.
func (l *library) program(ctx context.Context, k plan.Kind) (*program, error) {
	l.mu.RLock()
	p := l.programs[k]
	l.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.programs[k]; p != nil {
		return p, nil
	}
	p, err := l.specialise(ctx, k)
	if err != nil {
		return nil, err
	}
	l.programs[k] = p
	return p, nil
}

// declares lists the estate kinds that resources of a type can declare; all of
// a source's for a type that is not one type.
func (l *library) declares(source, typ string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kindsOf(source, typ)
}

// kindsOf is declares for who holds the lock.
func (l *library) kindsOf(source, typ string) ([]string, error) {
	if typ == audit.AllTypes || strings.HasSuffix(typ, "/*") {
		typ = ""
	}
	key := source + "/" + typ
	if kinds, ok := l.declared[key]; ok {
		return kinds, nil
	}
	all, err := l.compiled()
	if err != nil {
		return nil, err
	}
	modules, err := plan.Fold(all.Declaring(), plan.Kind{Source: source, Type: typ})
	if err != nil {
		return nil, err
	}
	l.declared[key] = sortedKeys(plan.EstateKinds(modules))
	return l.declared[key], nil
}

// knownKinds refuses a look-up that no adapter can ever answer: each would be a
// miss, and what a control makes of a miss may be a pass.
func (l *library) knownKinds(p *program) error {
	for _, pt := range p.parts {
		for _, k := range pt.estate {
			source, name, _ := strings.Cut(k, ".")
			kinds, err := l.kindsOf(source, audit.AllTypes)
			if err != nil {
				return err
			}
			if !slices.Contains(kinds, name) {
				return fmt.Errorf("control %s looks up data.estate.%s, which no adapter declares; %s declares %s", pt.ID, k, source, strings.Join(kinds, ", "))
			}
		}
	}
	return nil
}
