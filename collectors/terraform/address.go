package terraform

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// splitModule cuts an address into the module instance it lies in, without the
// last dot, and the rest: module.a["x.y"].aws_instance.b[0] is
// module.a["x.y"] and aws_instance.b[0].
func splitModule(address string) (module, rest string) {
	at := 0
	for {
		name, found := strings.CutPrefix(address[at:], "module.")
		if !found {
			break
		}
		end := strings.IndexAny(name, ".[")
		if end < 0 {
			break
		}
		next := at + len("module.") + end
		if address[next] == '[' {
			n := keyLength(address[next:])
			if n == 0 {
				break
			}
			next += n
		}
		if next >= len(address) || address[next] != '.' {
			break
		}
		at = next + 1
	}
	return strings.TrimSuffix(address[:at], "."), address[at:]
}

// parentModule cuts module.a["x"].module.b[0] into module.a["x"], module.b and [0].
func parentModule(module string) (parent, call, key string) {
	parent, last := splitModule(module)
	call, key = splitKey(last)
	return parent, call, key
}

// splitKey cuts an instance key, brackets included, off the end of the last step of an address.
func splitKey(last string) (name, key string) {
	i := strings.IndexByte(last, '[')
	if i < 0 || keyLength(last[i:]) != len(last)-i {
		return last, ""
	}
	return last[:i], last[i:]
}

// keyLength is the length of the instance key that s begins with, brackets
// included, or 0 where it begins with none.
func keyLength(s string) int {
	if len(s) < 3 || s[0] != '[' {
		return 0
	}
	if s[1] != '"' {
		if end := strings.IndexByte(s, ']'); end > 1 {
			return end + 1
		}
		return 0
	}
	for i := 2; i < len(s)-1; i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			if s[i+1] == ']' {
				return i + 2
			}
			return 0
		}
	}
	return 0
}

// renderKey writes an instance key as Terraform does in an address: [0] or ["a"].
func renderKey(index any) (string, error) {
	switch index := index.(type) {
	case nil:
		return "", nil
	case json.Number:
		return "[" + index.String() + "]", nil
	case string:
		return "[" + quoteKey(index) + "]", nil
	}
	return "", fmt.Errorf("instance key of type %T: want a number or a string", index)
}

func quoteKey(key string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range key {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case (r == '$' || r == '%') && strings.HasPrefix(key[i+1:], "{"):
			b.WriteRune(r)
			b.WriteRune(r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// fullAddress joins what raw state keeps apart.
func fullAddress(module, mode, typ, name, key string) string {
	a := typ + "." + name + key
	if mode == modeData {
		a = "data." + a
	}
	if module != "" {
		a = module + "." + a
	}
	return a
}
