package elastic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/elastic/go-elasticsearch/v8/esapi"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// An _id is unique within one backing index, not within a data stream: after a
// rollover the same document would be taken again. So a delivery stays on the
// write index that it began on, which it notes in the ledger before it writes.
//
// While that is the write index, documents are created in the data stream, and
// a conflict says that one is there. A backing index that is not the write index
// takes no create (Elasticsearch refuses it), but it takes an update whose
// upsert is the document: it creates what is missing and leaves what is there.
// What a rollover in the middle let into the next index is written to the pinned
// one and then deleted there.

// note is what a delivery keeps in the ledger: the indices it was written to,
// the last of which it is written to now.
type note struct {
	Indices []string `json:"indices"`
}

// pin is where a delivery is written.
type pin struct {
	index  string      // that it stays on
	before []string    // older ones that may hold some of its documents and take no more
	write  string      // the data stream's write index, when asked last
	rolled atomic.Bool // index is not the write index any more
	noted  []string    // as in the ledger
}

// errReadOnly says that the pinned index takes no more documents, for good.
var errReadOnly = errors.New("the index is read-only")

// backing gives the indices of the data stream, the write index last.
func (s *Sink) backing(ctx context.Context) ([]string, error) {
	var answer struct {
		Streams []struct {
			Name    string
			Indices []struct {
				Name string `json:"index_name"`
			}
		} `json:"data_streams"`
	}
	err := s.do(ctx, "GET /_data_stream/"+s.Stream(), &answer, func(ctx context.Context, t esapi.Transport) (*esapi.Response, error) {
		return esapi.IndicesGetDataStreamRequest{Name: []string{s.Stream()}}.Do(ctx, t)
	})
	if err != nil {
		return nil, err
	}
	if len(answer.Streams) != 1 || answer.Streams[0].Name != s.Stream() || len(answer.Streams[0].Indices) == 0 {
		return nil, fmt.Errorf("GET /_data_stream/%s: the answer tells no index", s.Stream())
	}
	var out []string
	for _, i := range answer.Streams[0].Indices {
		if i.Name == "" || strings.ContainsAny(i.Name, "/?#,*\" \\") {
			return nil, fmt.Errorf("GET /_data_stream/%s: %q is no name of an index", s.Stream(), clip(i.Name))
		}
		out = append(out, i.Name)
	}
	return out, nil
}

// pin finds the index that the delivery began on, or begins on the write index.
func (s *Sink) pin(ctx context.Context, d *audit.Delivery) (*pin, error) {
	indices, err := s.backing(ctx)
	if is(err, http.StatusNotFound, "") {
		s.forget() // somebody deleted the data stream: set it up anew, next time
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	var n note
	if d.Note != "" {
		if err := json.Unmarshal([]byte(d.Note), &n); err != nil {
			return nil, fmt.Errorf("note %q of the delivery: %w", d.Note, err)
		}
	}
	p := &pin{write: indices[len(indices)-1], noted: n.Indices}
	first, last, whole := len(indices), -1, false
	for _, name := range n.Indices {
		for i, have := range indices {
			// An index that was shrunk or moved to a snapshot has its old name at the end of the new one.
			if have == name || strings.HasSuffix(have, "-"+name) {
				first, last, whole = min(first, i), i, have == name
			}
		}
	}
	switch {
	case last < 0: // nothing was written yet, or all of it was deleted
		p.index = p.write
	case whole:
		p.index, p.before = indices[last], indices[first:last]
	default:
		p.index, p.before = p.write, indices[first:len(indices)-1]
	}
	p.rolled.Store(p.index != p.write)
	if len(p.noted) == 0 || p.noted[len(p.noted)-1] != p.index {
		err = s.keep(ctx, d, p, p.index)
	}
	return p, err
}

// abandon goes on in the write index: the pinned one takes no more documents.
func (s *Sink) abandon(ctx context.Context, d *audit.Delivery, p *pin) error {
	indices, err := s.backing(ctx)
	if err != nil {
		return err
	}
	write := indices[len(indices)-1]
	if write == p.index {
		return fmt.Errorf("index %s, which the data stream %s writes to, is blocked for writing: remove the block", p.index, s.Stream())
	}
	s.cfg.Log.WarnContext(ctx, "the index that a delivery began on is read-only: it goes on in the next one", "sink", s.Name(), "index", p.index, "next", write, "subject", d.Subject)
	return s.keep(ctx, d, p, write)
}

// keep notes that documents are written to an index from now on.
func (s *Sink) keep(ctx context.Context, d *audit.Delivery, p *pin, index string) error {
	b, err := json.Marshal(note{append(slices.Clone(p.noted), index)})
	if err != nil {
		return err
	}
	d.Note = string(b)
	return d.Keep(ctx, d.Note)
}

// settle ends a delivery that a rollover came into: what the next index was
// given before that was noticed is deleted there, now that the pinned one has all.
func (s *Sink) settle(ctx context.Context, d audit.Delivery, p *pin) error {
	if !p.rolled.Load() {
		return nil
	}
	indices, err := s.backing(ctx)
	if err != nil {
		return err
	}
	at := slices.Index(indices, p.index)
	if at < 0 {
		// Elasticsearch makes an index of a name that is written to. It is no part of the data stream.
		err := fmt.Errorf("index %s was deleted while the delivery was written to it: it is written anew", p.index)
		gone := s.ask(ctx, http.MethodDelete, "/"+p.index, nil, nil)
		if is(gone, http.StatusNotFound, "") {
			gone = nil
		}
		return errors.Join(err, gone)
	}
	later := indices[at+1:]
	if len(later) == 0 {
		return nil
	}
	body, err := json.Marshal(map[string]any{"query": map[string]any{"term": map[string]any{"crosscheck.delivery": d.Key()}}})
	if err != nil {
		return err
	}
	target := "/" + strings.Join(later, ",")
	if err := s.ask(ctx, http.MethodPost, target+"/_refresh", nil, nil); err != nil {
		return err
	}
	return s.ask(ctx, http.MethodPost, target+"/_delete_by_query?conflicts=proceed&refresh=true", body, nil)
}
