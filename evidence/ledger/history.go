package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// key is where a spell stands in the order of a verdict segment.
type key struct{ origin, resource, control string }

func (k key) compare(other key) int {
	return cmp.Or(cmp.Compare(k.origin, other.origin), cmp.Compare(k.resource, other.resource), cmp.Compare(k.control, other.control))
}

// history moves the violations on record by one run: a merge of what is open
// with what the run's segment holds, which have the same order. What is open and
// merely seen again costs no write.
type history struct {
	tx        *sql.Tx
	rec       audit.Record
	seq       int64 // of the run
	before    int64 // of the run of everything before it, 0 if none
	controls  map[string]audit.Control
	snapshots map[string]audit.Snapshot
	open      openRows
	documents documents
	last      key
	insert    *sql.Stmt
	again     *sql.Stmt
	lose      *sql.Stmt
	close     *sql.Stmt
	typ       *sql.Stmt
	count     *sql.Stmt
	met       map[meets]int64 // by how much what is counted changes; flushed now and then
}

// moving is the condition on runs that move the history. One that is scoped, or
// could not read an origin, moves only what it judged; one that is simulated,
// or of changes that nobody has applied, tells nothing of the estate.
const moving = `NOT simulated AND trigger <> 'gate'`

func moveHistory(ctx context.Context, tx *sql.Tx, rec audit.Record, seq int64) error {
	if rec.Run.Simulated || rec.Run.Trigger == audit.Gate {
		return nil
	}
	earlier, err := saidBefore(ctx, tx, rec.Run, seq)
	if err != nil || earlier == rec.Run.Verdicts && earlier != "" {
		return err
	}
	h := &history{tx: tx, rec: rec, seq: seq, controls: map[string]audit.Control{}, snapshots: map[string]audit.Snapshot{}, met: map[meets]int64{}}
	selected, err := rec.Catalog.Select(rec.Run.Scope)
	if err != nil {
		return err
	}
	for _, c := range selected {
		h.controls[c.ID] = c
	}
	for _, s := range rec.Run.Snapshots {
		h.snapshots[s.Origin] = s
	}
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM runs WHERE whole AND seq < ? AND `+moving, seq).Scan(&h.before); err != nil {
		return err
	}
	done, err := h.prepare(ctx)
	defer done()
	if err != nil {
		return err
	}
	if err := rec.StoredSince(ctx, earlier, func(b audit.Block) (bool, error) { return h.same(ctx, b) },
		func(v audit.Verdict) error { return h.verdict(ctx, v) }); err != nil {
		return err
	}
	for {
		row, ok, err := h.open.head(ctx)
		if err != nil {
			return err
		}
		if !ok {
			return errors.Join(h.documents.end(), h.flush(ctx))
		}
		if err := h.unnamed(ctx, row); err != nil {
			return err
		}
	}
}

// saidBefore gives the verdicts of the run that moved the history last, if that
// run was of all that this one is of: the same library, scope and snapshots. Then
// what both say of a resource moves nothing: what fails is open, what is lost
// is lost, and what has passed or gone is closed.
func saidBefore(ctx context.Context, tx *sql.Tx, run audit.Run, seq int64) (verdicts string, err error) {
	last, ok, err := oneRun(tx.QueryRowContext(ctx, `SELECT doc FROM runs WHERE seq < ? AND `+moving+` ORDER BY seq DESC LIMIT 1`, seq))
	if err != nil || !ok {
		return "", err
	}
	x, err := audit.DigestOf(said(last))
	if err != nil {
		return "", err
	}
	y, err := audit.DigestOf(said(run))
	if err != nil || x != y {
		return "", err
	}
	return last.Verdicts, nil
}

// said is all that the history is moved by, but for the verdicts.
func said(run audit.Run) any {
	type snapshot struct {
		Origin, Digest string
		Exhaustive     bool
		Answers        []string
		Types          []audit.TypeCount
		Gaps           []audit.Gap
		Gone           []string
	}
	snapshots := make([]snapshot, len(run.Snapshots))
	for i, s := range run.Snapshots {
		snapshots[i] = snapshot{s.Origin, s.Digest, s.Exhaustive, s.Answers, s.Types, s.Gaps, nil}
		if s.Fresh != nil {
			snapshots[i].Gone = s.Fresh.Gone
		}
	}
	return []any{run.Revision, run.ConfigDigest, run.Library, run.Scope, snapshots}
}

func (h *history) prepare(ctx context.Context) (done func(), err error) {
	var stmts []*sql.Stmt
	done = func() {
		h.documents.stop()
		for _, s := range stmts {
			_ = s.Close()
		}
	}
	const at = ` WHERE origin = ? AND resource = ? AND control = ? AND closed IS NULL`
	for _, p := range []struct {
		into **sql.Stmt
		text string
	}{
		{&h.open.next, `SELECT origin, resource, control, name, owner, ` + flagColumn + ` FROM violations
			WHERE closed IS NULL AND (origin, resource, control) > (?, ?, ?) ORDER BY origin, resource, control LIMIT ?`},
		{&h.insert, `INSERT INTO violations (origin, resource, control, opened, type, name, owner, outcome, excepted, failed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`},
		{&h.again, `UPDATE violations SET outcome = ?, excepted = ?, name = ?, owner = ?, failed = coalesce(failed, ?),
			seen = CASE WHEN lost IS NULL THEN seen ELSE ? END, lost = NULL` + at + ` RETURNING coalesce(failed, 0)`},
		{&h.lose, `UPDATE violations SET lost = ?, seen = max(opened, coalesce(seen, 0), ?)` + at},
		{&h.close, `UPDATE violations SET closed = ?, how = ?` + at},
		{&h.typ, `SELECT type FROM violations` + at},
		{&h.count, `INSERT INTO met (owner, control, failed, n) VALUES (?, ?, ?, ?) ON CONFLICT (owner, control, failed) DO UPDATE SET n = n + excluded.n`},
	} {
		if *p.into, err = h.tx.PrepareContext(ctx, p.text); err != nil {
			return done, err
		}
		stmts = append(stmts, *p.into)
	}
	return done, nil
}

// verdict moves the history by what the segment says of one resource.
func (h *history) verdict(ctx context.Context, v audit.Verdict) error {
	for _, d := range v.Decisions {
		k := key{v.Origin, v.Resource, d.Control}
		if h.last != (key{}) && k.compare(h.last) <= 0 {
			return fmt.Errorf("verdict segment: %s on %s after %s on %s: out of order", k.control, k.resource, h.last.control, h.last.resource)
		}
		h.last = k
		if err := h.decision(ctx, k, v, d); err != nil {
			return fmt.Errorf("%s on %s: %w", d.Control, v.Resource, err)
		}
	}
	return nil
}

// same passes over what a block of the segment, that the run before had too,
// says of the resources from its first to its last.
func (h *history) same(ctx context.Context, b audit.Block) (bool, error) {
	first, ok := h.keyOf(b.FirstID)
	end, eok := h.keyOf(b.LastID)
	if !ok || !eok {
		return false, nil
	}
	if h.last.compare(first) >= 0 {
		return false, fmt.Errorf("verdict segment: %s after %s: out of order", first.resource, h.last.resource)
	}
	if err := h.until(ctx, first); err != nil {
		return false, err
	}
	for {
		row, ok, err := h.open.head(ctx)
		if err != nil {
			return false, err
		}
		if row.control = ""; !ok || row.key.compare(end) > 0 {
			h.last = end
			return true, nil
		}
		h.open.pop()
	}
}

// keyOf is where a resource begins. It cannot be told where two origins could have it.
func (h *history) keyOf(resource string) (k key, ok bool) {
	for origin := range h.snapshots {
		if strings.HasPrefix(resource, origin+"/") {
			if ok {
				return key{}, false
			}
			k, ok = key{origin: origin, resource: resource}, true
		}
	}
	return k, ok
}

// until moves what is open before k, which the segment does not name.
func (h *history) until(ctx context.Context, k key) error {
	for {
		row, ok, err := h.open.head(ctx)
		if err != nil || !ok || row.key.compare(k) >= 0 {
			return err
		}
		if err := h.unnamed(ctx, row); err != nil {
			return err
		}
	}
}

func (h *history) decision(ctx context.Context, k key, v audit.Verdict, d audit.Decision) error {
	if err := h.until(ctx, k); err != nil {
		return err
	}
	row, ok, err := h.open.head(ctx)
	if err != nil {
		return err
	}
	if ok && row.key == k {
		h.open.pop()
		return h.seen(ctx, row, v, d)
	}
	if d.Outcome != audit.Fail && d.Outcome != audit.NotEvaluated {
		return nil
	}
	if d.Outcome == audit.Fail && !d.Excepted() {
		h.meet(v.Owner, d.Control, h.seq, 1)
	}
	if _, err = h.insert.ExecContext(ctx, k.origin, k.resource, k.control, h.seq, v.Type, v.Name, v.Owner, d.Outcome, d.Excepted(), h.failed(d)); err != nil {
		return err
	}
	return h.flushMany(ctx)
}

// failed is this run if the decision failed, else null.
func (h *history) failed(d audit.Decision) any {
	if d.Outcome == audit.Fail {
		return h.seq
	}
	return nil
}

// seen moves what is open by a decision that the segment holds. A failure that
// can no longer be evaluated is not fixed: it stays open.
func (h *history) seen(ctx context.Context, row openRow, v audit.Verdict, d audit.Decision) error {
	switch d.Outcome {
	case audit.Pass:
		return h.end(ctx, row, passed(row))
	case audit.Excluded:
		return h.end(ctx, row, audit.NotApplicable)
	}
	if row.as(v, d) {
		return nil
	}
	var first int64 // run in which it failed, 0 if it never did
	err := h.again.QueryRowContext(ctx, d.Outcome, d.Excepted(), v.Name, v.Owner, h.failed(d), h.seq, row.origin, row.resource, row.control).Scan(&first)
	if err != nil {
		return err
	}
	if row.is(failed) && !row.is(excepted) {
		h.meet(row.owner, row.control, first, -1)
	}
	if first > 0 && !d.Excepted() {
		h.meet(v.Owner, row.control, first, 1)
	}
	return h.flushMany(ctx)
}

// unnamed moves what is open and not in the segment: it passed, it is gone, it
// could not be told, or it was not asked for.
func (h *history) unnamed(ctx context.Context, row openRow) error {
	h.open.pop()
	scope, source := h.rec.Run.Scope, audit.SourceOf(row.origin)
	c, selected := h.controls[row.control]
	if !scope.Whole() && (!selected || !scope.Judges(row.origin, row.resource)) {
		return nil
	}
	var typ string
	if err := h.typ.QueryRowContext(ctx, row.origin, row.resource, row.control).Scan(&typ); err != nil {
		return err
	}
	s, collected := h.snapshots[row.origin]
	if !selected || !collected || !c.AppliesToType(source, typ) {
		return h.unconfirmed(ctx, row)
	}
	there, err := h.documents.hold(ctx, h.rec.Vault, s, row.resource)
	switch {
	case err != nil:
		return err
	case there:
		return h.end(ctx, row, passed(row))
	case s.Lacks(typ, row.resource):
		return h.end(ctx, row, audit.Gone)
	}
	return h.unconfirmed(ctx, row)
}

func passed(row openRow) audit.Closing {
	if row.is(failed) {
		return audit.Fixed
	}
	return audit.Cleared
}

func (h *history) end(ctx context.Context, row openRow, how audit.Closing) error {
	_, err := h.close.ExecContext(ctx, h.seq, how, row.origin, row.resource, row.control)
	return err
}

// unconfirmed keeps open what could not be told, and since when. Until then
// every run of everything saw it, the one before this too.
func (h *history) unconfirmed(ctx context.Context, row openRow) error {
	if row.is(lost) {
		return nil
	}
	_, err := h.lose.ExecContext(ctx, h.seq, h.before, row.origin, row.resource, row.control)
	return err
}
