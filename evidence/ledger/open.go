package ledger

import (
	"context"
	"database/sql"
	"errors"
	"iter"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// openRow is a violation that is open.
type openRow struct {
	key
	name, owner string
	flags       int64
}

// The flags of an open row: a number is read faster than what it stands for.
const (
	failing  = 1 << iota // as it was last judged
	excepted             // likewise
	failed               // ever
	lost
)

const flagColumn = `(outcome = 'fail') + 2 * excepted + 4 * (failed IS NOT NULL) + 8 * (lost IS NOT NULL)`

func (r openRow) is(flag int64) bool { return r.flags&flag != 0 }

// as tells whether a decision finds the row as it is: then there is nothing to write.
func (r openRow) as(v audit.Verdict, d audit.Decision) bool {
	return !r.is(lost) && r.is(failing) == (d.Outcome == audit.Fail) && r.is(excepted) == d.Excepted() && r.name == v.Name && r.owner == v.Owner
}

// pageRows is how many open violations are held at once.
const pageRows = 1000

// openRows reads what is open in order, a page at a time, so that no cursor is
// open while rows are written. It sees nothing of what is opened behind it.
type openRows struct {
	next *sql.Stmt
	page []openRow
	at   int
	end  bool
}

// head is the first one that was not popped.
func (o *openRows) head(ctx context.Context) (openRow, bool, error) {
	if o.at == len(o.page) && !o.end {
		if err := o.read(ctx); err != nil {
			return openRow{}, false, err
		}
	}
	if o.at == len(o.page) {
		return openRow{}, false, nil
	}
	return o.page[o.at], true, nil
}

func (o *openRows) pop() { o.at++ }

func (o *openRows) read(ctx context.Context) error {
	var after key
	if len(o.page) > 0 {
		after = o.page[len(o.page)-1].key
	}
	o.page, o.at = o.page[:0], 0
	rows, err := o.next.QueryContext(ctx, after.origin, after.resource, after.control, pageRows)
	if err != nil {
		return err
	}
	for rows.Next() {
		var r openRow
		if err := rows.Scan(&r.origin, &r.resource, &r.control, &r.name, &r.owner, &r.flags); err != nil {
			return errors.Join(err, rows.Close())
		}
		o.page = append(o.page, r)
	}
	o.end = len(o.page) < pageRows
	return errors.Join(rows.Err(), rows.Close())
}

// documents tells which resources a run's snapshots hold. Questions come in
// order, so that each snapshot is read once, and only if something is asked of it.
type documents struct {
	origin string
	next   func() (string, error, bool)
	halt   func()
	head   string
	more   bool
}

var errHalted = errors.New("halted")

// hold tells whether a snapshot holds a resource.
func (d *documents) hold(ctx context.Context, v audit.Vault, s audit.Snapshot, resource string) (bool, error) {
	if d.next == nil || d.origin != s.Origin {
		if err := d.end(); err != nil {
			return false, err
		}
		d.next, d.halt = iter.Pull2(ids(ctx, v, s))
		d.origin, d.more = s.Origin, true
		if err := d.advance(); err != nil {
			return false, err
		}
	}
	for d.more && d.head < resource {
		if err := d.advance(); err != nil {
			return false, err
		}
	}
	return d.more && d.head == resource, nil
}

func (d *documents) advance() (err error) {
	d.head, err, d.more = d.next()
	return err
}

// end reads what is left of a snapshot: only at its end does the vault tell
// whether its bytes are what they should be.
func (d *documents) end() error {
	for d.next != nil && d.more {
		if err := d.advance(); err != nil {
			return err
		}
	}
	d.stop()
	return nil
}

func (d *documents) stop() {
	if d.halt != nil {
		d.halt()
	}
	*d = documents{}
}

func ids(ctx context.Context, v audit.Vault, s audit.Snapshot) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := audit.IDs(ctx, v, s, func(id string) error {
			if !yield(id, nil) {
				return errHalted
			}
			return nil
		})
		if err != nil && !errors.Is(err, errHalted) {
			yield("", err)
		}
	}
}
