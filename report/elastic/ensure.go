package elastic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/report"
)

// State says what setup did about one thing.
type State string

// The states. Changed and Foreign are left as they are, unless forced: an
// administrator made them so.
const (
	Created State = "created"
	Updated State = "updated"
	Kept    State = "kept"
	Changed State = "changed by hand, kept"
	Foreign State = "not crosscheck's, kept"
	Newer   State = "of a newer crosscheck, kept"
	Started State = "started"
)

// Step is what setup did about one thing.
type Step struct {
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	State State  `json:"state"`
}

// ready sees to it, once, that the cluster is set up.
func (s *Sink) ready(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set {
		return nil
	}
	if s.cfg.Manual {
		if err := s.Check(ctx); err != nil {
			return err
		}
		s.set = true
		return nil
	}
	steps, err := s.SetUp(ctx, false)
	if err != nil {
		return err
	}
	for _, step := range steps {
		if step.State == Changed || step.State == Foreign || step.State == Updated {
			s.cfg.Log.InfoContext(ctx, "elasticsearch setup", "kind", step.Kind, "name", step.Name, "state", string(step.State))
		}
	}
	s.set = true
	return nil
}

// forget has the next delivery look at the setup again.
func (s *Sink) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set = false
}

// Check tells whether an administrator has set the cluster up.
func (s *Sink) Check(ctx context.Context) error {
	remedy := "let an administrator send what `crosscheck elastic setup --print` prints"
	if _, err := s.backing(ctx); is(err, http.StatusNotFound, "") {
		return report.Permanent(fmt.Errorf("there is no data stream %s: %s", s.Stream(), remedy))
	} else if err != nil {
		return err
	}
	const field = "crosscheck.delivery"
	var got map[string]struct {
		Mappings map[string]struct {
			Mapping map[string]struct{ Type string }
		}
	}
	if err := s.ask(ctx, http.MethodGet, "/"+s.Stream()+"/_mapping/field/"+field, nil, &got); err != nil {
		return err
	}
	for _, index := range got {
		if index.Mappings[field].Mapping["delivery"].Type == "keyword" {
			return nil
		}
	}
	return report.Permanent(fmt.Errorf("data stream %s does not have the mappings of crosscheck: %s", s.Stream(), remedy))
}

// SetUp creates what is missing and updates what crosscheck itself made. What an
// administrator changed is kept, and said, unless force.
func (s *Sink) SetUp(ctx context.Context, force bool) ([]Step, error) {
	ilm, err := s.HasILM(ctx)
	if err != nil {
		return nil, err
	}
	var steps []Step
	templates := false
	for _, r := range s.Requests(!ilm) {
		state, err := s.ensure(ctx, r, force)
		if err == nil && r.Kind == "data stream" && state == Kept && templates {
			// The write index has the mappings that it was made with: the next one has the new ones.
			err = s.ask(ctx, http.MethodPost, "/"+s.Stream()+"/_rollover", nil, nil)
			state = Updated
		}
		if err != nil {
			return steps, unready(r, err)
		}
		templates = templates || state == Updated && (r.Kind == "component template" || r.Kind == "index template")
		steps = append(steps, Step{r.Kind, r.Name, state})
	}
	return steps, nil
}

// unready tells what could not be set up, and what to do where no retry helps.
func unready(r Request, err error) error {
	err = fmt.Errorf("setting up %s %s: %w", r.Kind, r.Name, err)
	var e *Error
	if errors.As(err, &e) && e.Status >= 400 && e.Status < 500 && e.Status != http.StatusTooManyRequests && e.Status != http.StatusConflict && e.Status != http.StatusRequestTimeout {
		return report.Permanent(fmt.Errorf("%w (an administrator can do it instead: `crosscheck elastic setup --print`, then setup: manual)", err))
	}
	return err
}

func (s *Sink) ensure(ctx context.Context, r Request, force bool) (State, error) {
	switch r.Kind {
	case "transform start":
		return s.start(ctx, r)
	case "data stream", "index":
		return s.exists(ctx, r)
	}
	have, m, err := s.installed(ctx, r)
	if is(err, http.StatusNotFound, "") {
		return Created, s.install(ctx, r)
	}
	if err != nil {
		return "", err
	}
	wanted, _ := metaOf(r.Body)
	switch {
	case force && r.Kind != "transform":
		return Updated, s.install(ctx, r)
	case m.By != managedBy:
		return Foreign, nil
	case m.Version > version:
		return Newer, nil
	case m.Installed != "" && m.Installed != have:
		return Changed, nil
	case m.Body != wanted.Body:
		return Updated, s.update(ctx, r)
	}
	return Kept, nil
}

