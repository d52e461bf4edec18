// Package audittest holds the conformance suites that every collector, vault,
// ledger and sink passes, and the small in-memory pieces that tests share.
package audittest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Moment is the time at which tests happen.
var Moment = time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)

// Vault keeps content in memory.
type Vault struct {
	mu      sync.Mutex
	objects map[string][]byte
}

// Put implements audit.Vault.
func (v *Vault) Put(_ context.Context, r io.Reader) (string, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.objects == nil {
		v.objects = map[string][]byte{}
	}
	digest := audit.Digest(b)
	v.objects[digest] = b
	return digest, nil
}

// PutLines implements audit.Vault.
func (v *Vault) PutLines(ctx context.Context, r io.Reader, _ string) (string, error) {
	return v.Put(ctx, r)
}

// Open implements audit.Vault.
func (v *Vault) Open(_ context.Context, digest string) (io.ReadCloser, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, ok := v.objects[digest]
	if !ok {
		return nil, fmt.Errorf("vault has no object %s", digest)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// Writer keeps what a collector writes, in memory.
type Writer struct {
	mu        sync.Mutex
	Resources []audit.Resource
	Lines     [][]byte
}

// Write implements audit.SnapshotWriter.
func (w *Writer) Write(r audit.Resource) error {
	line, err := r.Line()
	if err != nil {
		return err
	}
	if r, err = r.Values(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Resources = append(w.Resources, r)
	w.Lines = append(w.Lines, line)
	return nil
}

// Sort orders what was written by id.
func (w *Writer) Sort() {
	slices.SortFunc(w.Resources, func(a, b audit.Resource) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(w.Lines, bytes.Compare)
}

// Find returns the resource with an id, or fails the test.
func (w *Writer) Find(t testing.TB, id string) audit.Resource {
	t.Helper()
	for _, r := range w.Resources {
		if r.ID == id {
			return r
		}
	}
	t.Fatalf("no resource %q was written", id)
	return audit.Resource{}
}

// Collector checks what every collector promises, on one that can read all it
// should: valid documents, ids that are unique, counts that agree, and twice
// the same bytes. It returns what each origin gave.
func Collector(t *testing.T, c audit.Collector) map[string]*Writer {
	t.Helper()
	out := map[string]*Writer{}
	if len(c.Origins()) == 0 {
		t.Fatal("the collector has no origin")
	}
	for _, origin := range c.Origins() {
		first, col := collect(t, c, origin)
		again, _ := collect(t, c, origin)
		if !slices.EqualFunc(first.Lines, again.Lines, bytes.Equal) {
			t.Errorf("%s: collected twice, the documents differ", origin)
		}
		documents := map[string]int64{}
		for i, r := range first.Resources {
			documents[r.Type]++
			if i > 0 && first.Resources[i-1].ID == r.ID {
				t.Errorf("id %q is not unique", r.ID)
			}
			if r.Origin != origin {
				t.Errorf("resource %q is of origin %q, want %q", r.ID, r.Origin, origin)
			}
			if _, err := audit.ParseResource(first.Lines[i]); err != nil {
				t.Errorf("resource %q: %v", r.ID, err)
			}
		}
		listed := map[string]bool{}
		for _, tc := range col.Types {
			if listed[tc.Type] {
				t.Errorf("%s: type %s is counted twice", origin, tc.Type)
			}
			listed[tc.Type] = true
			if tc.Listed != documents[tc.Type] {
				t.Errorf("%s: %d of %s listed, %d documents", origin, tc.Listed, tc.Type, documents[tc.Type])
			}
			if tc.Completeness == "" {
				t.Errorf("%s: type %s says nothing of its completeness", origin, tc.Type)
			}
		}
		for typ := range documents {
			if !listed[typ] {
				t.Errorf("%s: documents of type %s, which is not counted", origin, typ)
			}
		}
		if col.Identity == "" || len(col.Calls) == 0 {
			t.Errorf("%s: identity %q and %d calls: an auditor must see who read what", origin, col.Identity, len(col.Calls))
		}
		out[origin] = first
	}
	return out
}

func collect(t *testing.T, c audit.Collector, origin string) (*Writer, audit.Collection) {
	t.Helper()
	w := &Writer{}
	col, _, err := Timed(t, c, audit.Request{Origin: origin}, w)
	if err != nil {
		t.Fatalf("Collect(%s): %v", origin, err)
	}
	w.Sort()
	return w, col
}

// VaultSuite checks what every vault promises.
func VaultSuite(t *testing.T, v audit.Vault) {
	t.Helper()
	for name, content := range map[string]string{"empty": "", "small": "hello\n", "large": string(bytes.Repeat([]byte("crosscheck "), 1<<20))} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second Put of the same content changes nothing
				digest, err := v.Put(t.Context(), bytes.NewReader([]byte(content)))
				if err != nil {
					t.Fatal(err)
				}
				if want := audit.Digest([]byte(content)); digest != want {
					t.Fatalf("Put() = %s, want %s", digest, want)
				}
				r, err := v.Open(t.Context(), digest)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r)
				if err := errors.Join(err, r.Close()); err != nil || string(got) != content {
					t.Fatalf("read %d bytes and %v, want %d bytes", len(got), err, len(content))
				}
			}
		})
	}
	t.Run("unknown digest", func(t *testing.T) {
		if _, err := v.Open(t.Context(), audit.Digest([]byte("never stored"))); err == nil {
			t.Error("Open() of a digest that was never stored succeeded")
		}
	})
	t.Run("hostile digest", func(t *testing.T) {
		if _, err := v.Open(t.Context(), "../../../../etc/passwd"); err == nil {
			t.Error("Open() of a path succeeded")
		}
	})
	t.Run("failing reader", func(t *testing.T) {
		if _, err := v.Put(t.Context(), io.MultiReader(bytes.NewReader([]byte("half")), broken{})); !errors.Is(err, errBroken) {
			t.Errorf("Put() of a reader that fails: %v, want its error", err)
		}
		if _, err := v.Open(t.Context(), audit.Digest([]byte("half"))); err == nil {
			t.Error("half an object was stored")
		}
	})
	linesSuite(t, v)
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

// Log discards what is logged.
func Log() *slog.Logger { return slog.New(slog.DiscardHandler) }
