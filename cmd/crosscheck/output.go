package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// json prints a value for a program to read.
func (a *app) json(v any) error {
	b, err := audit.Canonical(v)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	if err := json.Indent(&buf, b, "", "  "); err != nil {
		return err
	}
	buf.WriteByte('\n')
	_, err = a.out.Write(buf.Bytes())
	return err
}

// table aligns rows of cells under a heading.
type table struct {
	w *tabwriter.Writer
}

func newTable(out io.Writer, heading ...string) *table {
	t := &table{tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)}
	t.row(heading...)
	return t
}

func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	_, _ = fmt.Fprintln(t.w, strings.Join(cells, "\t")) // Flush tells of the error
}

func (t *table) flush() error { return t.w.Flush() }

// printable keeps what an audited system calls things from steering the terminal.
func printable(s string) string {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) && r != ' ' }) {
		return strings.Trim(strconv.Quote(s), `"`)
	}
	return s
}

// short is how tables show an id; every command takes it back.
func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}

// inline renders an observed or expected value on one line.
func inline(v any) string {
	b, err := audit.Canonical(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if s, ok := v.(string); ok {
		return printable(s)
	}
	return printable(string(b))
}

// plural counts things by the word for one of them.
func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + one + "s"
}
