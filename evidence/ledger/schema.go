package ledger

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations are applied in order, each once; their number is the schema's
// version. What has been released is never changed, only added to.
var migrations = []string{
	`CREATE TABLE attempts (
		id      TEXT PRIMARY KEY,
		started TEXT NOT NULL,
		ended   TEXT,
		status  TEXT NOT NULL,
		pid     INTEGER NOT NULL,
		run     TEXT REFERENCES runs (id)
	) STRICT;
	CREATE TABLE runs (
		seq       INTEGER PRIMARY KEY,
		id        TEXT NOT NULL UNIQUE,
		status    TEXT NOT NULL,
		trigger   TEXT NOT NULL,
		whole     INTEGER NOT NULL,
		simulated INTEGER NOT NULL,
		as_of     TEXT NOT NULL,
		started   TEXT NOT NULL,
		ended     TEXT NOT NULL,
		doc       TEXT NOT NULL
	) STRICT;
	CREATE TABLE decisions (
		run            TEXT NOT NULL REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED,
		id             TEXT NOT NULL,
		control        TEXT NOT NULL,
		control_digest TEXT NOT NULL,
		resource       TEXT NOT NULL,
		name           TEXT NOT NULL,
		type           TEXT NOT NULL,
		origin         TEXT NOT NULL,
		owner          TEXT NOT NULL,
		outcome        TEXT NOT NULL,
		excepted       INTEGER NOT NULL,
		exception      TEXT NOT NULL,
		input_digest   TEXT NOT NULL,
		slice_digest   TEXT NOT NULL,
		violations     TEXT,
		reasons        TEXT,
		PRIMARY KEY (run, control, resource)
	) STRICT, WITHOUT ROWID;
	CREATE INDEX decisions_by_id ON decisions (id);
	CREATE TABLE deliveries (
		seq    INTEGER PRIMARY KEY,
		run    TEXT NOT NULL REFERENCES runs (id),
		sink   TEXT NOT NULL,
		status TEXT NOT NULL,
		at     TEXT NOT NULL,
		detail TEXT NOT NULL
	) STRICT;
	CREATE INDEX deliveries_by_run ON deliveries (run);
	CREATE TABLE packs (
		run  TEXT PRIMARY KEY REFERENCES runs (id),
		pack TEXT NOT NULL,
		path TEXT NOT NULL
	) STRICT;`,
	violations,
	loop,
	repairing,
	meeting,
}

// loop replaces the log of tries by an outbox: one row for each run or
// announcement that a sink is owed, and keeps repairs, nudges, and what was due.
const loop = `ALTER TABLE deliveries RENAME TO tries;
	CREATE TABLE deliveries (
		seq     INTEGER PRIMARY KEY,
		sink    TEXT NOT NULL,
		kind    TEXT NOT NULL,
		subject TEXT NOT NULL, -- a run's id, or an announcement's key
		doc     TEXT,          -- the announcement
		status  TEXT NOT NULL,
		queued  TEXT NOT NULL,
		tries   INTEGER NOT NULL,
		last    TEXT,
		next    TEXT NOT NULL,
		detail  TEXT NOT NULL,
		note    TEXT NOT NULL,
		UNIQUE (sink, kind, subject)
	) STRICT;
	CREATE INDEX deliveries_by_subject ON deliveries (subject);
	CREATE INDEX deliveries_waiting ON deliveries (sink, next) WHERE status = 'waiting';
	CREATE TABLE rejections (
		delivery INTEGER NOT NULL REFERENCES deliveries (seq),
		id       TEXT NOT NULL,
		reason   TEXT NOT NULL,
		at       TEXT NOT NULL,
		PRIMARY KEY (delivery, id)
	) STRICT, WITHOUT ROWID;
	INSERT INTO deliveries (sink, kind, subject, status, queued, tries, last, next, detail, note)
		SELECT sink, 'run', run, CASE status WHEN 'delivered' THEN 'delivered' ELSE 'refused' END, at, n, at, at, detail, ''
		FROM (SELECT *, count(*) OVER (PARTITION BY run, sink) AS n, row_number() OVER (PARTITION BY run, sink ORDER BY seq DESC) AS back FROM tries)
		WHERE back = 1 ORDER BY seq;
	DROP TABLE tries;
	CREATE TABLE repairs (
		seq      INTEGER PRIMARY KEY,
		id       TEXT NOT NULL UNIQUE,
		control  TEXT NOT NULL,
		resource TEXT NOT NULL,
		decision TEXT NOT NULL,
		runbook  TEXT NOT NULL,
		state    TEXT NOT NULL,
		updated  TEXT NOT NULL,
		doc      TEXT NOT NULL
	) STRICT;
	CREATE INDEX repairs_by_resource ON repairs (resource, control);
	CREATE INDEX repairs_by_state ON repairs (state);
	CREATE TABLE nudges (
		owner   TEXT NOT NULL,
		control TEXT NOT NULL,
		at      TEXT NOT NULL,
		times   INTEGER NOT NULL,
		PRIMARY KEY (owner, control, at)
	) STRICT, WITHOUT ROWID;
	CREATE TABLE occurrences (
		audit   TEXT NOT NULL,
		due     TEXT NOT NULL,
		status  TEXT NOT NULL, -- audit.DueStatus
		run     TEXT REFERENCES runs (id),
		tries   INTEGER NOT NULL,
		attempt TEXT NOT NULL,
		at      TEXT NOT NULL,
		detail  TEXT NOT NULL,
		PRIMARY KEY (audit, due)
	) STRICT, WITHOUT ROWID;
	CREATE TABLE switches (
		name  TEXT PRIMARY KEY,
		value TEXT NOT NULL,
		by    TEXT NOT NULL,
		at    TEXT NOT NULL
	) STRICT, WITHOUT ROWID;`

