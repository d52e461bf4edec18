package evaluate

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// work makes something of block i. read gives its bytes, which are the worker's
// until it returns.
type work[T any] func(ctx context.Context, i int, read func() ([]byte, error)) (T, error)

// job is one block and what came of it.
type job[T any] struct {
	i    int
	out  T
	done chan struct{}
}

// ordered has blocks worked on in parallel, and sends what came of them in their
// order. begin makes what one worker works with. At most a few blocks for each
// worker are in memory.
func ordered[T any](ctx context.Context, workers int, blocks []audit.Block, begin func() work[T], send func(T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	todo, inOrder := make(chan *job[T]), make(chan *job[T], 2*workers)
	g.Go(func() error {
		defer close(inOrder)
		defer close(todo)
		for i := range blocks {
			j := &job[T]{i: i, done: make(chan struct{})}
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
		g.Go(audit.Guarded(func() (err error) {
			do := begin()
			var buf []byte
			for j := range todo {
				read := func() (_ []byte, err error) {
					buf, err = blocks[j.i].Read(ctx, buf[:0])
					return buf, err
				}
				if j.out, err = do(ctx, j.i, read); err != nil {
					return err
				}
				close(j.done)
			}
			return nil
		}))
	}
	g.Go(audit.Guarded(func() error {
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
	}))
	return g.Wait()
}
