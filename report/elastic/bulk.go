package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/elastic/go-elasticsearch/v8/esapi"
	"golang.org/x/sync/errgroup"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/report"
)

// bulk sends documents in requests of a size, several at a time.
type bulk struct {
	sink *Sink
	d    audit.Delivery
	pin  *pin
	ctx  context.Context // of the group: it ends with the first request that fails
	send *errgroup.Group
	next *batch
}

// item is a document on its way; its line is a part of its batch's bytes.
type item struct {
	id         string
	begin, end int
}

// batch is what one request holds, as the request that creates it.
type batch struct {
	body  []byte
	items []item
}

func (b *batch) doc(i item) []byte { return b.body[i.begin:i.end] }

func (s *Sink) bulk(ctx context.Context, d audit.Delivery, p *pin) *bulk {
	b := &bulk{sink: s, d: d, pin: p, next: &batch{}}
	b.send, b.ctx = errgroup.WithContext(ctx)
	b.send.SetLimit(s.cfg.Workers)
	return b
}

// add takes a document, which may be used again when it returns.
func (b *bulk) add(id string, doc []byte) error {
	if err := b.ctx.Err(); err != nil {
		return err // close tells the cause
	}
	n := b.next
	n.body = append(append(append(n.body, `{"create":{"_id":"`...), id...), "\"}}\n"...)
	begin := len(n.body)
	n.body = append(n.body, doc...)
	n.items = append(n.items, item{id, begin, len(n.body)})
	n.body = append(n.body, '\n')
	if len(n.body) >= b.sink.cfg.Bytes {
		b.flush()
	}
	return nil
}

// flush hands the batch over. It waits while enough are under way.
func (b *bulk) flush() {
	full := b.next
	b.next = &batch{body: make([]byte, 0, cap(full.body)), items: make([]item, 0, cap(full.items))}
	b.send.Go(func() error { return b.deliver(full, full.items) })
}

// close sends the rest and waits for the answers. failed is what kept documents from being added.
func (b *bulk) close(failed error) error {
	if failed == nil && len(b.next.items) > 0 {
		b.flush()
	}
	if err := b.send.Wait(); err != nil {
		return err
	}
	return failed
}

// tries is how often one request is sent again within a delivery because
// Elasticsearch is busy; after that the delivery waits, and others come first.
const tries = 6

// deliver sends documents of a batch until each is there or rejected.
func (b *bulk) deliver(from *batch, items []item) error {
	if len(b.pin.before) > 0 {
		var err error
		if items, err = b.missing(items); err != nil {
			return err
		}
	}
	var busy error
	for try := 0; len(items) > 0; {
		pinned := b.pin.rolled.Load()
		answers, err := b.request(from, items, pinned)
		if is(err, http.StatusRequestEntityTooLarge, "") {
			return b.tooLarge(from, items, err)
		}
		if err != nil {
			return err
		}
		again, misplaced, err := b.sort(items, answers, pinned)
		if err != nil {
			return err
		}
		if items = append(misplaced, again.items...); len(again.items) == 0 {
			continue
		}
		busy = again.why
		if try++; try >= tries {
			return fmt.Errorf("%d documents are not accepted yet: %w", len(again.items), busy)
		}
		if err := b.sink.cfg.Wait(b.ctx, 500*time.Millisecond<<(try-1)); err != nil {
			return errors.Join(err, busy)
		}
	}
	return nil
}

// tooLarge sends halves of what was too much for a request.
func (b *bulk) tooLarge(from *batch, items []item, why error) error {
	if len(items) == 1 {
		return b.reject([]audit.Rejection{{ID: items[0].id, Reason: clip(why.Error()), At: b.sink.cfg.Now()}})
	}
	half := len(items) / 2
	if err := b.deliver(from, items[:half]); err != nil {
		return err
	}
	return b.deliver(from, items[half:])
}

// answer is what became of one document.
type answer struct {
	Index  string   `json:"_index"`
	Status int      `json:"status"`
	Error  *problem `json:"error"`
}

func (b *bulk) request(from *batch, items []item, pinned bool) ([]answer, error) {
	target, yes := b.sink.Stream(), true
	req := esapi.BulkRequest{FilterPath: []string{"items.*._index", "items.*.status", "items.*.error"}, RequireDataStream: &yes}
	if pinned {
		target, req.RequireDataStream = b.pin.index, nil
	}
	req.Index, req.Body = target, bytes.NewReader(render(from, items, pinned))
	var got struct {
		Items []map[string]answer `json:"items"`
	}
	err := b.sink.do(b.ctx, "POST /"+target+"/_bulk", &got, func(ctx context.Context, t esapi.Transport) (*esapi.Response, error) { return req.Do(ctx, t) })
	if err != nil {
		return nil, err
	}
	if len(got.Items) != len(items) {
		return nil, fmt.Errorf("POST /%s/_bulk: %d documents were sent, and the answer is about %d", target, len(items), len(got.Items))
	}
	out := make([]answer, len(items))
	for i, one := range got.Items {
		a, ok := one["create"]
		if pinned {
			a, ok = one["update"]
		}
		if !ok || a.Status == 0 {
			return nil, fmt.Errorf("POST /%s/_bulk: the answer makes no sense: it does not tell what became of document %d", target, i)
		}
		out[i] = a
	}
	return out, nil
}