// violations replaces the decisions of every run, which their verdict segments
// hold, by the spells in which they did not pass. Numbers of runs are runs.seq.
// The key is the order of a segment. Measured with 700,000 open and 2,600,000
// closed spells this takes half the room and half the time of a table by
// number with an index of what is open.
//
// What is open in the last complete run of everything is taken over, since when
// it is open too. What had ended before is not.
const violations = `CREATE TABLE violations (
		origin   TEXT NOT NULL,
		resource TEXT NOT NULL,
		control  TEXT NOT NULL,
		opened   INTEGER NOT NULL REFERENCES runs (seq),
		type     TEXT NOT NULL,
		name     TEXT NOT NULL,
		owner    TEXT NOT NULL,
		outcome  TEXT NOT NULL,
		excepted INTEGER NOT NULL,
		failed   INTEGER, -- first failed
		seen     INTEGER, -- last seen, where it is known to be another run than the latest
		lost     INTEGER, -- first not confirmed since
		closed   INTEGER REFERENCES runs (seq),
		how      TEXT,
		PRIMARY KEY (origin, resource, control, opened)
	) STRICT, WITHOUT ROWID;
	WITH moved AS (
		SELECT id, seq, row_number() OVER (ORDER BY seq) AS n FROM runs
		WHERE status = 'complete' AND whole AND NOT simulated AND trigger <> 'gate'
	), decided AS (
		SELECT control, resource, outcome, seq, n,
			n - row_number() OVER (PARTITION BY control, resource ORDER BY n) AS spell
		FROM decisions JOIN moved ON moved.id = decisions.run
	), spells AS (
		SELECT control, resource, min(seq) AS opened, min(CASE WHEN outcome = 'fail' THEN seq END) AS failed, max(n) AS n
		FROM decided GROUP BY control, resource, spell
	)
	INSERT INTO violations (origin, resource, control, opened, type, name, owner, outcome, excepted, failed)
		SELECT d.origin, d.resource, d.control, spells.opened, d.type, d.name, d.owner, d.outcome, d.excepted, spells.failed
		FROM (SELECT id, n FROM moved ORDER BY n DESC LIMIT 1) AS last
		JOIN spells ON spells.n = last.n
		JOIN decisions AS d ON d.run = last.id AND d.control = spells.control AND d.resource = spells.resource;
	DROP TABLE decisions;`

func (l *Ledger) migrate(ctx context.Context) error {
	if version, err := l.version(ctx); err == nil && version == len(migrations) {
		return nil // the usual case, which needs no write
	}
	return l.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY) STRICT`)
		if err != nil {
			return fmt.Errorf("%w: if this is no ledger of crosscheck, move it away or set another data_dir", err)
		}
		var version int
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM migrations`).Scan(&version); err != nil {
			return err
		}
		if version > len(migrations) {
			return fmt.Errorf("its schema is version %d, and this crosscheck knows %d: use a newer one", version, len(migrations))
		}
		for i := version; i < len(migrations); i++ {
			if _, err := tx.ExecContext(ctx, migrations[i]); err != nil {
				return fmt.Errorf("migration %d: %w", i+1, err)
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO migrations (version) VALUES (?)`, i+1); err != nil {
				return fmt.Errorf("migration %d: %w", i+1, err)
			}
		}
		return nil
	})
}

func (l *Ledger) version(ctx context.Context) (version int, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM migrations`).Scan(&version)
	return version, err
}
