package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// counts is the condition on spells that an owner has met: they failed, and are
// not accepted.
const counts = `owner <> '' AND failed IS NOT NULL AND NOT excepted`

// meeting counts for each owner, control and run the spells that count which failed
// anew then. It is kept with each run, so that no query has to look at all spells;
// an index of them would cost as much to keep as the spells themselves.
const meeting = `CREATE TABLE met (
		owner   TEXT NOT NULL,
		control TEXT NOT NULL,
		failed  INTEGER NOT NULL,
		n       INTEGER NOT NULL,
		PRIMARY KEY (owner, control, failed)
	) STRICT, WITHOUT ROWID;
	CREATE INDEX met_by_run ON met (failed);
	INSERT INTO met (owner, control, failed, n) ` + recounted + `;`

// recounted is what met has to say.
const recounted = `SELECT owner, control, failed, count(*) FROM violations WHERE ` + counts + ` GROUP BY owner, control, failed`

// metAgain takes the number of a run, the fewest times that are wanted, and since
// when an owner may not have been nudged.
const metAgain = `WITH anew AS MATERIALIZED (
		SELECT owner, control FROM met AS v WHERE failed = ?1 AND NOT EXISTS (SELECT 1 FROM nudges WHERE ` + muting + `)
	)
	SELECT anew.owner, anew.control, count(*) AS times
	FROM anew CROSS JOIN met ON met.owner = anew.owner AND met.control = anew.control AND met.failed <= ?1
	GROUP BY anew.owner, anew.control HAVING times >= ?2 ORDER BY anew.owner, anew.control`

// maxHistory is how much of an owner's history a nudge tells.
const maxHistory = 20

// Met gives who met which control in a run, and had met it before: so many times
// at least in all. A time is a run in which it failed anew on something of
// theirs, on however many resources. Of the control only the id is set. It is
// as of the run, whatever came after, but for exceptions and owners, which are
// as last judged. Left out are those who were ever nudged about the control, or
// about anything within a time before the run's end. A run that moves no history
// gives nothing.
func (l *Ledger) Met(ctx context.Context, run audit.Run, times int, within time.Duration) ([]audit.Nudge, error) {
	if run.Simulated || run.Trigger == audit.Gate {
		return nil, nil
	}
	var seq int64
	err := l.db.QueryRowContext(ctx, `SELECT seq FROM runs WHERE id = ?`, run.ID).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &NotFoundError{Kind: "run", ID: run.ID}
	}
	if err != nil {
		return nil, err
	}
	rows, err := l.db.QueryContext(ctx, metAgain, seq, times, audit.Stamp(run.Ended.Add(-within)))
	list, err := collect(rows, err, func(rows *sql.Rows) (n audit.Nudge, err error) {
		return n, rows.Scan(&n.Owner, &n.Control.ID, &n.Times)
	})
	if err != nil {
		return nil, fmt.Errorf("owners who met a control again in run %s: %w", run.ID, err)
	}
	return list, nil
}

// muting is the condition on nudges that mute one of v.owner about v.control; ?3
// is since when none of the owner may be.
const muting = `nudges.owner = v.owner AND (nudges.control = v.control OR nudges.at > ?3)`

// MetBefore is an owner's history of a control up to a run, the latest first,
// twenty spells at most.
func (l *Ledger) MetBefore(ctx context.Context, run audit.Run, owner, control string) ([]audit.Spell, error) {
	rows, err := l.db.QueryContext(ctx, `WITH this AS (SELECT seq FROM runs WHERE id = ?1)
		SELECT control, resource, name, type, origin, owner, outcome, excepted, opened, how,
			o.id, o.as_of, f.id, f.as_of, s.id, s.as_of, l.id, l.as_of, c.id, c.as_of, coalesce(json_extract(c.doc, '$.repair'), '')
		FROM (SELECT control, resource, name, type, origin, owner, outcome, excepted, opened, failed, seen, lost,
				CASE WHEN closed <= (SELECT seq FROM this) THEN closed END AS closed, CASE WHEN closed <= (SELECT seq FROM this) THEN how END AS how
			FROM violations WHERE owner = ?2 AND control = ?3 AND failed <= (SELECT seq FROM this) AND `+counts+`
			ORDER BY failed DESC, origin, resource LIMIT ?4) AS v
		JOIN runs AS o ON o.seq = v.opened
		LEFT JOIN runs AS f ON f.seq = v.failed
		LEFT JOIN runs AS s ON s.seq = v.seen AND v.lost IS NOT NULL
		LEFT JOIN runs AS l ON l.seq = v.lost
		LEFT JOIN runs AS c ON c.seq = v.closed
		ORDER BY v.failed DESC, origin, resource`, run.ID, owner, control, maxHistory)
	list, err := collect(rows, err, scanSpell)
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", control, err)
	}
	return spellsOf(list), nil
}

