package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

// vaults are read as one.
type vaults []audit.Vault

func (v vaults) Put(context.Context, io.Reader) (string, error) { return "", errors.New("read only") }

func (v vaults) PutLines(context.Context, io.Reader, string) (string, error) {
	return "", errors.New("read only")
}

func (v vaults) Open(ctx context.Context, digest string) (rc io.ReadCloser, err error) {
	for _, each := range v {
		if rc, err = each.Open(ctx, digest); err == nil {
			return rc, nil
		}
	}
	return nil, err
}

func TestDecision(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	var vault vaults
	keep := func(name string, verdicts ...audit.Verdict) audit.Run {
		rec := audittest.Ran(t, name, verdicts...)
		vault = append(vault, rec.Vault)
		return record(t, l, rec)
	}
	open := func(_ context.Context, run audit.Run) (audit.Record, error) {
		return audit.Record{Run: run, Vault: vault}, nil
	}
	find := func(prefix string) (audit.Found, audit.Record, error) { return l.Decision(t.Context(), open, prefix) }
	d := decision("NET-001", "aws/1/x/T/a", audit.Fail)
	keep("z", verdict("aws/1/x/T/a", d))
	latest := keep("a", verdict("aws/1/x/T/a", d))
	got, rec, err := find(d.ID)
	if err != nil || got.Run != latest.ID || rec.Run.ID != latest.ID || got.ID != d.ID || got.Resource != "aws/1/x/T/a" {
		t.Errorf("Decision() = %+v of run %s, %v; want it of the latest, %s", got, rec.Run.ID, err, latest.ID)
	}
	var twin audit.Decision // whose id begins likewise
	var resource string
	for i := 0; twin.ID == ""; i++ {
		resource = fmt.Sprint("aws/1/x/T/b", i)
		if e := decision("NET-001", resource, audit.Fail); e.ID[0] == d.ID[0] && e.ID[1] != d.ID[1] {
			twin = e
		}
	}
	keep("b", verdict(resource, twin))
	if got, _, err := find(d.ID[:1]); err != nil || got.ID != twin.ID {
		t.Errorf("Decision(%q) = %s, %v; want that of the latest run, %s", d.ID[:1], got.ID, err, twin.ID)
	}
	if got, _, err := find(d.ID[:2]); err != nil || got.ID != d.ID {
		t.Errorf("Decision(%q) = %s, %v; want that of an earlier run, %s", d.ID[:2], got.ID, err, d.ID)
	}
	both := keep("c", verdict("aws/1/x/T/a", d), verdict(resource, twin))
	var ambiguous *ledger.AmbiguousError
	if _, _, err := find(d.ID[:1]); !errors.As(err, &ambiguous) || len(ambiguous.Of) != 2 || ambiguous.Run != both.ID {
		t.Errorf("Decision(%q) = %v, want it ambiguous in run %s", d.ID[:1], err, both.ID)
	}
	var missing *ledger.NotFoundError
	if _, _, err := find(decision("STO-001", "aws/1/x/T/a", audit.Pass).ID); !errors.As(err, &missing) {
		t.Errorf("Decision() of what nobody decided: %v, want it not found", err)
	}
	if _, _, err := find("xyz"); err == nil || errors.As(err, &missing) {
		t.Errorf("Decision(xyz): %v, want that it is no id", err)
	}
}
