// Command bench measures what crosscheck promises of its speed, memory and
// storage, and says of each number whether the promise is kept:
//
//	go run ./testdata/bench                    all of it, half an hour on two idle processors
//	go run ./testdata/bench -only decide-40    what a regular expression matches
//	go run ./testdata/bench -quick             smaller, for development: no goal was set for these sizes
//
// With record it writes a generated estate for crosscheck to audit, as it is in
// a night of a series in which one resource in a hundred changes every night:
//
//	go run ./testdata/bench record DIR estate|clusters|workloads RESOURCES NIGHT
//
// With profile it audits a recording and writes where time and memory go:
//
//	go run ./testdata/bench profile RECORDING DIR
//
// It prints one line for each number, name, value, goal and ok or missed, and
// exits 1 if one is missed. docs/benchmarks.md says what each number means.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	if len(args) > 1 && args[0] == "child" {
		return child(ctx, args[1], args[2:], out)
	}
	if len(args) > 0 && args[0] == "record" {
		return recordNight(args[1:])
	}
	if len(args) > 0 && args[0] == "profile" {
		return profileAudit(ctx, args[1:], out)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", "", "regular expression of the numbers to measure")
	quick := flags.Bool("quick", false, "smaller sizes and fewer rounds")
	list := flags.Bool("list", false, "name the numbers and their goals")
	files := flags.Int("files", 100_000, "files that are decided where crosscheck is compared with opa exec and conftest, by opa exec too; a fifth with 200 controls")
	dir := flags.String("dir", "", "where files are written for the while, default the system's")
	profile := flags.String("cpuprofile", "", "file that a profile of this process's CPU time is written to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	want, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	b := &bench{quick: *quick, estate: *files, out: out, want: want, rounds: rounds{most: 7, until: 20 * time.Second}}
	if *quick {
		b.rounds = rounds{most: 3, until: 10 * time.Second}
	}
	if *list {
		for _, g := range measurements() {
			for _, n := range g.numbers {
				fmt.Fprintf(out, "%s %s\n", n.name, n.goal)
			}
		}
		return nil
	}
	if b.dir, err = os.MkdirTemp(*dir, "crosscheck-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	runtime.GOMAXPROCS(1)
	stop, err := profileTo(*profile)
	if err != nil {
		return err
	}
	return errors.Join(b.measure(ctx), stop())
}

// bench is one run of the measurements.
type bench struct {
	quick  bool
	out    io.Writer
	want   *regexp.Regexp
	rounds rounds
	dir    string
	estate int // files
	data   *memory
	missed int
}

// size is how large something is, in full and quick.
func (b *bench) size(full, quick int) int {
	if b.quick {
		return quick
	}
	return full
}

// clusters are the generated documents of decide-40 and others.
func (b *bench) clusters() (*memory, error) {
	if b.data != nil {
		return b.data, nil
	}
	var err error
	b.data, err = hold((&clusters{seed: seed, n: b.size(20_000, 4_000)}).parts())
	return b.data, err
}

// goal is what a number must come to.
type goal struct {
	least bool // at least, not at most
	value float64
}

func atMost(v float64) goal  { return goal{false, v} }
func atLeast(v float64) goal { return goal{true, v} }

func (g goal) String() string {
	if g.least {
		return fmt.Sprintf(">=%.2f", g.value)
	}
	return fmt.Sprintf("<=%.2f", g.value)
}

func (g goal) met(v float64) bool {
	if g.least {
		return v >= g.value
	}
	return v <= g.value
}

// number is one line of the output.
type number struct {
	name string
	goal goal
}

// result is a number's value and what was measured.
type result struct {
	value float64
	of    string
}

// measurement gives several numbers that come of the same runs.
type measurement struct {
	numbers []number
	run     func(context.Context, *bench) ([]result, error) // one result for each number
}

func measurements() []measurement {
	one := func(name string, g goal, run func(context.Context, *bench) ([]result, error)) measurement {
		return measurement{[]number{{name, g}}, run}
	}
	return []measurement{
		one("decide-40", atMost(0.40), generated(1)),
		one("decide-200", atMost(0.80), generated(variants)),
		one("own-library-100k", atMost(1), ownLibrary),
		one("workers-2", atLeast(1.8), twoWorkers),
		one("library-ready", atMost(1), libraryReady),
		one("cancel-ms", atMost(100), cancelling),
		{[]number{{"vs-opa-exec-cpu", atLeast(30)}, {"vs-opa-exec-wall", atLeast(30)}}, opaExec(1, 1)},
		{[]number{{"vs-opa-exec-200-cpu", atLeast(30)}, {"vs-opa-exec-200-wall", atLeast(30)}}, opaExec(variants, 5)},
		{[]number{{"vs-conftest-cpu", atLeast(500)}, {"vs-conftest-wall", atLeast(500)}}, conftest(1, 400)},
		{[]number{{"vs-conftest-200-cpu", atLeast(500)}, {"vs-conftest-200-wall", atLeast(500)}}, conftest(variants, 100)},
		one("estate-index-rss", atMost(512), indexMemory),
		{[]number{{"audit-100k", atMost(2)}, {"audit-again", atMost(0.5)}}, audits},
		{[]number{{"audit-1m-linear", atMost(1.05)}, {"audit-1m-rss", atMost(1)}}, largeAudit},
		one("storage-year", atMost(20), storage),
	}
}

// measure runs what is wanted and prints its lines.
func (b *bench) measure(ctx context.Context) error {
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Fprintf(os.Stderr, "bench: load average %s: wall times and workers-2 mean something on an idle machine only\n", strings.TrimSpace(string(load)))
	}
	var failed []error
	measured := 0
	for _, m := range measurements() {
		if !slices.ContainsFunc(m.numbers, func(n number) bool { return b.want.MatchString(n.name) }) {
			continue
		}
		measured++
		began := time.Now()
		results, err := m.run(ctx, b)
		fmt.Fprintf(os.Stderr, "bench: %s: %s\n", m.names(), time.Since(began).Round(100*time.Millisecond))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", m.names(), err))
			continue
		}
		for i, n := range m.numbers {
			b.print(n, results[i])
		}
	}
	if measured == 0 {
		failed = append(failed, fmt.Errorf("no number is called %q: -list names them", b.want))
	}
	if b.missed > 0 {
		failed = append(failed, fmt.Errorf("%d goals were missed", b.missed))
	}
	return errors.Join(failed...)
}

func (m measurement) names() string {
	var out []string
	for _, n := range m.numbers {
		out = append(out, n.name)
	}
	return strings.Join(out, ", ")
}

func (b *bench) print(n number, r result) {
	if !b.want.MatchString(n.name) {
		return
	}
	verdict := "ok"
	if !n.goal.met(r.value) {
		verdict = "missed"
		b.missed++
	}
	fmt.Fprintf(b.out, "%s %.3f %s %s # %s\n", n.name, r.value, n.goal, verdict, r.of)
}

// program builds crosscheck and gives its path.
func (b *bench) program(ctx context.Context) (string, error) {
	path := filepath.Join(b.dir, "crosscheck")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/crosscheck-dev/crosscheck/cmd/crosscheck")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building crosscheck: %w", err)
	}
	return path, nil
}
