package evaluate

import (
	"bytes"
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// batchBytes is how much of a snapshot one worker takes at a time.
const batchBytes = 256 << 10

type batch[T any] struct {
	lines [][]byte
	out   []T
	done  chan struct{}
}

// ordered has the lines of a snapshot worked on in parallel, a batch at a time,
// and sends what came of them in the order of the lines. begin makes what one
// worker works with. At most a few batches for each worker are in memory.
func ordered[T any](ctx context.Context, workers int, vault audit.Vault, snap audit.Snapshot,
	begin func() func(context.Context, [][]byte) ([]T, error), send func([]T) error,
) error {
	g, ctx := errgroup.WithContext(ctx)
	todo, inOrder := make(chan *batch[T]), make(chan *batch[T], 2*workers)
	g.Go(func() error {
		defer close(inOrder)
		defer close(todo)
		return batches(ctx, vault, snap.Digest, func(lines [][]byte) error {
			b := &batch[T]{lines: lines, done: make(chan struct{})}
			for _, c := range []chan *batch[T]{inOrder, todo} {
				select {
				case c <- b:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	for range workers {
		g.Go(func() (err error) {
			work := begin()
			for b := range todo {
				if b.out, err = work(ctx, b.lines); err != nil {
					return err
				}
				b.lines = nil
				close(b.done)
			}
			return nil
		})
	}
	g.Go(func() error {
		for b := range inOrder {
			select {
			case <-b.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := send(b.out); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// batches cuts a snapshot into batches of about batchBytes.
func batches(ctx context.Context, vault audit.Vault, digest string, yield func([][]byte) error) error {
	var lines [][]byte
	size := 0
	err := audit.Documents(ctx, vault, digest, func(line []byte) error {
		lines = append(lines, bytes.Clone(line))
		if size += len(line); size < batchBytes {
			return nil
		}
		full := lines
		lines, size = nil, 0
		return yield(full)
	})
	if err != nil || len(lines) == 0 {
		return err
	}
	return yield(lines)
}
