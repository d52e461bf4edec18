package vm_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// TestOverruns: which expressions need the square of a text to find all that is in it.
func TestOverruns(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]bool{
		`x`: false, `x+`: false, `\s*,\s*`: false, `[a-z0-9.-]+@[a-z0-9.-]+\.[a-z]{2,}`: false, `(https?://\S+|www\.\S+)`: false,
		`^(\d{1,3}\.){3}\d{1,3}(/\d{1,2})?$`: false, `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`: false, `(?:[^z][xy])*x`: true, `((25[0-5]|2[0-4]\d|1\d\d|\d\d?)\.){3}(25[0-5]|\d\d?)`: false, `arn:(aws|aws-cn):iam::(\d+|\*):root`: true,
		`x*y|x`: true, `(x*y)?x`: true, `(?:x*y)*x`: true, `x(x{1,70}y)?`: true, `(?s)x.*$|x`: true, `x|y[^z]*`: false, `x{3}y`: false, `x{64}`: false, `x{0,16}x{0,16}x{0,16}x{0,16}x{0,16}y|x`: true, `(x?){70}y|x`: true, `(x{64}y)?x`: true, `(a|b)*c`: false, `((a|b)*c)+`: true,
	} {
		tree, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		if got := vm.Overruns(tree); got != want {
			t.Errorf("%s overruns: %t, want %t", pattern, got, want)
		}
	}
}

// counted gives a text, and counts what is read of it.
type counted struct {
	io.RuneReader
	read int
}

// ReadRune implements io.RuneReader.
func (c *counted) ReadRune() (rune, int, error) {
	c.read++
	return c.RuneReader.ReadRune()
}

// searched is how much of a text is read while all matches are found, one after
// another, each from where the one before ended.
func searched(re *regexp.Regexp, text string) (read int) {
	for at := 0; at <= len(text); {
		c := &counted{RuneReader: strings.NewReader(text[at:])}
		found := re.FindReaderIndex(c)
		read += c.read
		if found == nil {
			break
		}
		at += max(found[1], 1)
	}
	return read
}

// expression writes a random one over x, y and z.
func expression(rnd *rand.Rand, depth int) string {
	if depth == 0 {
		return []string{"x", "y", "z", "[xy]", "[^z]", ".", "", "x", "y"}[rnd.IntN(9)]
	}
	sub := func() string { return expression(rnd, rnd.IntN(depth)) }
	switch rnd.IntN(6) {
	case 0:
		return "(" + sub() + "|" + sub() + ")"
	case 1:
		return "(?:" + sub() + ")" + []string{"*", "+", "?", "*?", "+?", "??", "{1,3}", "{2,}"}[rnd.IntN(8)]
	}
	return sub() + sub()
}

// TestSearches: what does not overrun reads a text a few times at most, whatever it finds.
func TestSearches(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 9))
	texts := []string{many(600, "x"), many(300, "xy"), many(200, "xxy"), many(300, "xz"), many(599, "x") + "y", many(300, "x") + many(300, "y")}
	square, linear := 0, 0
	for range 6000 {
		pattern := expression(rnd, 4)
		tree, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			continue
		}
		re := regexp.MustCompile(pattern)
		for _, text := range texts {
			n := searched(re, text)
			overruns := vm.Overruns(tree)
			if n > 100*len(text) {
				square++
				if !overruns {
					t.Fatalf("%s reads %d of %q…, which has %d, and is said not to overrun", pattern, n, text[:6], len(text))
				}
			} else if !overruns {
				linear++
			}
		}
	}
	if square < 20 || linear < 10000 {
		t.Errorf("%d took the square and %d were linear", square, linear)
	}
}

// TestSearchLimits: finding all takes the square of a text where it overruns, and no
// more than what is there where it does not.
func TestSearchLimits(t *testing.T) {
	t.Parallel()
	limits := vm.Limits{Steps: 1 << 24, Bytes: 1 << 28}
	for _, call := range []string{`regex.find_n(E, input, -1)`, `regex.find_all_string_submatch_n(E, input, -1)`, `regex.split(E, input)`, `regex.replace(input, E, "-")`} {
		for expression, want := range map[string]error{`x*y|x`: vm.ErrSteps, `(x*y)?x`: vm.ErrSteps, `x`: nil, `x+`: nil} {
			p := policy(t, "p := count("+strings.Replace(call, "E", quoted(expression), 1)+")")
			if _, err := ask(t, p, machine(p), quoted(many(100000, "x")), limits); !errors.Is(err, want) {
				t.Errorf("%s with %s: %v, want %v", call, expression, err, want)
			}
		}
	}
	p := policy(t, "p := count(regex.find_n(`(?:[a-z]+\\.)*[a-z]+`, input, -1))")
	if v, err := ask(t, p, machine(p), quoted(many(10, many(100, "host.")+" ")), limits); err != nil || v == nil {
		t.Errorf("a few names in a short text: %v", err)
	}
	p = policy(t, "p := count(regex.find_n(`x*y|x`, input, 3))")
	if v, err := ask(t, p, machine(p), quoted(many(10000, "x")), limits); err != nil || v == nil {
		t.Errorf("three of many: %v", err)
	}
}

// TestGlobLimits: globs as policies have them take few steps.
func TestGlobLimits(t *testing.T) {
	t.Parallel()
	for pattern, text := range map[string]string{
		"arn:aws:iam::*:role/*-admin-*": "arn:aws:iam::111122223333:role/platform-admin-eu-west-1", "**.example.com": many(20, "host.") + "example.com",
		"*-*-*-*-*": "6f1c2a34-aaaa-bbbb-cccc-0123456789ab", "{prod,stage}-*-[0-9]*": "prod-web-0042", "*": many(100_000, "x"), "*/kube-system/*": many(1000, "/a") + "/kube-system/b",
	} {
		p := policy(t, "p := glob.match("+quoted(pattern)+", [], input)")
		if v, err := ask(t, p, machine(p), quoted(text), vm.Limits{Steps: 1 << 14, Bytes: 1 << 22}); err != nil || !v.True() {
			t.Errorf("%s: %v, want it to match", pattern, err)
		}
	}
}
