package main

import (
	"math"
	"math/rand/v2"
)

// random draws what is generated. All that it gives is reckoned here from the
// numbers of a PCG, so that another version of Go gives the same bytes.
type random struct{ source *rand.PCG }

func newRandom(a, b uint64) random { return random{rand.NewPCG(a, b)} }

// Uint64 is any number.
func (r random) Uint64() uint64 { return r.source.Uint64() }

// IntN is a number below n. That some are a trifle more likely does not matter here.
func (r random) IntN(n int) int { return int(r.source.Uint64() >> 1 % uint64(n)) }

// unit is a number from 0 up to 1.
func (r random) unit() float64 { return float64(r.source.Uint64()>>11) / (1 << 53) }

// ExpFloat64 is distributed exponentially, 1 on average.
func (r random) ExpFloat64() float64 { return -math.Log(1 - r.unit()) }

// NormFloat64 is distributed normally, around 0 by 1.
func (r random) NormFloat64() float64 {
	return math.Sqrt(2*r.ExpFloat64()) * math.Cos(2*math.Pi*r.unit())
}

// mix gives a number that follows from a and b and looks like no other.
func mix(a, b uint64) uint64 { return rand.NewPCG(a, b).Uint64() }
