package evaluate

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// work has a worker make something of block i. read gives its bytes, which are
// the worker's until it returns.
type work[T any] func(ctx context.Context, w *worker, i int, read func() ([]byte, error)) (T, error)

// job is one block and what came of it.
type job[T any] struct {
	i    int
	out  T
	done chan struct{}
}

// ordered has blocks worked on in parallel, and sends what came of them in their
// order. At most a few blocks for each worker are in memory.
func ordered[T any](ctx context.Context, j *judging, workers int, blocks []audit.Block, do work[T], send func(T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	todo, inOrder := make(chan *job[T]), make(chan *job[T], 2*workers)
	g.Go(func() error {
		defer close(inOrder)
		defer close(todo)
		for i := range blocks {
			b := &job[T]{i: i, done: make(chan struct{})}
			for _, c := range []chan *job[T]{inOrder, todo} {
				select {
				case c <- b:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		return nil
	})
	for range min(workers, len(blocks)) {
		g.Go(j.working(ctx, func() (err error) {
			w := j.hire()
			for b := range todo {
				read := func() (_ []byte, err error) {
					if held := w.recent.take(blocks[b.i].Digest); held != nil {
						w.content = held
						return held, nil
					}
					w.content, err = blocks[b.i].Read(ctx, w.content[:0])
					return w.content, err
				}
				if b.out, err = do(ctx, w, b.i, read); err != nil {
					return err
				}
				close(b.done)
			}
			j.spare.Put(w)
			return nil
		}))
	}
	g.Go(audit.Guarded(func() error {
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
	}))
	return g.Wait()
}

// grace is how long a worker has to end once the context has.
const grace = 10 * time.Millisecond

// working starts a worker, and gives what waits for it. One that is in a builtin of
// OPA's when the context ends cannot be stopped: it is left to end by itself, and
// what comes of it is dropped.
func (j *judging) working(ctx context.Context, work func() error) (wait func() error) {
	done := make(chan error, 1)
	j.busy.Go(func() { done <- audit.Guarded(work)() })
	return func() error {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
		}
		select {
		case err := <-done:
			return err
		case <-time.After(grace):
			j.left.Store(true)
			return ctx.Err()
		}
	}
}

// close gives back what the workers share, once the last of them has ended.
func (j *judging) close() error {
	if j.left.Load() {
		go func() { j.busy.Wait(); _ = j.estate.close() }()
		return nil
	}
	j.busy.Wait()
	return j.estate.close()
}
