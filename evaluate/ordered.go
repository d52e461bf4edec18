package evaluate

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// job is one block of a snapshot and what came of it.
type job[T any] struct {
	block audit.Block
	out   T
	done  chan struct{}
}

// ordered has blocks worked on in parallel, each read by the worker that takes
// it, and sends what came of them in their order. begin makes what one worker
// works with; a block's bytes are only its while it works. At most a few blocks
// for each worker are in memory.
func ordered[T any](ctx context.Context, workers int, blocks []audit.Block,
	begin func() func(context.Context, audit.Block, []byte) (T, error), send func(T) error,
) error {
	g, ctx := errgroup.WithContext(ctx)
	todo, inOrder := make(chan *job[T]), make(chan *job[T], 2*workers)
	g.Go(func() error {
		defer close(inOrder)
		defer close(todo)
		for _, b := range blocks {
			j := &job[T]{block: b, done: make(chan struct{})}
			for _, c := range []chan *job[T]{inOrder, todo} {
				select {
				case c <- j:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		return nil
	})
	for range min(workers, len(blocks)) {
		g.Go(func() (err error) {
			work := begin()
			var buf []byte
			for j := range todo {
				if buf, err = j.block.Read(ctx, buf[:0]); err != nil {
					return err
				}
				if j.out, err = work(ctx, j.block, buf); err != nil {
					return err
				}
				close(j.done)
			}
			return nil
		})
	}
	g.Go(func() error {
		for j := range inOrder {
			select {
			case <-j.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := send(j.out); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}
