package audit_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// slowly is what ParseLine must agree with: the resource as it renders.
func slowly(line []byte) (audit.Resource, bool) {
	r, err := audit.ParseResource(line)
	if err != nil {
		return audit.Resource{}, false
	}
	again, err := r.Line()
	return r, err == nil && bytes.Equal(again, line)
}

// document is a canonical line with some JSON for its data.
func document(data string) string {
	return `{"data":` + data + `,"gaps":{"/data/a":"AccessDenied a"},"id":"aws/1/eu/T/x","name":"x <é>","origin":"aws/1/eu","redacted":["/a","/b"],"source":"aws","tags":{"id":"y","team":"z"},"type":"T"}`
}

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func canonicalLines() map[string]bool {
	good := document(`{}`)
	with := func(from, to string) string { return strings.Replace(good, from, to, 1) }
	return map[string]bool{
		good: true, document(`null`): true, document(`[true,false,null,0,-0,1.50,1e3,1E+7,"",{"":[]}]`): true,
		document(`"\"\\\b\f\n\r\t\u0000\u001f\u2028é<&>"`): true, document("\"\x7f\ufffd\""): true,
		document(`{"B":1,"a":{"b":1,"c":2},"ä":3}`): true, document(`{"a\nb":1,"aa":2}`): true,
		document(nested(9999)): true, document(nested(10000)): false, document(nested(9998) + " "): false,
		document(strings.Repeat("[", 9999) + `"x"` + strings.Repeat("]", 9999)): true,

		document(`{"b":1,"a":2}`): false, document(`{"a":1,"a":2}`): false, document(`{"aa":1,"a\nb":2}`): false,
		document(`{ "a":1}`): false, document(`[1, 2]`): false, document(`[1,]`): false, document(`{"a":1,}`): false, document(`{"a"}`): false,
		document(`"\u003c"`): false, document(`"\/"`): false, document(`"\u000a"`): false, document(`"\u001F"`): false, document(`"\u00e9"`): false,
		document("\"\u2028\""): false, document("\"\xff\""): false, document("\"\n\""): false, document(`"\ud83d\ude00"`): false, document(`"\ufffd"`): false,
		document(`01`): false, document(`1.`): false, document(`.5`): false, document(`1e`): false, document(`+1`): false, document(`-`): false,
		document(`tru`): false, document(`nul`): false, document(`"open`): false, document(`[1`): false, document(``): false,
		good + "\n": false, good + " ": false, " " + good: false, good[:len(good)-1]: false, "": false, "null": false, "{}": false,
		with(`"gaps":{"/data/a":"AccessDenied a"}`, `"gaps":null`): false, with(`"AccessDenied a"`, `null`): false,
		with(`"redacted":["/a","/b"]`, `"redacted":null`): false, with(`["/a","/b"]`, `["/b","/a"]`): false, with(`["/a","/b"]`, `["/a","/a"]`): false,
		with(`["/a","/b"]`, `[]`): true, with(`{"id":"y","team":"z"}`, `{}`): true, with(`{"id":"y","team":"z"}`, `{"team":"z","id":"y"}`): false,
		with(`"type":"T"`, `"type":"U"`): false, with(`"origin":"aws/1/eu"`, `"origin":"aws/1/us"`): false, with(`"source":"aws"`, `"source":""`): false,
		with(`"type":"T"`, `"type":"T","type":"T"`): false, with(`,"name":"x <é>"`, ``): false, with(`"name":"x <é>"`, `"name":7`): false,
		with(`"aws/1/eu/T/x"`, `"aws/1/eu/T/\\x\""`): true,
	}
}

func TestParseLine(t *testing.T) {
	t.Parallel()
	for line, want := range canonicalLines() {
		r, err := audit.ParseLine([]byte(line))
		if (err == nil) != want {
			t.Errorf("ParseLine(%.200s) = %v, want it accepted: %v", line, err, want)
			continue
		}
		slow, ok := slowly([]byte(line))
		if ok != want {
			t.Errorf("%.200s: ParseResource and Line accept: %v, want %v", line, ok, want)
		}
		if err != nil {
			continue
		}
		agree(t, line, r, slow)
	}
}

// agree compares what ParseLine made of a line with what ParseResource did.
func agree(t *testing.T, line string, r, slow audit.Resource) {
	t.Helper()
	if got, err := r.Line(); err != nil || string(got) != line {
		t.Errorf("Line() = %.200s, %v, want what was parsed: %.200s", got, err, line)
	}
	if len(line) > 2000 { // cmp is slow where values nest deep
		return
	}
	values, err := r.Values()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(values, slow); diff != "" {
		t.Errorf("%.200s: values (-got +want):\n%s", line, diff)
	}
	if r.ID != slow.ID || r.Name != slow.Name || r.Origin != slow.Origin || r.Source != slow.Source || r.Type != slow.Type {
		t.Errorf("%.200s: ParseLine() = %+v, want %+v", line, r, slow)
	}
}

func FuzzParseLine(f *testing.F) {
	for line := range canonicalLines() {
		if len(line) < 1000 {
			f.Add([]byte(line))
		}
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := audit.ParseLine(line)
		slow, ok := slowly(line)
		if (err == nil) != ok {
			t.Fatalf("ParseLine(%s) = %v, but ParseResource and Line accept: %v", line, err, ok)
		}
		if ok {
			agree(t, string(line), r, slow)
		}
	})
}

// heads says of a line what encoding/json makes of it.
func heads(line []byte) (h audit.Head, err error) { return h, json.Unmarshal(line, &h) }

func TestParseHead(t *testing.T) {
	t.Parallel()
	for line := range canonicalLines() {
		want, err := heads([]byte(line))
		if err != nil {
			continue
		}
		got, err := audit.ParseHead([]byte(line))
		if err != nil {
			t.Errorf("ParseHead(%.200s): %v", line, err)
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("ParseHead(%.200s) (-got +want):\n%s", line, diff)
		}
	}
	for _, line := range []string{"", "{", `{"data":`, `[1]`, `{"id":7}`} {
		if h, err := audit.ParseHead([]byte(line)); err == nil {
			t.Errorf("ParseHead(%s) = %+v, want an error", line, h)
		}
	}
}

func FuzzParseHead(f *testing.F) {
	for line := range canonicalLines() {
		if len(line) < 1000 {
			f.Add([]byte(line))
		}
	}
	f.Add([]byte(`{"data":{},"gaps":{"a":"b","a":"c"},"id":"","name":null,"origin":"","redacted":null,"source":"","tags":null,"type":""}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		want, err := heads(line)
		if err != nil {
			return
		}
		got, err := audit.ParseHead(line)
		if err != nil {
			t.Fatalf("ParseHead(%s): %v", line, err)
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Fatalf("ParseHead(%s) (-got +want):\n%s", line, diff)
		}
	})
}
