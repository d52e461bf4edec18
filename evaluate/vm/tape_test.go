package vm_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"

	"github.com/crosscheck-dev/crosscheck/evaluate/vm"
)

// bare is a machine without rules.
func bare(tb testing.TB) *vm.Machine {
	tb.Helper()
	p, err := vm.Compile(vm.Config{Policy: &ir.Policy{}})
	if err != nil {
		tb.Fatal(err)
	}
	return machine(p)
}

// standard reads a document with encoding/json and writes it as the machine is to.
func standard(raw []byte) (text []byte, valid bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err == nil
}

// sameAsStandard holds a machine to encoding/json: both refuse a document, or both
// give the same value. A number that OPA would not read either may be refused.
func sameAsStandard(m *vm.Machine, raw []byte) (valid bool, err error) {
	want, valid := standard(raw)
	v, err := m.Parse(raw)
	switch {
	case err == nil && !valid:
		return false, errors.New("accepted")
	case err == nil:
		got, err := m.AppendJSON(nil, v)
		if err == nil && !bytes.Equal(got, want) {
			err = fmt.Errorf("got %.300s, want %.300s", got, want)
		}
		return true, err
	case valid && readByOPA(raw):
		return true, fmt.Errorf("refused: %w", err)
	}
	return false, nil
}

// readByOPA tells whether OPA reads a document, and has no number too long for a machine.
func readByOPA(raw []byte) bool {
	_, err := ast.ValueFromReader(bytes.NewReader(raw))
	return err == nil && !longNumber(raw)
}

// longNumber tells whether there is one of more digits than a machine takes.
func longNumber(raw []byte) bool {
	run := 0
	for _, c := range raw {
		if run++; !strings.ContainsRune("0123456789.eE+-", rune(c)) {
			run = 0
		}
		if run > 30000 {
			return true
		}
	}
	return false
}

// seeds are documents that reach every branch of the parser.
func seeds() []string {
	return []string{
		``, ` `, `null`, `true`, `fals`, `nul`, `0`, `-0`, `-`, `01`, `1.`, `.5`, `1e`, `1e+`, `1E-7`, `1.5e+10`, `-0.0e-0`, `1e400`, `1e99999999`, `"`, `""`, `"a`, `"\u00e9"`, `"\ud83d\ude00"`,
		`"\ud83d"`, `"\ude00x"`, `"\ud83d\u0041"`, `"\ud83d\ud83d\ude00"`, `"\uD800\`, `"\u00"`, `"\x"`, `"\/\b\f\n\r\t\"\\"`, "\"\x1f\"", "\"\x7f\"", "\"tab\t\"", "\"\xff\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"é\xc3\"", "\"12345678\xe2\x80\xa8\"",
		`[]`, `[ ]`, `[,]`, `[1,]`, `[1 2]`, `[1`, `[1,2,[3,[]]] `, `{}`, `{ }`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{"a":1 "b":2}`, `{"":{"x":[],"x":{"x":1}}}`, ` { "x" : [ 1 , 2 ] , "o" : { } } `, `1 2`, `{} {}`, "\ufeff{}",
		`{"a":"\u00e9\ud83d\ude00\\\"\/\b","a":[1,-0,1.5e+10,null,true,{}],"\u0061":"dup via escape"}`, `{"\ud800":1,"\udfff":2,"\ufffd":3}`, "{\"\xff\":1,\"\xfe\":2}", `"<&>\u2028\u2029"`, "[\"\u2028\", \"\u2029\"]", `[1.0,1,1.00,1e0,10e-1,12345678901234567890123]`,
	}
}

func TestTapeReadsLikeEncodingJSON(t *testing.T) {
	t.Parallel()
	m := bare(t)
	for _, s := range seeds() {
		if _, err := sameAsStandard(m, []byte(s)); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func FuzzTape(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Add([]byte(document(40)))
	m := bare(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := sameAsStandard(m, raw); err != nil {
			t.Error(err)
		}
	})
}

// document is one of n members of which many come twice.
func document(n int) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		fmt.Fprintf(&b, `"k%d":{"name":"n%d","list":[%d,"\u00e9",null]},`, i*7%(n*2/3+1), i, i)
	}
	return b.String() + `"last":true}`
}

