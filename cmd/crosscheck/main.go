// Command crosscheck audits what an organisation runs, across the systems that
// say what it runs, and leaves evidence that anyone can re-perform.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

// The exit codes. What a command means by them is in its help.
const (
	exitOK           = 0
	exitError        = 1
	exitViolations   = 2
	exitNotEvaluated = 3
)

// exit is an error that ends the program with a code other than 1. Its error
// may be nil: then everything was said already.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

func main() {
	tuneMemory()
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program without its process.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	defer func() {
		if p := recover(); p != nil {
			_, _ = fmt.Fprintf(stderr, "crosscheck: internal error, please report it: %v\n%s", p, debug.Stack())
			code = exitError
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	a := &app{in: stdin, out: stdout, err: stderr, now: time.Now}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	code = exitError
	var e *exit
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		code = e.code
	case ctx.Err() != nil:
		err = fmt.Errorf("interrupted: nothing recorded is lost (%w)", err)
	}
	if msg := err.Error(); msg != "" {
		_, _ = fmt.Fprintf(stderr, "crosscheck: %s\n", msg)
	}
	if errors.Is(err, syscall.ENOSPC) {
		_, _ = fmt.Fprintln(stderr, "crosscheck: the disk is full: make room and run the command again; what is on record is not lost")
	}
	return code
}
