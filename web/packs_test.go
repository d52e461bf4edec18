package web_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/web"
)

func TestDownload(t *testing.T) {
	t.Parallel()
	var dir string
	s := newSite(t, func(c *web.Config) { dir = c.TempDir })
	target := "/api/v1/packs/" + runID[:8]
	sum := sha256.Sum256(s.fake.zip)
	tag, digest := fmt.Sprintf(`"%x"`, sum), base64.StdEncoding.EncodeToString(sum[:])
	get := func(headers ...string) (int, http.Header, []byte) {
		t.Helper()
		r := request("GET", target, "", secrets[web.Auditor])
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := s.ask(r)
		return w.Code, w.Header(), w.Body.Bytes()
	}
	code, h, body := get()
	if code != 200 || !bytes.Equal(body, s.fake.zip) || h.Get("ETag") != tag || h.Get("Repr-Digest") != "sha-256=:"+digest+":" || h.Get("Digest") != "sha-256="+digest ||
		h.Get("Accept-Ranges") != "bytes" || h.Get("Content-Type") != "application/zip" || !strings.Contains(h.Get("Content-Disposition"), packs[:12]) {
		t.Fatalf("%d %v, %d bytes", code, h, len(body))
	}
	var whole []byte // resumed in pieces, each with the digest of the whole
	for at := 0; at < len(s.fake.zip); at += 4096 {
		code, h, piece := get("Range", fmt.Sprintf("bytes=%d-%d", at, at+4095), "If-Range", tag)
		if code != 206 || h.Get("Repr-Digest") != "sha-256=:"+digest+":" {
			t.Fatalf("%d %v", code, h)
		}
		whole = append(whole, piece...)
	}
	if sha256.Sum256(whole) != sum {
		t.Error("the pieces are not the whole")
	}
	if code, _, body := get("Range", "bytes=0-9", "If-Range", `"another"`); code != 200 || len(body) != len(s.fake.zip) {
		t.Errorf("a range of another pack: %d, %d bytes", code, len(body))
	}
	if code, _, _ := get("If-None-Match", tag); code != 304 {
		t.Errorf("not modified: %d", code)
	}
	if code, _, _ := get("Range", "bytes=99999-"); code != 416 {
		t.Errorf("no such range: %d", code)
	}
	if s.fake.exports != 1 {
		t.Errorf("the zip was made %d times", s.fake.exports)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

// TestDownloadThatCannotBeMade is no zip at all, rather than half of one.
func TestDownloadThatCannotBeMade(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *web.Config) { c.Packs = broken{c.Packs} })
	w := s.as(web.Auditor, "GET", "/api/v1/packs/"+runID, "")
	if w.Code != 500 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

type broken struct{ web.Packs }

func (broken) Export(_ context.Context, _ web.Pack, w io.Writer) error {
	if _, err := io.WriteString(w, "half of"); err != nil {
		return err
	}
	return errors.New("open " + hidden)
}

// TestArchivesAreForgotten asks for more packs than zips are kept.
func TestArchivesAreForgotten(t *testing.T) {
	t.Parallel()
	many := &manyPacks{}
	s := newSite(t, func(c *web.Config) { many.Packs, c.Packs = c.Packs, many })
	ask := func(run string) {
		t.Helper()
		w := s.as(web.Auditor, "GET", "/api/v1/packs/"+run, "")
		if w.Code != 200 || w.Body.String() != run {
			t.Errorf("pack of %s: %d %s", run, w.Code, w.Body)
		}
	}
	for _, run := range strings.Split("aaa bbb ccc aaa ddd aaa ccc bbb aaa", " ") {
		ask(run)
	}
	if got, want := strings.Join(many.made, " "), "aaa bbb ccc ddd bbb"; got != want {
		t.Errorf("made %s, want %s", got, want)
	}
}

type manyPacks struct {
	web.Packs
	made []string
}

func (m *manyPacks) Pack(_ context.Context, run string) (web.Pack, error) {
	return web.Pack{ID: strings.Repeat(run, 22)[:64], Run: run}, nil
}

func (m *manyPacks) Export(_ context.Context, p web.Pack, w io.Writer) error {
	m.made = append(m.made, p.Run)
	_, err := io.WriteString(w, p.Run)
	return err
}
