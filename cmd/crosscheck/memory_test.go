package main

import (
	"runtime"
	"testing"
	"time"
)

func TestAfterCollections(t *testing.T) {
	t.Parallel()
	told := make(chan struct{}, 100)
	afterCollections(func() { told <- struct{}{} })
	for range 3 {
		runtime.GC()
		select {
		case <-told:
		case <-time.After(time.Minute):
			t.Fatal("a collection was not told")
		}
	}
}
