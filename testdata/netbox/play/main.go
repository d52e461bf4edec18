// Command play serves the recorded NetBox until it is interrupted:
//
//	go run ./testdata/netbox/play -addr 127.0.0.1:20443 -dir testdata/netbox -instances ids.json -keep bastion-euc1
//
// ids.json is a JSON object of private IPv4 address to EC2 instance id. The
// administrator's token and that of a narrow one are netboxtest.AdminToken and
// netboxtest.AuditorToken. It prints its URL once it listens.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/crosscheck-dev/crosscheck/collectors/netbox/netboxtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "play:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("play", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:0", "address to listen on")
	dir := flags.String("dir", "testdata/netbox", "what was recorded")
	instances := flags.String("instances", "", "JSON file: private address to instance id")
	keep := flags.String("keep", "", "machines, by name and comma, whose recorded instance id stays")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o := netboxtest.Options{Keep: strings.Split(*keep, ",")}
	if *instances != "" {
		b, err := os.ReadFile(*instances)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, &o.InstanceIDs); err != nil {
			return fmt.Errorf("%s: want an object of address to instance id: %w", *instances, err)
		}
	}
	handler, err := netboxtest.New(os.DirFS(*dir), o)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "http://%s\n", l.Addr()); err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = errors.Join(server.Close(), <-done)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
