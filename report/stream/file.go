package stream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// File is one to which events are appended, one a line. It may be moved away
// between runs, by logrotate for example: then a new one is begun.
type File struct {
	Path string
}

type file struct{ path string }

func newFile(cfg File) (target, error) {
	if cfg.Path == "" {
		return nil, errors.New("file: path is required")
	}
	return file{cfg.Path}, nil
}

// place is a file and the length up to which its content is settled.
type place struct {
	Inode uint64 `json:"inode"`
	Size  int64  `json:"size"`
}

// appending is a file while events are appended.
type appending struct {
	f    *os.File
	at   place
	line bytes.Buffer
}

// start cuts off what a killed session of the same run left behind what it had
// noted. What another run's has appended since stays: then events come again.
func (t file) start(_ context.Context, _, run string, position json.RawMessage) (session, error) {
	if err := os.MkdirAll(filepath.Dir(t.path), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of %s: %w", t.path, err)
	}
	f, err := os.OpenFile(t.path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: expected a file, or nothing there yet", err)
	}
	a, err := settled(f, run, position)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", t.path, err), f.Close())
	}
	return a, nil
}

func settled(f *os.File, run string, position json.RawMessage) (*appending, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	a := &appending{f: f, at: place{Size: info.Size()}}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		a.at.Inode = s.Ino
	}
	if len(position) > 0 {
		var before place
		if err := json.Unmarshal(position, &before); err != nil {
			return nil, fmt.Errorf("note of the try before: %w", err)
		}
		if before.Inode == a.at.Inode && before.Size < a.at.Size {
			if err := a.cut(before.Size, run); err != nil {
				return nil, err
			}
		}
	}
	if err := a.endLine(); err != nil {
		return nil, err
	}
	_, err = f.Seek(a.at.Size, io.SeekStart)
	return a, err
}

// cut cuts the file back to a size, if all behind it is of the run.
func (a *appending) cut(size int64, run string) error {
	r := bufio.NewReader(io.NewSectionReader(a.f, size, a.at.Size-size))
	for {
		line, err := r.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF): // half a line, or nothing: a write that was cut
			if err := a.f.Truncate(size); err != nil {
				return err
			}
			a.at.Size = size
			return nil
		case err != nil:
			return err
		}
		if !of(run, line) {
			return nil
		}
	}
}

// of tells whether a line is an event of a run.
func of(run string, line []byte) bool {
	var l logged
	err := json.Unmarshal(line, &l)
	return err == nil && l.Custom["crosscheck"].Run == run
}

// endLine ends the half line that a killed session of another run left.
func (a *appending) endLine() error {
	if a.at.Size == 0 {
		return nil
	}
	last := make([]byte, 1)
	if _, err := a.f.ReadAt(last, a.at.Size-1); err != nil {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	if _, err := a.f.WriteAt([]byte("\n"), a.at.Size); err != nil {
		return err
	}
	a.at.Size++
	return nil
}

func (a *appending) send(_ context.Context, b batch) ([]audit.Rejection, error) {
	a.line.Reset()
	for _, e := range b.events {
		a.line.Write(e.line)
		a.line.WriteByte('\n')
	}
	if _, err := a.f.Write(a.line.Bytes()); err != nil {
		return nil, err
	}
	if err := a.f.Sync(); err != nil {
		return nil, err
	}
	a.at.Size += int64(a.line.Len())
	return nil, nil
}

func (a *appending) position() any { return a.at }

func (a *appending) close() error { return a.f.Close() }
