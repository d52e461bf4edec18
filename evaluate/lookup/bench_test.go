package lookup_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/evaluate/lookup"
)

// million resources declare three keys each, in the benchmark and in issue 4.
const million = 1_000_000

func declared(r int) []lookup.Entry {
	origin := fmt.Sprintf("aws/%012d/eu-west-1", r%200)
	id := fmt.Sprintf("%s/AWS::EC2::Instance/i-%017x", origin, r)
	value := []byte(`{"name":"web-` + strconv.Itoa(r) + `","status":"active","tags":{"team":"payments"}}`)
	key := strconv.Itoa(r)
	return []lookup.Entry{
		{"aws", "ip", "10." + key, id, origin, value}, {"aws", "host", "web-" + key + ".example.com", id, origin, value}, {"aws", "instance", "i-" + key, id, origin, value},
	}
}

// BenchmarkIndex adds, seals and looks up; the reference keeps a Go map. Times
// and memory are those of the whole, but for ns/find. Run it with -benchtime 1x.
func BenchmarkIndex(b *testing.B) {
	for label, memory := range map[string]int64{"disk": 0, "memory": 2 << 30} {
		b.Run(label, func(b *testing.B) {
			for b.Loop() {
				reset(b)
				began := time.Now()
				x := lookup.New(lookup.Config{Dir: b.TempDir(), Memory: memory})
				for r := 0; r < million; r += 100 {
					var block []lookup.Entry
					for i := range 100 {
						block = append(block, declared(r+i)...)
					}
					if err := x.Add(block...); err != nil {
						b.Fatal(err)
					}
				}
				added := time.Now()
				if err := x.Seal(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(added.Sub(began).Seconds(), "s-add")
				b.ReportMetric(time.Since(added).Seconds(), "s-seal")
				find(b, func(e lookup.Entry) []lookup.Hit {
					hits, err := x.Find(e.Source, e.Kind, e.Key)
					if err != nil {
						b.Fatal(err)
					}
					return hits
				})
				if err := x.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("map", func(b *testing.B) {
		for b.Loop() {
			reset(b)
			began := time.Now()
			m := model{}
			for r := range million {
				for _, e := range declared(r) {
					n := name{e.Source, e.Kind, e.Key}
					m[n] = append(m[n], lookup.Hit{ID: e.ID, Origin: e.Origin, Value: bytes.Clone(e.Value)})
				}
			}
			b.ReportMetric(time.Since(began).Seconds(), "s-add")
			find(b, func(e lookup.Entry) []lookup.Hit { return m[name{e.Source, e.Kind, e.Key}] })
		}
	})
}

// find looks up what is there and what is not, and reports how much memory it all took.
func find(b *testing.B, find func(lookup.Entry) []lookup.Hit) {
	b.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	var took time.Duration
	const times = 300_000
	for i := range times {
		e := declared(r.IntN(million))[i%3]
		if i%2 == 0 {
			e.Key += "absent"
		}
		began := time.Now()
		hits := find(e)
		took += time.Since(began)
		if i%2 == 1 && (len(hits) != 1 || hits[0].ID != e.ID) || i%2 == 0 && hits != nil {
			b.Fatalf("%v: %v", e, hits)
		}
	}
	b.ReportMetric(float64(took.Nanoseconds())/times, "ns/find")
	b.ReportMetric(float64(resident(b, "VmHWM"))/1024, "MiB-peak")
}

// reset gives memory back, and lets the kernel count the peak anew.
func reset(b *testing.B) {
	b.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600); err != nil {
		b.Skip(err)
	}
}

// resident reads one line of what the kernel says of this process, in KiB.
func resident(b *testing.B, line string) int {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	_, rest, _ := bytes.Cut(text, []byte(line+":"))
	number, _, _ := bytes.Cut(rest, []byte("kB"))
	n, err := strconv.Atoi(string(bytes.TrimSpace(number)))
	if err != nil {
		b.Fatal(err)
	}
	return n
}