// Nudge owes a nudge to sinks, and notes it, both or neither. It does nothing
// where the owner was ever nudged about the control, or about anything within a
// time before; then queued is false.
func (l *Ledger) Nudge(ctx context.Context, a audit.Announcement, within time.Duration, sinks []string) (queued bool, err error) {
	if a.Nudge == nil || len(sinks) == 0 {
		return false, errors.New("a nudge needs its content, and a sink to tell it")
	}
	n := *a.Nudge
	err = l.write(ctx, func(tx *sql.Tx) error {
		queued = false // write may try again
		var muted bool
		err := tx.QueryRowContext(ctx, `WITH v AS (SELECT ?1 AS owner, ?2 AS control) SELECT EXISTS (SELECT 1 FROM v, nudges WHERE `+muting+`)`,
			n.Owner, n.Control.ID, audit.Stamp(a.At.Add(-within))).Scan(&muted)
		if err != nil || muted {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO nudges (owner, control, at, times) VALUES (?, ?, ?, ?)`, n.Owner, n.Control.ID, audit.Stamp(a.At), n.Times); err != nil {
			return err
		}
		queued = true
		return announce(ctx, tx, a, sinks)
	})
	if err != nil {
		return false, fmt.Errorf("nudging: %w", err)
	}
	return queued, nil
}

// Recurrence says how often an owner met a control again.
type Recurrence struct {
	Owner   string    `json:"owner"`
	Control string    `json:"control"`
	Spells  int64     `json:"spells"`          // that failed and are not accepted
	Again   int64     `json:"again"`           // of them those that came in a later run than the first
	Nudged  time.Time `json:"nudged,omitzero"` // when the owner was told
	Since   int64     `json:"since"`           // of Again those that came after that
}

// recurrences reads all of met.
const recurrences = `WITH at AS (SELECT owner, control, min(at) AS at FROM nudges GROUP BY owner, control),
		told AS MATERIALIZED (SELECT owner, control, at, (SELECT coalesce(max(seq), 0) FROM runs WHERE ended <= at) AS seq FROM at),
		ranked AS (SELECT *, min(failed) OVER (PARTITION BY owner, control) AS first FROM met)
	SELECT r.owner, r.control, sum(n), coalesce(sum(n) FILTER (WHERE failed > first), 0), coalesce(told.at, ''), coalesce(sum(n) FILTER (WHERE failed > first AND failed > told.seq), 0)
	FROM ranked AS r LEFT JOIN told ON told.owner = r.owner AND told.control = r.control
	GROUP BY r.owner, r.control ORDER BY r.owner, r.control`

// Recurrences are those of all owners, by owner and control. The recurrence
// rate is the sum of Again over the sum of Spells. It reads what every
// owner met in every run: once a run, not once a question.
func (l *Ledger) Recurrences(ctx context.Context) ([]Recurrence, error) {
	rows, err := l.db.QueryContext(ctx, recurrences)
	return collect(rows, err, func(rows *sql.Rows) (r Recurrence, err error) {
		var at string
		if err := rows.Scan(&r.Owner, &r.Control, &r.Spells, &r.Again, &at, &r.Since); err != nil || at == "" {
			return r, err
		}
		r.Nudged, err = time.Parse(time.RFC3339, at)
		return r, err
	})
}

// Nudges counts those that were ever owed.
func (l *Ledger) Nudges(ctx context.Context) (n int64, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT count(*) FROM nudges`).Scan(&n)
	return n, err
}

// meets is an owner who met a control in a run.
type meets struct {
	owner, control string
	failed         int64
}

// mostMet are held before they are written.
const mostMet = 10_000

// meet notes that an owner has so many spells more that count.
func (h *history) meet(owner, control string, failed, n int64) {
	if owner != "" {
		h.met[meets{owner, control, failed}] += n
	}
}

// flushMany writes what was noted, once that is much.
func (h *history) flushMany(ctx context.Context) error {
	if len(h.met) < mostMet {
		return nil
	}
	return h.flush(ctx)
}

// flush writes what was noted. Where nothing is left there is no row.
func (h *history) flush(ctx context.Context) error {
	for _, m := range slices.SortedFunc(maps.Keys(h.met), meets.compare) {
		n := h.met[m]
		if n == 0 {
			continue
		}
		_, err := h.count.ExecContext(ctx, m.owner, m.control, m.failed, n)
		if err == nil && n < 0 {
			_, err = h.tx.ExecContext(ctx, `DELETE FROM met WHERE owner = ? AND control = ? AND failed = ? AND n = 0`, m.owner, m.control, m.failed)
		}
		if err != nil {
			return fmt.Errorf("what %q met of %s: %w", m.owner, m.control, err)
		}
	}
	clear(h.met)
	return nil
}

func (m meets) compare(x meets) int {
	return cmp.Or(cmp.Compare(m.owner, x.owner), cmp.Compare(m.control, x.control), cmp.Compare(m.failed, x.failed))
}
