// Package ledger is the durable record of runs, of what did not pass from when to
// when, and of deliveries, in one SQLite file. Decisions are not in it: they are
// in the verdict segment of their run, in the vault.
package ledger

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"modernc.org/sqlite" // also the "sqlite" driver
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Ledger implements audit.Ledger and reads back what was recorded. It may be
// shared by goroutines. Any number of processes may read one ledger; one audits.
type Ledger struct {
	db   *sql.DB
	path string

	mu   sync.Mutex
	lock *os.File // held from Begin until Close
}

// ownFolder refuses a folder in which anybody may replace what is on record.
func ownFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("data directory %s may be written by anyone: chmod 700 it, or choose another", dir)
	}
	return nil
}

// Open opens the ledger at path, made if it is not there, and brings its schema
// up to date. It takes no lock: only Begin does.
func Open(ctx context.Context, path string) (*Ledger, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(abs), 0o700); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if err := ownFolder(filepath.Dir(abs)); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(abs, os.O_CREATE|os.O_RDWR, 0o600) // SQLite's other files get the same mode
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(abs))
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	l := &Ledger{db: db, path: abs}
	if err := l.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("ledger %s: %w", path, err), db.Close())
	}
	return l, nil
}

func dsn(path string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "trusted_schema(0)",
	}}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String()
}

// Close releases the ledger, and the lock if Begin took it.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.db.Close()
	if l.lock != nil {
		err = errors.Join(err, l.lock.Close())
		l.lock = nil
	}
	return err
}

// Begin implements audit.Ledger. While another process audits with the same
// data directory it fails, naming that process.
func (l *Ledger) Begin(ctx context.Context, started time.Time) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lock == nil {
		f, err := takeLock(filepath.Join(filepath.Dir(l.path), "audit.lock"))
		if err != nil {
			return "", err
		}
		l.lock = f
	}
	attempt := rand.Text()
	err := l.write(ctx, func(tx *sql.Tx) error {
		// Whoever began and did not finish is gone: the lock is ours.
		_, err := tx.ExecContext(ctx, `UPDATE attempts SET status = ?, ended = ? WHERE status = ?`,
			audit.Interrupted, audit.Stamp(started), audit.Running)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO attempts (id, started, status, pid) VALUES (?, ?, ?, ?)`,
			attempt, audit.Stamp(started), audit.Running, os.Getpid())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("beginning an audit: %w", err)
	}
	return attempt, nil
}

// Complete implements audit.Ledger.
func (l *Ledger) Complete(ctx context.Context, attempt string, rec audit.Record) (audit.Run, error) {
	run := rec.Run
	if run.Status != audit.Complete && run.Status != audit.Incomplete {
		return audit.Run{}, fmt.Errorf("a run that is %q cannot be recorded", run.Status)
	}
	err := l.write(ctx, func(tx *sql.Tx) error {
		var status audit.Status
		err := tx.QueryRowContext(ctx, `SELECT status FROM attempts WHERE id = ?`, attempt).Scan(&status)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return errors.New("the attempt is unknown: begin it first")
		case err != nil:
			return err
		case status == audit.Interrupted:
			return errors.New("the attempt was marked interrupted: another audit began meanwhile")
		}
		if old, ok, err := runByID(ctx, tx, run.ID); err != nil {
			return err
		} else if ok {
			run = old
			return endAttempt(ctx, tx, attempt, run)
		}
		last, ok, err := lastComplete(ctx, tx)
		if err != nil {
			return err
		}
		if ok {
			run.Previous = last.ID
		}
		seq, err := insertRun(ctx, tx, run)
		if err != nil {
			return err
		}
		if err := moveHistory(ctx, tx, rec, seq); err != nil {
			return err
		}
		if err := owe(ctx, tx, audit.Delivery{Kind: audit.OfRun, Subject: run.ID, Queued: run.Ended}, "", rec.Owed); err != nil {
			return err
		}
		return endAttempt(ctx, tx, attempt, run)
	})
	return run, err
}

func endAttempt(ctx context.Context, tx *sql.Tx, attempt string, run audit.Run) error {
	_, err := tx.ExecContext(ctx, `UPDATE attempts SET status = ?, ended = ?, run = ? WHERE id = ?`,
		run.Status, audit.Stamp(run.Ended), run.ID, attempt)
	return err
}

func insertRun(ctx context.Context, tx *sql.Tx, run audit.Run) (seq int64, err error) {
	doc, err := audit.Canonical(run)
	if err != nil {
		return 0, err
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO runs (id, status, trigger, whole, simulated, as_of, started, ended, doc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		run.ID, run.Status, run.Trigger, run.Scope.Whole(), run.Simulated, audit.Stamp(run.AsOf), audit.Stamp(run.Started), audit.Stamp(run.Ended), string(doc))
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// LastComplete implements audit.Ledger.
func (l *Ledger) LastComplete(ctx context.Context) (audit.Run, bool, error) {
	return lastComplete(ctx, l.db)
}

// querier is what a transaction and a database have in common.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func lastComplete(ctx context.Context, q querier) (audit.Run, bool, error) {
	return oneRun(q.QueryRowContext(ctx, `SELECT doc FROM runs WHERE status = ? AND whole AND `+moving+` ORDER BY seq DESC LIMIT 1`,
		audit.Complete))
}

func runByID(ctx context.Context, q querier, id string) (audit.Run, bool, error) {
	return oneRun(q.QueryRowContext(ctx, `SELECT doc FROM runs WHERE id = ?`, id))
}

func oneRun(row *sql.Row) (audit.Run, bool, error) {
	var doc string
	switch err := row.Scan(&doc); {
	case errors.Is(err, sql.ErrNoRows):
		return audit.Run{}, false, nil
	case err != nil:
		return audit.Run{}, false, err
	}
	run, err := decodeRun(doc)
	return run, err == nil, err
}

func decodeRun(doc string) (audit.Run, error) {
	var run audit.Run
	if err := json.Unmarshal([]byte(doc), &run); err != nil {
		return audit.Run{}, fmt.Errorf("run on record: %w", err)
	}
	return run, nil
}

// write does all of do, or nothing.
func (l *Ledger) write(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return full(err)
	}
	if err := do(tx); err != nil {
		if rerr := tx.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) { // SQLite may have rolled back by itself
			return errors.Join(full(err), rerr)
		}
		return full(err)
	}
	return full(tx.Commit())
}

// full lets a full disk be told from other failures, as elsewhere: by ENOSPC.
func full(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_FULL {
		return fmt.Errorf("%w: %w", syscall.ENOSPC, err)
	}
	return err
}
