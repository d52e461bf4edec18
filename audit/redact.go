package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// TokenPrefix begins every redaction token.
const TokenPrefix = "redacted:"

// Redactor replaces secrets by tokens: equal secrets get equal tokens under one
// key, and nothing but the key can tell which secret a token stands for.
type Redactor struct{ key []byte }

// NewRedactor takes the installation's key, at least 16 bytes.
func NewRedactor(key []byte) *Redactor { return &Redactor{key: append([]byte(nil), key...)} }

// Token stands for a secret: "redacted:" and 128 bits of HMAC-SHA256, in hex.
func (r *Redactor) Token(secret string) string {
	mac := hmac.New(sha256.New, r.key)
	mac.Write([]byte(secret))
	return TokenPrefix + hex.EncodeToString(mac.Sum(nil)[:16])
}

// Strings replaces, in place, every string leaf at or below the JSON pointers
// given, and returns the pointers of what it replaced, sorted. In a pointer `*`
// stands for any one key or index. root must be a map[string]any or []any; the
// pointers are relative to it, and base is put before those returned.
func (r *Redactor) Strings(root any, base string, pointers ...string) []string {
	done := map[string]bool{} // pointers may overlap; a token is not replaced again
	for _, p := range pointers {
		var steps []string
		if p != "" {
			steps = strings.Split(strings.TrimPrefix(p, "/"), "/")
		}
		r.walk(root, base, steps, func(any) {}, done)
	}
	return slices.Sorted(maps.Keys(done))
}

func (r *Redactor) walk(v any, at string, steps []string, set func(any), done map[string]bool) {
	switch v := v.(type) {
	case string:
		if len(steps) == 0 && !done[at] {
			set(r.Token(v))
			done[at] = true
		}
	case map[string]any:
		for key, e := range v {
			if rest, ok := step(steps, key); ok {
				r.walk(e, at+"/"+EscapePointer(key), rest, func(n any) { v[key] = n }, done)
			}
		}
	case []any:
		for i, e := range v {
			if rest, ok := step(steps, strconv.Itoa(i)); ok {
				r.walk(e, at+"/"+strconv.Itoa(i), rest, func(n any) { v[i] = n }, done)
			}
		}
	}
}

// step tells whether key matches the first step, and what remains below it.
func step(steps []string, key string) (rest []string, ok bool) {
	switch {
	case len(steps) == 0:
		return nil, true
	case steps[0] == "*" || steps[0] == EscapePointer(key):
		return steps[1:], true
	}
	return nil, false
}

// EscapePointer makes a key fit to be one token of a JSON pointer (RFC 6901).
func EscapePointer(key string) string {
	if !strings.ContainsAny(key, "~/") {
		return key // most are, and a walk over an estate asks for millions
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
