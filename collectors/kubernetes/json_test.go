package kubernetes_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/collectors/kubernetes"
)

// jsonTexts are texts, and whether something is wrong with them.
var jsonTexts = map[string]bool{
	"": false, " \n": false, "{}": false, "[]": false, `"a:b"`: false, "null": false, "1.50 [true] {}": false, `{"a":1}{"a":2}`: false,
	`{"a":{"a":[{"a":"\"a\":,"}]},"b":"\\"}`: false, `{"":"","\u0061":"ü\ud83d"}`: false, `[18446744073709551616,-0,1e400]`: false,
	`{"a":1,"a":1}`: true, `{"a":1,"\u0061":2}`: true, `[{"b":{"c":1,"d":2,"c":3}}]`: true, "{\"a\xff\":1,\"a\xfe\":2}": true,
	`{"a":1`: true, `{"a":1}}`: true, `{"a" 1}`: true, `{"a":1,}`: true, `[1,]`: true, `{"a":1}:{"b":2}`: true, "{} x": true, `"a`: true, "\x00": true,
	strings.Repeat("[", 100) + strings.Repeat("]", 100): false,
	strings.Repeat("[", 202) + strings.Repeat("]", 202): true,
	"[" + strings.Repeat("0,", 2_000_001) + "0]":        true,
}

// TestJSONBothWays: what is read at once is what is read key by key, and nothing wrong is passed over.
func TestJSONBothWays(t *testing.T) {
	t.Parallel()
	for text, wrong := range jsonTexts {
		if _, ok, _, err := kubernetes.JSONValues([]byte(text)); ok == wrong || (err != nil) != wrong {
			t.Errorf("%.40q: read at once: %t, key by key: %v", text, ok, err)
		}
	}
}

func FuzzJSONBothWays(f *testing.F) {
	for text := range jsonTexts {
		if len(text) < 1000 {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		fast, ok, strict, err := kubernetes.JSONValues(text)
		if ok && err != nil {
			t.Fatalf("read at once, but key by key: %v", err)
		}
		if ok && !reflect.DeepEqual(fast, strict) { // cmp takes for ever where lists are nested deep
			t.Errorf("at once %v, key by key %v", fast, strict)
		}
	})
}
