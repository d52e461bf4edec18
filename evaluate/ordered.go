package evaluate

import (
	"bytes"
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// batchBytes is how much of a snapshot one worker takes at a time.
const batchBytes = 256 << 10

type batch struct {
	lines    [][]byte
	verdicts []audit.Verdict
	done     chan struct{}
}

// ordered judges the lines of a snapshot in parallel and sends the verdicts in
// the order of the lines. At most a few batches for each worker are in memory.
func ordered(ctx context.Context, workers int, vault audit.Vault, snap audit.Snapshot,
	judge func(context.Context, []byte) (audit.Verdict, error), send func(audit.Verdict) error,
) error {
	g, ctx := errgroup.WithContext(ctx)
	todo, inOrder := make(chan *batch), make(chan *batch, 2*workers)
	g.Go(func() error {
		defer close(inOrder)
		defer close(todo)
		return batches(ctx, vault, snap.Digest, func(b *batch) error {
			for _, c := range []chan *batch{inOrder, todo} {
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
		g.Go(func() error {
			for b := range todo {
				for _, line := range b.lines {
					v, err := judge(ctx, line)
					if err != nil {
						return err
					}
					b.verdicts = append(b.verdicts, v)
				}
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
			for _, v := range b.verdicts {
				if err := send(v); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return g.Wait()
}

// batches cuts a snapshot into batches of about batchBytes.
func batches(ctx context.Context, vault audit.Vault, digest string, yield func(*batch) error) error {
	b, size := &batch{done: make(chan struct{})}, 0
	err := audit.Documents(ctx, vault, digest, func(line []byte) error {
		b.lines = append(b.lines, bytes.Clone(line))
		if size += len(line); size < batchBytes {
			return nil
		}
		full := b
		b, size = &batch{done: make(chan struct{})}, 0
		return yield(full)
	})
	if err != nil || len(b.lines) == 0 {
		return err
	}
	return yield(b)
}
