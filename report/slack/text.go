package slack

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// The most that is shown of one name, and of one sentence.
const (
	maxName     = 120
	maxSentence = 300
)

// size is how long Slack takes a text to be, in UTF-16 units: never less than it counts.
func size(s string) int {
	n := 0
	for _, r := range s {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}

// code renders a name that others chose as a code span, in which nothing is
// markup but what is escaped here: it mentions nobody, links nowhere, and can be copied.
func code(s string) string {
	s = strings.ReplaceAll(clip(tidy(s), maxName), "`", "'")
	if s == "" {
		return "(no name)"
	}
	return "`" + escape(s) + "`"
}

// plain renders a sentence that others wrote: what would be formatting in it is
// replaced by letters that look like it.
func plain(s string) string {
	r := []rune(clip(tidy(s), maxSentence))
	for i, c := range r {
		switch c {
		case '*':
			r[i] = '∗'
		case '~':
			r[i] = '∼'
		case '`':
			r[i] = '\''
		case '_':
			if i == 0 || i == len(r)-1 || !inWord(r[i-1]) || !inWord(r[i+1]) { // within a word it formats nothing
				r[i] = '＿'
			}
		}
	}
	return escape(string(r))
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// typed renders a command that a person copies.
func typed(s string) string {
	return "`" + escape(strings.ReplaceAll(clip(tidy(s), maxSentence), "`", "'")) + "`"
}

// fence renders text of several lines as it is, at most so many characters of
// what is sent. more says where the rest of a long one is found.
func fence(s, more string, most int) string {
	lines := strings.Split(strings.ReplaceAll(strings.TrimRight(s, "\r\n"), "\t", "    "), "\n")
	for i, l := range lines {
		lines[i] = visible(strings.TrimRight(l, "\r "))
	}
	s = strings.ReplaceAll(strings.Join(lines, "\n"), "`", "'")
	var b strings.Builder
	rest := ""
	for i, r := range s {
		c := escape(string(r))
		if most -= size(c); most < 0 {
			rest = fmt.Sprintf("\n… and %d characters more: %s", utf8.RuneCountInString(s[i:]), more)
			break
		}
		b.WriteString(c)
	}
	return "```\n" + b.String() + "\n```" + rest
}

// escape hides the three characters that Slack's markup begins with.
func escape(s string) string { return escapes.Replace(s) }

var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// tidy puts a text on one line, with single spaces, and shows what is invisible.
func tidy(s string) string { return visible(strings.Join(strings.Fields(s), " ")) }

// visible escapes what deceives a reader: control characters, changes of
// direction, what has no width, broken UTF-8.
func visible(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !strconv.IsPrint(r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// clip shortens a text that is too long, and says by how much.
func clip(s string, most int) string {
	n := utf8.RuneCountInString(s)
	if n <= most {
		return s
	}
	return fmt.Sprintf("%s… (%d characters more)", string([]rune(s)[:most]), n-most)
}

// short is what of an id a person types.
func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}

// count renders a number of things.
func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// number groups thousands.
func number(n int64) string {
	if n < 0 {
		return "−" + number(-n)
	}
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
