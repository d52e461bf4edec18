package main

import (
	"errors"
	"os"
	"runtime/pprof"
)

// profileTo begins a profile of this process's CPU time, which stop writes to a
// file; without a path there is none. What the reference takes is in it too: in
// pprof, -focus Decide shows what deciding takes.
func profileTo(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, nil
}
