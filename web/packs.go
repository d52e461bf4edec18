package web

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"
)

// pieceWithin is how long a client may take for a piece of a download.
const pieceWithin = 60 * time.Second

func (s *server) listPacks(w http.ResponseWriter, r *request) error {
	q := parseQuery(r.URL.RawQuery, "limit")
	limit := q.limit(100)
	if err := q.err(); err != nil {
		return err
	}
	var list []Pack
	err := s.heavily(r.Context(), func(ctx context.Context) (err error) {
		list, err = s.Packs.List(ctx, limit)
		return err
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{"packs": append([]Pack{}, list...)})
}

// downloadPack sends a pack as a zip, or a range of it. The digests are of the
// whole zip (RFC 9530: Repr-Digest; Digest is what came before it).
func (s *server) downloadPack(w http.ResponseWriter, r *request) error {
	run, err := r.pathID("run", "run")
	if err == nil {
		err = r.nothing()
	}
	if err != nil {
		return err
	}
	pack, err := s.Packs.Pack(r.Context(), run)
	if err != nil {
		return err
	}
	if len(pack.ID) != 64 || !hexID.MatchString(pack.ID) { // it names a file below
		return fmt.Errorf("pack of run %s has the id %q", run, pack.ID)
	}
	var a *archive
	err = s.heavily(r.Context(), func(context.Context) (err error) {
		a, err = s.archives.open(r.Context(), pack) // a large one may take longer than what is read otherwise
		return err
	})
	if err != nil {
		return err
	}
	defer a.close()
	sum := base64.StdEncoding.EncodeToString(a.sum)
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", `attachment; filename="crosscheck-pack-`+pack.ID[:12]+`.zip"`)
	h.Set("ETag", fmt.Sprintf(`"%x"`, a.sum))
	h.Set("Repr-Digest", "sha-256=:"+sum+":")
	h.Set("Digest", "sha-256="+sum)
	h.Set("Cache-Control", "private, no-cache")
	http.ServeContent(patient{w, r.rc, s.Now}, r.Request, "", time.Time{}, a.reader())
	return nil
}

// patient lets a download take as long as pieces of it arrive.
type patient struct {
	http.ResponseWriter
	rc  *http.ResponseController
	now func() time.Time
}

// Write implements io.Writer.
func (p patient) Write(b []byte) (int, error) {
	_ = p.rc.SetWriteDeadline(p.now().Add(pieceWithin)) // where there is none to set, there is none
	return p.ResponseWriter.Write(b)
}
