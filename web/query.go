package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxValue = 2048 // bytes of one value of a query, or of a word in a body
	maxLimit = 1000 // entries of a page
)

// hexID is what ids of runs, decisions, packs and repairs look like, or their beginning.
var hexID = regexp.MustCompile(`^[0-9a-f]{1,64}$`)

// controlID is what ids of controls look like.
var controlID = regexp.MustCompile(`^[A-Z]{2,8}-[0-9]{3}$`)

// query reads the parameters of a request. It gathers what is wrong with them.
type query struct {
	values map[string]string
	errs   []string
}

// parseQuery refuses what no route knows, what is given twice, and what no value can be.
func parseQuery(raw string, known ...string) *query {
	q := &query{values: map[string]string{}}
	if len(raw) > 8*maxValue {
		q.fail("the query is longer than %d bytes", 8*maxValue)
		return q
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		q.fail("the query is not well formed")
		return q
	}
	slices.Sort(known)
	for _, name := range sortedKeys(values) {
		list := values[name]
		switch {
		case !slices.Contains(known, name):
			q.fail("parameter %s is not known: expected %s", clip(name), orNone(known))
		case len(list) > 1:
			q.fail("parameter %s is given %d times", name, len(list))
		case !plain(list[0]):
			q.fail("parameter %s: expected at most %d bytes of printable text", name, maxValue)
		default:
			q.values[name] = list[0]
		}
	}
	return q
}

func orNone(known []string) string {
	if len(known) == 0 {
		return "none"
	}
	return strings.Join(known, ", ")
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// plain tells whether a text is short, whole and without control characters.
func plain(s string) bool {
	return len(s) <= maxValue && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// clip renders what somebody sent for an error.
func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return strconv.Quote(s)
}

func (q *query) fail(format string, args ...any) {
	q.errs = append(q.errs, fmt.Sprintf(format, args...))
}

func (q *query) err() error {
	if len(q.errs) == 0 {
		return nil
	}
	return problem(http.StatusBadRequest, strings.Join(q.errs, "; "), "correct the query: /api/v1/openapi.json says what is expected")
}

func (q *query) text(name string) string { return q.values[name] }

// word is one of a few words, or nothing.
func (q *query) word(name string, words ...string) string {
	v := q.values[name]
	if v != "" && !slices.Contains(words, v) {
		q.fail("parameter %s is %s: expected %s", name, clip(v), strings.Join(words, " or "))
		return ""
	}
	return v
}

// form is text of a form, or nothing.
func (q *query) form(name string, form *regexp.Regexp, expected string) string {
	v := q.values[name]
	if v != "" && !form.MatchString(v) {
		q.fail("parameter %s is %s: expected %s", name, clip(v), expected)
		return ""
	}
	return v
}

func (q *query) limit(usual int) int {
	v, given := q.values["limit"]
	if !given {
		return usual
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxLimit {
		q.fail("parameter limit is %s: expected a number from 1 to %d", clip(v), maxLimit)
		return usual
	}
	return n
}

func (q *query) yesNo(name string) *bool {
	switch q.word(name, "yes", "no") {
	case "yes":
		yes := true
		return &yes
	case "no":
		return new(bool)
	}
	return nil
}

func (q *query) since(name string) time.Time {
	v := q.values[name]
	if v == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, v); err == nil {
			return t.UTC()
		}
	}
	q.fail("parameter %s is %s: expected a date such as 2026-11-21, or a time such as 2026-11-21T08:00:00Z", name, clip(v))
	return time.Time{}
}

// nothing refuses a query where none is expected.
func (r *request) nothing() error { return parseQuery(r.URL.RawQuery).err() }

// pathID is a part of the path that names something by its id.
func (r *request) pathID(name, kind string) (string, error) {
	id := r.PathValue(name)
	if !hexID.MatchString(id) {
		return "", &NotFound{fmt.Sprintf("there is no %s %s: its id is up to 64 lower-case hex digits", kind, clip(id))}
	}
	return id, nil
}

// body reads a JSON object, strictly.
func (r *request) body(into any) error {
	if err := r.nothing(); err != nil {
		return err
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return problem(http.StatusUnsupportedMediaType, "the body is not application/json", "send JSON, with the header Content-Type: application/json")
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			_ = r.rc.SetReadDeadline(time.Time{}) // what is done by it may take longer
			return nil
		}
		if err == nil {
			err = errors.New("more than one JSON value")
		}
	}
	if errors.As(err, new(*http.MaxBytesError)) {
		return err
	}
	why := "it cannot be parsed"
	switch wrong := (*json.UnmarshalTypeError)(nil); {
	case errors.As(err, &wrong):
		why = fmt.Sprintf("field %s: expected %s", clip(wrong.Field), wrong.Type)
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		why = "unknown field " + clip(strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`))
	}
	return problem(http.StatusBadRequest, "the body is not what is expected: "+why, "correct it: /api/v1/openapi.json says what is expected")
}

// words checks a list in a body.
func words(name string, list []string, most int) error {
	if len(list) > most {
		return &Invalid{fmt.Sprintf("%s has %d entries: at most %d", name, len(list), most)}
	}
	for _, w := range list {
		if w == "" || !plain(w) {
			return &Invalid{fmt.Sprintf("%s: expected entries of 1 to %d bytes of printable text", name, maxValue)}
		}
	}
	return nil
}
