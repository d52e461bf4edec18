package remediate

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxOutput bounds what is kept of what a runner said.
const maxOutput = 8 << 10

// hidden takes the place of what looks like a secret.
const hidden = "[redacted]"

var (
	// blocks are secrets of several lines.
	blocks = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*(?:PRIVATE KEY|CERTIFICATE)[A-Z ]*-----.*?(?:-----END [A-Z0-9 ]+-----|\z)`)
	// forms are secrets that tell by themselves what they are.
	forms = regexp.MustCompile(`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?|\bxox[a-z]-[A-Za-z0-9-]{8,}|\bgh[a-z]_[A-Za-z0-9]{20,}|\bglpat-[A-Za-z0-9_-]{16,}|\bvault:v[0-9]+:\S+`)
	// named are values of names that say so: the name stays.
	named = regexp.MustCompile(`(?i)((?:[a-z0-9_-]*(?:passw(?:or)?d|passwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|authorization|cookie|session)[a-z0-9_-]*)["']?\s*[:=]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|(?:(?:basic|bearer|digest)\s+)?[^\s,;}&]+)`)
	// bearer are credentials in headers.
	bearer = regexp.MustCompile(`(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}`)
	// userinfo is what stands before the host of a URL.
	userinfo = regexp.MustCompile(`([a-z][a-z0-9+.-]*://)[^\s/@]+@`)
	// long runs of letters and digits are keys more often than words.
	long = regexp.MustCompile(`[A-Za-z0-9+/]{40,}={0,2}`)
)

// Clean makes what a runner said fit to be kept: bounded, printable, without
// what is known to be a secret and what looks like one. It rather hides too much.
func Clean(s string, secrets ...string) string {
	for _, secret := range secrets {
		if len(secret) >= 4 {
			s = strings.ReplaceAll(s, secret, hidden)
		}
	}
	if len(s) > 4*maxOutput {
		s = s[:4*maxOutput] // what is cut off here is not kept anyway
	}
	s = strings.ToValidUTF8(s, "�")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return '�'
		}
		return r
	}, s)
	s = blocks.ReplaceAllString(s, hidden)
	s = userinfo.ReplaceAllString(s, "${1}"+hidden+"@")
	s = named.ReplaceAllString(s, "${1}"+hidden)
	s = bearer.ReplaceAllString(s, "${1}"+hidden)
	s = forms.ReplaceAllString(s, hidden)
	s = long.ReplaceAllStringFunc(s, func(w string) string {
		if hexDigest.MatchString(w) {
			return w // ids of repairs and decisions
		}
		return hidden
	})
	s = strings.TrimSpace(s)
	if len(s) > maxOutput {
		s = strings.ToValidUTF8(s[:maxOutput], "") + "\n[cut]"
	}
	return s
}

var hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)
