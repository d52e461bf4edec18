package console

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// printable escapes what could steer a terminal or deceive its reader: control
// characters, escape sequences, line breaks, changes of direction, broken UTF-8.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, steers) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case steers(r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func steers(r rune) bool { return !strconv.IsPrint(r) }

// shortened is a printable text that does not fill the screen, and says so.
func shortened(s string) string {
	s = printable(s)
	if n := utf8.RuneCountInString(s); n > maxMessage {
		return string([]rune(s)[:maxMessage]) + fmt.Sprintf(" … (%d characters more)", n-maxMessage)
	}
	return s
}

// printableJSON escapes the same in JSON, whose encoder leaves some of it as it is.
func printableJSON(b []byte) []byte {
	if !bytes.ContainsFunc(b, steersJSON) {
		return b
	}
	out := make([]byte, 0, len(b)+64)
	for _, r := range string(b) {
		switch {
		case !steersJSON(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// steersJSON leaves the line breaks and spaces between tokens: within strings the encoder escaped them.
func steersJSON(r rune) bool { return r != '\n' && r != '\t' && steers(r) }

func upper(s string) string { return strings.ToUpper(s) }
