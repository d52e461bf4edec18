package elastic

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/configs"
)

// writer renders the documents of one run.
type writer struct {
	cfg        Config
	rec        audit.Record
	delivery   string // its key
	exceptions map[string]exception
	rules      map[string]rule
	base       document
	moved      moved
	yield      func(id string, doc []byte) error
	buf        []byte
}

func newWriter(cfg Config, rec audit.Record, delivery string, exceptions map[string]exception) *writer {
	r := rec.Run
	w := &writer{cfg: cfg, rec: rec, delivery: delivery, exceptions: exceptions, rules: map[string]rule{}}
	w.base = document{
		At: audit.Stamp(r.AsOf), ECS: ecs{ecsVersion}, Observer: observerOf(cfg), Stream: streamOf(cfg),
		Event: event{
			Kind: "state", Category: []string{"configuration"}, Type: []string{"info"}, Created: audit.Stamp(r.Ended),
			Sequence: r.AsOf.Unix(), Dataset: dataset, Module: "crosscheck",
		},
		Ours: ours{
			Delivery: delivery, Revision: r.Revision,
			Run: &run{
				ID: r.ID, Trigger: r.Trigger, Audit: r.Audit, Repair: r.Repair, Simulated: r.Simulated, Whole: r.Scope.Whole(),
				Status: r.Status, AsOf: audit.Stamp(r.AsOf),
			},
		},
	}
	return w
}

const ecsVersion = "8.11.0"

func observerOf(cfg Config) observer {
	_, version, _ := strings.Cut(cfg.UserAgent, "/")
	return observer{Vendor: "crosscheck", Product: "crosscheck", Version: version}
}

func streamOf(cfg Config) stream {
	return stream{Type: "logs", Dataset: dataset, Namespace: cfg.Namespace}
}

// documents renders all of the run: decisions and what was moved, then counts,
// and last the run itself, so that whoever finds that finds the rest.
func (w *writer) documents(ctx context.Context, yield func(id string, doc []byte) error) error {
	w.yield = yield
	if err := w.decisions(ctx); err != nil {
		return err
	}
	for _, c := range w.rec.Run.Counts {
		if err := w.count(c); err != nil {
			return err
		}
	}
	return w.run()
}

// decisions joins what the run decided with what it moved, both in the order of
// origin, resource and control. Neither is held in memory.
func (w *writer) decisions(ctx context.Context) error {
	next, stop := iter.Pull2(w.spells(ctx))
	defer stop()
	spell, err, more := next()
	// before hands over the spells that come before a place.
	before := func(origin, resource, control string) error {
		for more && err == nil && compare(spell, origin, resource, control) < 0 {
			if err := w.alone(spell); err != nil {
				return err
			}
			spell, err, more = next()
		}
		return err
	}
	each := func(v audit.Verdict) error {
		for _, d := range v.Decisions {
			if err := before(v.Origin, v.Resource, d.Control); err != nil {
				return err
			}
			var of *audit.Spell
			if more && compare(spell, v.Origin, v.Resource, d.Control) == 0 {
				s := spell
				of = &s
				spell, err, more = next()
			}
			if err := w.decision(v, d, of); err != nil {
				return err
			}
		}
		return err
	}
	read := w.rec.Stored
	if w.cfg.Passes || len(w.rec.Run.Relinked) > 0 {
		read = w.rec.Verdicts // a re-audit's passes are few, and the proof of a repair
	}
	if err := read(ctx, each); err != nil {
		return err
	}
	for more && err == nil {
		if err := w.alone(spell); err != nil {
			return err
		}
		spell, err, more = next()
	}
	return err
}

func (w *writer) spells(ctx context.Context) iter.Seq2[audit.Spell, error] {
	return func(yield func(audit.Spell, error) bool) {
		enough := errors.New("enough")
		err := w.rec.Moved(ctx, func(s audit.Spell) error {
			if !yield(s, nil) {
				return enough
			}
			return nil
		})
		if err != nil && !errors.Is(err, enough) {
			yield(audit.Spell{}, err)
		}
	}
}

func compare(s audit.Spell, origin, resource, control string) int {
	return cmp.Or(cmp.Compare(s.Origin, origin), cmp.Compare(s.Resource, resource), cmp.Compare(s.Control, control))
}

// emit renders one document: what its control says of itself, then the rest.
func (w *writer) emit(id, control string, d *document) error {
	d.Event.ID = id
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	w.buf = append(w.buf[:0], '{')
	if control != "" {
		w.buf = append(append(append(w.buf, `"rule":`...), w.rule(control).text...), ',')
	}
	w.buf = append(w.buf, b[1:]...)
	return w.yield(id, w.buf)
}

// id identifies what is no decision.
func id(kind string, parts ...string) string {
	return audit.Digest(canonical(append([]string{"crosscheck/document/1", kind}, parts...)))
}

// exceptionsOf reads the exceptions that the run was judged with.
func exceptionsOf(ctx context.Context, rec audit.Record) (map[string]exception, error) {
	if rec.Run.Exceptions == "" {
		return nil, nil
	}
	rc, err := rec.Vault.Open(ctx, rec.Run.Exceptions)
	if err != nil {
		return nil, fmt.Errorf("exceptions of the run: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(rc, audit.MaxLine))
	if err = errors.Join(err, rc.Close()); err != nil {
		return nil, fmt.Errorf("exceptions of the run: %w", err)
	}
	x, err := configs.ParseExceptions(b, "exceptions.yaml", func(configs.Exception) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("exceptions of the run: %w", err)
	}
	out := map[string]exception{}
	for _, e := range x.List {
		out[e.ID] = exception{
			ID: e.ID, ApprovedBy: e.ApprovedBy, RequestedBy: e.RequestedBy, Ticket: e.Ticket,
			ApprovedOn: stamp(e.ApprovedOn), Expires: stamp(e.Expires),
		}
	}
	return out, nil
}