// render writes a request: the batch as it is, a part of it, or for the pinned index.
func render(from *batch, items []item, pinned bool) []byte {
	if !pinned && len(items) == len(from.items) {
		return from.body
	}
	var out []byte
	for _, i := range items {
		if pinned {
			out = append(append(append(out, `{"update":{"_id":"`...), i.id...), "\"}}\n{\"doc\":{},\"upsert\":"...)
			out = append(append(out, from.doc(i)...), "}\n"...)
			continue
		}
		out = append(append(append(out, `{"create":{"_id":"`...), i.id...), "\"}}\n"...)
		out = append(append(out, from.doc(i)...), '\n')
	}
	return out
}

// later are documents that Elasticsearch was too busy for, and what it said.
type later struct {
	items []item
	why   error
}

// sort tells what became of documents: those that are there are done with, those
// that can never be are rejected, the others are given back.
func (b *bulk) sort(items []item, answers []answer, pinned bool) (again later, misplaced []item, err error) {
	var rejected []audit.Rejection
	for i, a := range answers {
		switch {
		case a.Status < 300, a.Status == http.StatusConflict && !pinned:
			if !pinned && a.Index != b.pin.index {
				b.pin.rolled.Store(true)
				misplaced = append(misplaced, items[i])
			}
		case a.Status == http.StatusConflict, a.Status == http.StatusTooManyRequests, a.Status >= 500:
			again.items, again.why = append(again.items, items[i]), b.problem(a)
		case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden, a.Status == http.StatusNotFound, !a.document():
			if err := b.refused(a); err != nil {
				return again, nil, err
			}
		default:
			reason := strconv.Itoa(a.Status) + " " + clip(a.Error.Type+": "+a.Error.says())
			rejected = append(rejected, audit.Rejection{ID: items[i].id, Reason: reason, At: b.sink.cfg.Now()})
		}
	}
	return again, misplaced, b.reject(rejected)
}

// document tells whether it is the document that is at fault, and not what Elasticsearch was told to do with it.
func (a answer) document() bool {
	if a.Error == nil {
		return false
	}
	for _, s := range []string{"pipeline with id", "data stream", "op_type", "alias"} {
		if a.Error.Type == "illegal_argument_exception" && strings.Contains(a.Error.says(), s) {
			return false
		}
	}
	return true
}

// refused makes an error of an answer that has nothing to do with its document.
func (b *bulk) refused(a answer) error {
	why := b.problem(a)
	switch {
	case a.Error != nil && a.Error.Type == blocked:
		return errors.Join(errReadOnly, why)
	case a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden:
		return report.Permanent(fmt.Errorf("%w: the credentials lack a privilege: docs/operators.md lists those that are needed", why))
	case a.Status == http.StatusNotFound:
		return why
	}
	b.sink.forget() // perhaps something of the setup is gone
	return why
}

func (b *bulk) problem(a answer) error {
	e := &Error{Asked: "POST /" + b.sink.Stream() + "/_bulk", Status: a.Status}
	if a.Error != nil {
		e.Type, e.Reason = clip(a.Error.Type), clip(a.Error.says())
	}
	return e
}

// reject keeps what is never accepted in the ledger, and says so.
func (b *bulk) reject(list []audit.Rejection) error {
	if len(list) == 0 {
		return nil
	}
	b.sink.cfg.Log.WarnContext(b.ctx, "documents are rejected for good", "sink", b.sink.Name(), "subject", b.d.Subject, "documents", len(list), "first", list[0].Reason)
	return b.d.Reject(b.ctx, list)
}

// missing leaves out the documents that an older index has.
func (b *bulk) missing(items []item) ([]item, error) {
	for _, index := range b.pin.before {
		ids := make([]string, len(items))
		for i := range items {
			ids[i] = items[i].id
		}
		body, err := json.Marshal(map[string]any{"ids": ids})
		if err != nil {
			return nil, err
		}
		req := esapi.MgetRequest{Index: index, Body: bytes.NewReader(body), Source: []string{"false"}, FilterPath: []string{"docs.found", "docs.error.type"}}
		var got struct {
			Docs []struct {
				Found bool
				Error *problem
			}
		}
		err = b.sink.do(b.ctx, "POST /"+index+"/_mget", &got, func(ctx context.Context, t esapi.Transport) (*esapi.Response, error) { return req.Do(ctx, t) })
		if err != nil {
			return nil, err
		}
		if len(got.Docs) != len(items) {
			return nil, fmt.Errorf("POST /%s/_mget: asked for %d documents, and the answer is about %d", index, len(items), len(got.Docs))
		}
		var out []item
		for i, d := range got.Docs {
			switch {
			case d.Error != nil && d.Error.Type != "index_not_found_exception":
				return nil, fmt.Errorf("POST /%s/_mget: %s", index, clip(d.Error.Type))
			case !d.Found:
				out = append(out, items[i])
			}
		}
		if items = out; len(items) == 0 {
			break
		}
	}
	return items, nil
}
