package lookup_test

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/crosscheck-dev/crosscheck/evaluate/lookup"
)

// files hands out the files of an index one by one: one for what is added, one for what is sorted.
func files(t *testing.T, makers ...func() (*os.File, error)) lookup.Config {
	n := 0
	return lookup.Config{Memory: small, Dir: t.TempDir()}.WithFiles(func(string) (*os.File, error) {
		n++
		return makers[n-1]()
	})
}

// TestDiskErrors: a disk that fails ends in an error, at the latest when something is looked up.
func TestDiskErrors(t *testing.T) {
	t.Parallel()
	var sorted *os.File
	good := func() (*os.File, error) { return lookup.Temporary(t.TempDir()) }
	full := func() (*os.File, error) { return os.OpenFile("/dev/full", os.O_RDWR, 0) }
	deaf := func() (*os.File, error) { return os.Open(os.DevNull) }
	dumb := func() (*os.File, error) { return os.OpenFile(os.DevNull, os.O_RDWR, 0) } // takes all, gives nothing
	tests := map[string]struct {
		cfg  lookup.Config
		want error
	}{
		"no such folder":          {lookup.Config{Memory: small, Dir: filepath.Join(t.TempDir(), "absent")}, fs.ErrNotExist},
		"full":                    {files(t, full), syscall.ENOSPC},
		"not writable":            {files(t, deaf), syscall.EBADF},
		"lost what was written":   {files(t, dumb, good), io.ErrUnexpectedEOF},
		"full while it is sorted": {files(t, good, full), syscall.ENOSPC},
		"not made while sorting":  {files(t, good, func() (*os.File, error) { return nil, syscall.EMFILE }), syscall.EMFILE},
		"lost what was sorted":    {files(t, good, dumb), io.ErrUnexpectedEOF},
		"closed behind its back":  {files(t, good, func() (f *os.File, err error) { sorted, err = good(); return sorted, err }), os.ErrClosed},
	}
	entries := randomEntries(rand.New(rand.NewPCG(7, 7)), 2000)
	for label, tt := range tests {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			x := lookup.New(tt.cfg)
			defer func() {
				if err := x.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
					t.Error(err)
				}
			}()
			err := x.Add(entries...)
			if err == nil {
				err = x.Seal()
			} else if again := x.Seal(); !errors.Is(again, tt.want) {
				t.Errorf("Seal() after an error of Add = %v, want that error", again)
			}
			if err != nil {
				if _, again := x.Find("aws", "ip", "k"); again == nil {
					t.Error("what could not be written was looked up without an error")
				}
			}
			if label == "closed behind its back" {
				if err := sorted.Close(); err != nil {
					t.Fatal(err)
				}
			}
			for i := 0; err == nil && i < len(entries); i++ {
				if _, err = x.Find(entries[i].Source, entries[i].Kind, entries[i].Key); err == nil {
					t.Fatal("a look-up that could not read was answered")
				}
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// FuzzDamage: whatever a disk gives back, looking it up ends, and in no panic.
func FuzzDamage(f *testing.F) {
	f.Add(uint16(0), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add(uint16(1), []byte{0, 0, 0, 0})
	f.Add(uint16(40), []byte{0x80})
	f.Add(uint16(4096), make([]byte, 4096))
	entries := randomEntries(rand.New(rand.NewPCG(3, 3)), 300)
	for i := range entries {
		entries[i].Value = entries[i].Value[:min(400, len(entries[i].Value))]
		entries[i].Key += string(make([]byte, 100))
	}
	f.Fuzz(func(t *testing.T, at uint16, damage []byte) {
		var last *os.File
		x := build(t, lookup.Config{Memory: small, Dir: t.TempDir()}.WithFiles(func(dir string) (f *os.File, err error) {
			last, err = lookup.Temporary(dir)
			return last, err
		}), entries, 1)
		if _, err := last.WriteAt(damage, int64(at)); err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if _, err := x.Find(e.Source, e.Kind, e.Key); err != nil && errors.Is(err, io.EOF) {
				t.Errorf("an error that reads like an end: %v", err)
			}
		}
	})
}