// install puts one thing, reads what Elasticsearch made of it and notes its
// digest, by which one that is changed by hand is known.
func (s *Sink) install(ctx context.Context, r Request) error {
	if err := s.ask(ctx, r.Method, r.Path, r.Body, nil); err != nil {
		return err
	}
	if r.Kind == "transform" {
		return nil // it cannot be put twice
	}
	have, m, err := s.installed(ctx, r)
	if err != nil {
		return err
	}
	m.Installed = have
	body, err := withMeta(r.Body, m)
	if err != nil {
		return err
	}
	return s.ask(ctx, r.Method, r.Path, body, nil)
}

// update brings what crosscheck made to what is wanted now.
func (s *Sink) update(ctx context.Context, r Request) error {
	if r.Kind != "transform" {
		return s.install(ctx, r)
	}
	var t object
	if err := json.Unmarshal(r.Body, &t); err != nil {
		return err
	}
	delete(t, "latest") // which no update may name
	return s.ask(ctx, http.MethodPost, r.Path+"/_update", canonical(t), nil)
}

// installed reads one thing: the digest of what is there, without what we note in it, and the note.
func (s *Sink) installed(ctx context.Context, r Request) (digest string, m meta, err error) {
	var answer object
	if err := s.ask(ctx, http.MethodGet, r.Path, nil, &answer); err != nil {
		return "", meta{}, err
	}
	var thing any = answer[r.Name]
	for _, list := range []string{"component_templates", "index_templates", "transforms"} {
		if l, ok := answer[list].([]any); ok && len(l) == 1 {
			thing = l[0]
		}
	}
	o, _ := thing.(object)
	for _, key := range []string{"component_template", "index_template", "policy"} {
		if inner, ok := o[key].(object); ok {
			o = inner
		}
	}
	if o == nil {
		return "", meta{}, fmt.Errorf("GET %s: the answer makes no sense", r.Path)
	}
	if b, err := json.Marshal(o["_meta"]); err == nil {
		_ = json.Unmarshal(b, &m) // what has another form is not ours
	}
	// The rest are notes of Elasticsearch's own.
	for _, key := range []string{"_meta", "created_date", "created_date_millis", "modified_date", "modified_date_millis", "version", "create_time", "id", "authorization"} {
		delete(o, key)
	}
	digest, err = audit.DigestOf(o)
	return digest, m, err
}

func metaOf(body json.RawMessage) (meta, error) {
	var b struct {
		Meta   meta `json:"_meta"`
		Policy struct {
			Meta meta `json:"_meta"`
		} `json:"policy"`
	}
	err := json.Unmarshal(body, &b)
	if b.Policy.Meta.By != "" {
		return b.Policy.Meta, err
	}
	return b.Meta, err
}

func withMeta(body json.RawMessage, m meta) (json.RawMessage, error) {
	var o object
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, err
	}
	at := o
	if policy, ok := o["policy"].(object); ok {
		at = policy
	}
	at["_meta"] = m
	return canonical(o), nil
}

// exists makes what has no version: it is there or not.
func (s *Sink) exists(ctx context.Context, r Request) (State, error) {
	err := s.ask(ctx, http.MethodGet, r.Path, nil, nil)
	if err == nil {
		return Kept, nil
	}
	if !is(err, http.StatusNotFound, "") {
		return "", err
	}
	err = s.ask(ctx, r.Method, r.Path, r.Body, nil)
	if is(err, http.StatusBadRequest, "resource_already_exists_exception") {
		return Kept, nil // another process was faster
	}
	return Created, err
}

// start starts the transform if it never ran. One that an administrator stopped stays so.
func (s *Sink) start(ctx context.Context, r Request) (State, error) {
	var got struct {
		Transforms []struct {
			State         string
			Checkpointing struct {
				Last struct{ Checkpoint int64 }
			}
		}
	}
	if err := s.ask(ctx, http.MethodGet, "/_transform/"+r.Name+"/_stats", nil, &got); err != nil {
		return "", err
	}
	if len(got.Transforms) != 1 || got.Transforms[0].State != "stopped" || got.Transforms[0].Checkpointing.Last.Checkpoint > 0 {
		return Kept, nil
	}
	return Started, s.ask(ctx, r.Method, r.Path, nil, nil)
}
