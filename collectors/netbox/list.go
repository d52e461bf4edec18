package netbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// largestPage is what NetBox gives at most unless it is configured otherwise.
const largestPage = 1000

// growth bounds how many more objects than first counted are read: a server
// that makes objects up must not fill the disk.
const growth = 10_000

// tally is what one type came to.
type tally struct {
	total  int64 // what NetBox said it has, at first or when asked again
	read   int64
	failed *audit.SourceError // the list ended before its end
	sums   map[string]int64   // count field → sum over all objects
	within map[string]int64   // placing field → how many objects have it
	blind  map[string]bool    // fields that an object lacked: their sum says nothing
}

// read lists a type and writes its documents. The error is that of the writer
// or of a cancelled context; what NetBox refuses is in the tally.
func (s *session) read(ctx context.Context, e endpoint, origin string, w audit.SnapshotWriter) (*tally, error) {
	t := newTally()
	err := s.list(ctx, e, t, s.write(e, t, origin, w))
	return t, s.settle(ctx, e, t, err)
}

// write counts objects and writes their documents.
func (s *session) write(e endpoint, t *tally, origin string, w audit.SnapshotWriter) func(id int32, data map[string]any) error {
	return func(id int32, data map[string]any) error {
		t.add(e, data)
		if err := w.Write(s.c.document(e, origin, id, data)); err != nil {
			return fmt.Errorf("writing %s %d: %w", e.typ, id, err)
		}
		return nil
	}
}

// settle keeps in the tally what ended a list, and passes on what is not NetBox's doing.
func (s *session) settle(ctx context.Context, e endpoint, t *tally, err error) error {
	var se *audit.SourceError
	if err == nil {
		return nil
	}
	if !errors.As(err, &se) || ctx.Err() != nil {
		return err
	}
	t.failed = se
	s.c.cfg.Log.WarnContext(ctx, "netbox list ended early", "origin", s.c.Origins()[0], "operation", e.operation(), "read", t.read, "error", se.Error())
	return nil
}

func newTally() *tally {
	return &tally{sums: map[string]int64{}, within: map[string]int64{}, blind: map[string]bool{}}
}

func (t *tally) add(e endpoint, data map[string]any) {
	for _, field := range e.sums {
		n, err := strconv.ParseInt(fmt.Sprint(data[field]), 10, 32)
		if err != nil || n < 0 {
			t.blind[field] = true
			continue
		}
		t.sums[field] += n
	}
	for _, field := range e.within {
		v, ok := data[field]
		if !ok {
			t.blind[field] = true
		}
		if v != nil {
			t.within[field]++
		}
	}
}

// list walks an endpoint by id. Deletions while it walks make it miss nothing,
// and next, which names whatever host a proxy says, is never used.
// Where ids are given it lists those alone.
func (s *session) list(ctx context.Context, e endpoint, t *tally, each func(id int32, data map[string]any) error, ids ...int32) error {
	p := page{limit: int32(min(s.c.cfg.Page, largestPage)), ids: ids}
	for {
		r := e.request(p)
		body, err := s.ask(ctx, r)
		if err != nil {
			return err
		}
		fail := func(why error) error {
			s.call(r).Errors++
			return &audit.SourceError{Code: audit.Failed, Operation: e.operation(), Err: why}
		}
		answer, err := decodePage(body)
		if err != nil {
			return fail(err)
		}
		if p.after == 0 {
			t.total += answer.count
		}
		for _, raw := range answer.results {
			id, data, err := decodeObject(raw)
			switch {
			case err != nil:
				return fail(err)
			case id <= p.after:
				return fail(fmt.Errorf("object %d came after object %d: the list is not in order of ids", id, p.after))
			case t.read >= 2*t.total+growth:
				return fail(fmt.Errorf("more than twice the %d objects that were counted", t.total))
			}
			if err := each(id, data); err != nil {
				return err
			}
			p.after = id
			t.read++
			s.call(r).Items++
		}
		// With id__gt the count is of what remains, this page included.
		if n := int64(len(answer.results)); n == 0 && answer.count > 0 {
			return fail(fmt.Errorf("an empty page, and a count of %d", answer.count))
		} else if n >= answer.count {
			return nil
		}
	}
}

type decodedPage struct {
	count   int64
	results []json.RawMessage
}

// decodePage reads the envelope of a list. Its links are of no interest.
func decodePage(body []byte) (decodedPage, error) {
	var v struct {
		Count   *int64             `json:"count"`
		Results *[]json.RawMessage `json:"results"`
	}
	if _, err := audit.DecodeDocument(body); err != nil {
		return decodedPage{}, fmt.Errorf("a page that is no sound JSON: %w", err)
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return decodedPage{}, fmt.Errorf("a page that is no JSON object: %w", err)
	}
	if v.Count == nil || v.Results == nil || *v.Count < 0 {
		return decodedPage{}, errors.New("a page without count or results")
	}
	if int64(len(*v.Results)) > *v.Count {
		return decodedPage{}, fmt.Errorf("a page of %d objects with a count of %d", len(*v.Results), *v.Count)
	}
	return decodedPage{*v.Count, *v.Results}, nil
}

// decodeObject reads one object and its id. Numbers keep their literal.
func decodeObject(raw []byte) (int32, map[string]any, error) {
	v, err := audit.DecodeJSON(raw)
	if err != nil {
		return 0, nil, fmt.Errorf("an object that is no JSON: %w", err)
	}
	data, ok := v.(map[string]any)
	if !ok {
		return 0, nil, fmt.Errorf("a result that is no object but %T", v)
	}
	n, ok := data["id"].(json.Number)
	if !ok {
		return 0, nil, errors.New("an object without an id")
	}
	id, err := strconv.ParseInt(n.String(), 10, 64)
	if err != nil || id < 1 || id > math.MaxInt32 {
		return 0, nil, fmt.Errorf("object id %.20q: want 1 to %d", n.String(), math.MaxInt32)
	}
	return int32(id), data, nil
}
