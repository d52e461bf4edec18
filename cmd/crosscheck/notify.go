package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// notifier tells systemd how it stands with the daemon, as sd_notify(3) says.
// Without a socket to tell it nothing is done.
type notifier struct {
	addr     *net.UnixAddr
	Watchdog time.Duration // how often it must be told that all is well; 0: never

	mu     sync.Mutex
	status string // told last
}

// newNotifier reads what systemd has put into the environment.
func newNotifier(getenv func(string) string) (*notifier, error) {
	n := &notifier{}
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return n, nil
	}
	if path[0] != '/' && path[0] != '@' || len(path) > 107 {
		return nil, fmt.Errorf("NOTIFY_SOCKET %q: expected a path, or @ and a name", path)
	}
	n.addr = &net.UnixAddr{Name: path, Net: "unixgram"} // @ is an abstract name
	if pid := getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n, nil // it is meant for another process
	}
	if text := getenv("WATCHDOG_USEC"); text != "" {
		usec, err := strconv.ParseInt(text, 10, 64)
		if err != nil || usec <= 0 || usec > int64(24*time.Hour/time.Microsecond) {
			return nil, fmt.Errorf("WATCHDOG_USEC %q: expected a number of microseconds", text)
		}
		n.Watchdog = time.Duration(usec) * time.Microsecond
	}
	return n, nil
}

// tell sends assignments, one a line.
func (n *notifier) tell(lines ...string) error {
	if n.addr == nil {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, n.addr)
	if err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	if _, err := c.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	return nil
}

func (n *notifier) ready() error { return n.tell("READY=1") }

// reloading must be followed by ready.
func (n *notifier) reloading() error {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return fmt.Errorf("monotonic clock: %w", err)
	}
	return n.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", ts.Nano()/1000))
}

// stopping says that the daemon ends by itself, within a while.
func (n *notifier) stopping(within time.Duration) error {
	return n.tell("STOPPING=1", fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", within.Microseconds()))
}

// alive says that all is well, and what is being done if that has changed.
func (n *notifier) alive(status string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var lines []string
	if n.Watchdog > 0 {
		lines = append(lines, "WATCHDOG=1")
	}
	status = strings.Join(strings.Fields(status), " ") // one line
	if status != n.status {
		lines = append(lines, "STATUS="+status)
	}
	if len(lines) == 0 {
		return nil
	}
	err := n.tell(lines...)
	if err == nil {
		n.status = status
	}
	return err
}
