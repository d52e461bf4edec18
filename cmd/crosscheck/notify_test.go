package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// service is the end of the socket that systemd has.
type service struct {
	*net.UnixConn
	told <-chan string
	name string
}

func listenAs(t *testing.T, name string) service {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	told := make(chan string, 10_000)
	go func() {
		defer close(told)
		for b := make([]byte, 4096); ; { // as systemd does: a queue that nobody reads is full with ten
			n, err := c.Read(b)
			if err != nil {
				return
			}
			told <- string(b[:n])
		}
	}()
	return service{c, told, name}
}

// next is the datagram that comes next.
func (s service) next(t *testing.T) string {
	t.Helper()
	select {
	case text, ok := <-s.told:
		if ok {
			return text
		}
	case <-time.After(2 * time.Minute):
	}
	t.Fatal("nothing is told")
	return ""
}

// expect reads until one comes that begins so.
func (s service) expect(t *testing.T, begin string) string {
	t.Helper()
	for range 1000 {
		if got := s.next(t); strings.HasPrefix(got, begin) {
			return got
		}
	}
	t.Fatalf("nothing like %q is told", begin)
	return ""
}

// TestNotify tells a real socket, by a path and by an abstract name.
func TestNotify(t *testing.T) {
	t.Parallel()
	for kind, name := range map[string]string{
		"path":     filepath.Join(t.TempDir(), "s"),
		"abstract": fmt.Sprintf("@crosscheck-test-%d-%d", os.Getpid(), time.Now().UnixNano()),
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := listenAs(t, name)
			env := map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": fmt.Sprint(os.Getpid())}
			n, err := newNotifier(func(k string) string { return env[k] })
			if err != nil || n.Watchdog != 30*time.Second {
				t.Fatalf("newNotifier() = %+v, %v", n, err)
			}
			for _, do := range []func() error{
				n.ready, n.reloading, func() error { return n.alive("a\nREADY=1") },
				func() error { return n.alive("a READY=1") }, func() error { return n.stopping(time.Minute) },
			} {
				if err := do(); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for range 5 {
				got = append(got, regexp.MustCompile(`MONOTONIC_USEC=[1-9]\d{3,}$`).ReplaceAllString(s.next(t), "MONOTONIC_USEC=now"))
			}
			want := []string{
				"READY=1", "RELOADING=1\nMONOTONIC_USEC=now", "WATCHDOG=1\nSTATUS=a READY=1", "WATCHDOG=1", "STOPPING=1\nEXTEND_TIMEOUT_USEC=60000000",
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("told (-got +want):\n%s", diff)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := n.ready(); err == nil {
				t.Error("nobody is told, and that is no error")
			}
		})
	}
}

func TestNewNotifier(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		env  map[string]string
		want string
	}{
		"no systemd":         {nil, ""},
		"relative":           {map[string]string{"NOTIFY_SOCKET": "s"}, "expected a path"},
		"too long":           {map[string]string{"NOTIFY_SOCKET": "/" + strings.Repeat("s", 200)}, "expected a path"},
		"another's watchdog": {map[string]string{"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "x", "WATCHDOG_PID": "1"}, ""},
		"no number":          {map[string]string{"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "soon"}, "expected a number"},
		"no time":            {map[string]string{"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "0"}, "expected a number"},
	} {
		n, err := newNotifier(func(k string) string { return tt.env[k] })
		switch {
		case tt.want == "" && (err != nil || n.Watchdog != 0):
			t.Errorf("%s: %+v, %v", name, n, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	n := &notifier{}
	for _, do := range []func() error{n.ready, n.reloading, func() error { return n.alive("a") }} {
		if err := do(); err != nil {
			t.Errorf("without systemd: %v", err)
		}
	}
}
