// Command make builds the estate of testdata/estate on real servers, from
// nothing, on this machine:
//
//	go run ./testdata/estate/make record      what the collectors read of it → testdata/estate/recorded
//	go run ./testdata/estate/make plan        the plan of testdata/estate/gate/change → testdata/estate/gate/plan.json
//	go run ./testdata/estate/make run CMD...  runs a command beside it
//
// `run` tells the command through its environment: CROSSCHECK_ESTATE names a
// configuration that audits the estate, CROSSCHECK_NETBOX and
// CROSSCHECK_NETBOX_TOKEN the played-back NetBox. CROSSCHECK_MOTO,
// CROSSCHECK_KUBECONFIG, CROSSCHECK_ELASTICSEARCH and CROSSCHECK_KAFKA are servers beside it that
// tests may change as they like. It needs testdata/servers/*/install.sh to have been run, and terraform.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		fmt.Fprintln(os.Stderr, "estate:", err)
		os.Exit(exit.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "estate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("estate", flag.ContinueOnError)
	root := flags.String("root", ".", "the repository")
	port := flags.Int("port", 24100, "first of the 20 ports used, all on 127.0.0.1")
	if err := flags.Parse(args); err != nil {
		return err
	}
	args = flags.Args()
	if len(args) == 0 || args[0] == "run" && len(args) == 1 {
		return errors.New("want record, plan, or run and a command")
	}
	repository, err := filepath.Abs(*root)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(repository, "testdata", "estate", "terraform")); err != nil {
		return fmt.Errorf("%w: run this in the repository, or name it with -root", err)
	}
	dir, err := os.MkdirTemp("", "crosscheck-estate-")
	if err != nil {
		return err
	}
	e := &estate{repository: repository, dir: dir, port: *port}
	defer func() { err = errors.Join(err, e.down(), os.RemoveAll(dir)) }()
	switch args[0] {
	case "record":
		if err := e.up(ctx); err != nil {
			return err
		}
		return e.record(ctx)
	case "plan":
		return e.plan(ctx)
	case "run":
		if err := errors.Join(e.up(ctx), e.scratch(ctx), e.elasticsearch(ctx)); err != nil {
			return err
		}
		return e.beside(ctx, args[1], args[2:])
	}
	return fmt.Errorf("no command %q: want record, plan, or run and a command", args[0])
}

// beside runs a command while the estate is up.
func (e *estate) beside(ctx context.Context, name string, args []string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = e.repository, os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(os.Environ(), credentials()...)
	cmd.Env = append(cmd.Env,
		"CROSSCHECK_ESTATE="+filepath.Join(e.dir, "crosscheck.yaml"),
		"CROSSCHECK_NETBOX="+e.netbox(),
		"CROSSCHECK_NETBOX_TOKEN="+token,
		fmt.Sprintf("CROSSCHECK_KAFKA=127.0.0.1:%d", e.port+kafkaPorts),
		"CROSSCHECK_MOTO="+e.url(scratchPorts),
		"CROSSCHECK_KUBECONFIG="+filepath.Join(e.dir, "scratch-kubernetes", "kubeconfig"),
		"CROSSCHECK_ELASTICSEARCH="+e.url(elasticPorts),
	)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
