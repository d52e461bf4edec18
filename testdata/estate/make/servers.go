package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/crosscheck-dev/crosscheck/collectors/netbox/netboxtest"
)

const (
	archive = "210987654321"
	prod    = "123456789012"
	token   = netboxtest.AdminToken
)

// Where servers listen, counted from the first port.
const (
	estatePorts  = 0  // moto, then kube-apiserver with two ports of etcd
	netboxPort   = 9  // the played-back NetBox
	scratchPorts = 10 // moto, then kube-apiserver with two ports of etcd
	kafkaPorts   = 18 // a broker and its controller
)

// estate is the servers that hold it and the folder that they write to.
type estate struct {
	repository string
	dir        string
	port       int
	stop       []func() error
}

func (e *estate) url(offset int) string { return fmt.Sprintf("http://127.0.0.1:%d", e.port+offset) }
func (e *estate) netbox() string        { return e.url(netboxPort) }

// up starts the servers, applies all that is written down and writes a configuration that audits it.
func (e *estate) up(ctx context.Context) error {
	if err := e.servers(ctx, "estate", estatePorts); err != nil {
		return err
	}
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"applying terraform", e.apply},
		{"changing things by hand", e.afterwards},
		{"applying manifests", e.manifests},
		{"playing NetBox back", e.play},
		{"writing the configuration", e.configuration},
	}
	for _, s := range steps {
		started := time.Now()
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(os.Stderr, "estate: %s took %s\n", s.name, time.Since(started).Round(time.Second/10))
	}
	return nil
}

// scratch starts empty servers for tests that write.
func (e *estate) scratch(ctx context.Context) error {
	return errors.Join(e.servers(ctx, "scratch", scratchPorts), e.start(ctx, "scratch", "kafka", kafkaPorts, 2))
}

// down ends what was started, last first.
func (e *estate) down() error {
	var failed []error
	for i := len(e.stop) - 1; i >= 0; i-- {
		failed = append(failed, e.stop[i]())
	}
	return errors.Join(failed...)
}

// servers starts moto and a cluster.
func (e *estate) servers(ctx context.Context, name string, offset int) error {
	if err := e.start(ctx, name, "moto", offset, 1); err != nil {
		return err
	}
	return e.start(ctx, name, "kubernetes", offset+1, 3)
}

// start starts a server of testdata/servers on some ports.
func (e *estate) start(ctx context.Context, name, kind string, offset, ports int) error {
	run := filepath.Join(e.dir, name+"-"+kind)
	script := filepath.Join(e.repository, "testdata", "servers", kind)
	for p := e.port + offset; p < e.port+offset+ports; p++ {
		if err := free(ctx, p); err != nil {
			return err
		}
	}
	if err := e.script(ctx, nil, "bash", filepath.Join(script, "start.sh"), run, fmt.Sprint(e.port+offset)); err != nil {
		return err
	}
	e.stop = append(e.stop, func() error {
		return e.script(context.WithoutCancel(ctx), nil, "bash", filepath.Join(script, "stop.sh"), run)
	})
	return nil
}

func free(ctx context.Context, port int) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return fmt.Errorf("port %d is taken, choose others with -port: %w", port, err)
	}
	return l.Close()
}

// play serves the recorded NetBox with the instance ids that moto gave, but for
// one machine, whose record is out of date on purpose.
func (e *estate) play(ctx context.Context) error {
	ids, err := e.instances(ctx)
	if err != nil {
		return err
	}
	handler, err := netboxtest.New(os.DirFS(filepath.Join(e.repository, "testdata", "netbox")), netboxtest.Options{
		InstanceIDs: ids, Keep: []string{"sftp-gw"},
	})
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", strings.TrimPrefix(e.netbox(), "http://"))
	if err != nil {
		return fmt.Errorf("choose other ports with -port: %w", err)
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	e.stop = append(e.stop, func() error {
		err := srv.Close()
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	return nil
}

func (e *estate) manifests(ctx context.Context) error {
	home, err := servers()
	if err != nil {
		return err
	}
	kubectl := []string{
		filepath.Join(home, "kubernetes", "kubectl"), "--context", "admin",
		"--kubeconfig", filepath.Join(e.dir, "estate-kubernetes", "kubeconfig"),
	}
	manifests := filepath.Join(e.repository, "testdata", "estate", "manifests")
	if err := e.script(ctx, nil, append(kubectl, "apply", "-f", manifests)...); err != nil {
		return err
	}
	// A node's status is written by its kubelet; here there is none.
	return e.script(ctx, nil, append(kubectl, "replace", "--subresource=status", "-f", filepath.Join(manifests, "60-nodes.yaml"))...)
}

// servers is where testdata/servers installs.
func servers() (string, error) {
	if dir := os.Getenv("CROSSCHECK_SERVERS"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".cache", "crosscheck"), err
}

// script runs a program in the estate's folder. What it says is shown only if it fails.
func (e *estate) script(ctx context.Context, env []string, args ...string) error {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = e.dir, append(os.Environ(), env...), &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, said.Bytes())
	}
	return nil
}