// TestTapeOfMutations breaks documents in many small ways: most stay nearly valid.
func TestTapeOfMutations(t *testing.T) {
	t.Parallel()
	m, rng := bare(t), rand.New(rand.NewSource(1))
	docs := append(seeds(), document(5), document(30), document(90))
	parts := []string{`"`, `\`, `\u00`, `\ud83d`, `\udE00`, "\xff", "\xc3\xa9", "\xed\xa0\x80", `,`, `:`, `{`, `}`, `[`, `]`, `0`, `-`, `1e`, `.5`, `E+1`, `null`, `true`, `fals`, " ", "\n", "\x00", "\x1f", "\x7f", `"k1":1,`, `"name":"x",`}
	valid, invalid := 0, 0
	for range 30000 {
		b := []byte(docs[rng.Intn(len(docs))])
		for range 1 + rng.Intn(3) {
			b = mutate(rng, b, parts)
		}
		ok, err := sameAsStandard(m, b)
		switch {
		case err != nil:
			t.Fatalf("%.300q: %v", b, err)
		case ok:
			valid++
		default:
			invalid++
		}
	}
	if valid < 3000 || invalid < 3000 {
		t.Errorf("%d valid and %d invalid documents, want thousands of both", valid, invalid)
	}
}

func mutate(rng *rand.Rand, b []byte, parts []string) []byte {
	at := rng.Intn(len(b) + 1)
	switch rng.Intn(3) {
	case 0:
		if at < len(b) {
			b[at] = byte(rng.Intn(256))
		}
	case 1:
		b = append(b[:at:at], append([]byte(parts[rng.Intn(len(parts))]), b[at:]...)...)
	default:
		b = append(b[:at:at], b[min(at+rng.Intn(8), len(b)):]...)
	}
	return b
}

// TestTapeOfExtremes: each is as encoding/json has it, or a clear error.
func TestTapeOfExtremes(t *testing.T) {
	t.Parallel()
	wide := func(n, distinct int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"k%d":%d`, i%distinct, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	tests := map[string]struct {
		raw  string
		want string // of the error; "" for what encoding/json gives
	}{
		"5,000 members":               {wide(5000, 5000), ""},
		"5,000 members, half twice":   {wide(5000, 2500), ""},
		"5,000 members of one key":    {wide(5000, 1), ""},
		"32 members and one again":    {wide(33, 32), ""},
		"33 members and all again":    {wide(66, 33), ""},
		"10,000 arrays":               {strings.Repeat("[", 10000) + strings.Repeat("]", 10000), ""},
		"10,001 arrays":               {strings.Repeat("[", 10001) + strings.Repeat("]", 10001), "nested more than 10000 levels deep"},
		"10,000 objects":              {strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000), ""},
		"10,001 objects":              {strings.Repeat(`{"a":`, 10001) + "1" + strings.Repeat("}", 10001), "nested more than 10000 levels deep"},
		"10,000 digits":               {"[" + strings.Repeat("7", 10000) + "]", ""},
		"10,000 digits after a point": {"0." + strings.Repeat("3", 10000), ""},
		"100,000 digits":              {strings.Repeat("7", 100000), "a number that is out of range, or of more than 30000 digits"},
		"an exponent of nine digits":  {`{"a":1e100000000}`, "a number that is out of range, or of more than 30000 digits"},
		"a tiny exponent":             {`1e-100000000`, "a number that is out of range, or of more than 30000 digits"},
		"beyond a float64":            {`[1e400,-1e400,1e-400]`, ""},
		"a string of a megabyte":      {`"` + strings.Repeat("é\\n", 250000) + `"`, ""},
		"a million values":            {"[" + strings.Repeat("1,", 999999) + "1]", ""},
		"nine million values":         {"[" + strings.Repeat("1,", 9<<20) + "1]", "more than 8388608 values in one document"},
		"nothing":                     {"", "invalid JSON"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := bare(t)
			if tt.want == "" {
				if ok, err := sameAsStandard(m, []byte(tt.raw)); err != nil || !ok {
					t.Errorf("valid = %v, %v", ok, err)
				}
				return
			}
			if _, err := m.Parse([]byte(tt.raw)); err == nil || err.Error() != tt.want {
				t.Errorf("Parse() = %v, want %q", err, tt.want)
			}
		})
	}
}
