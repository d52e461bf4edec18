// Package netboxtest plays back the recorded answers of a real NetBox 4.3
// (testdata/netbox), so that tests and `make estate` read what a real one says.
//
// A list is served from the objects recorded of its endpoint, with `limit`,
// `offset`, `ordering=id`, `id`, `id__gt` and `exclude=config_context` answered
// here as the real one answered them; filters it does not know are ignored with
// 200, as there. Failures and the answers of narrow tokens come back byte for
// byte by method, URL and label; a label's recorded list is served through the
// same paging. Which token speaks with which label's rights is Options.Tokens.
//
//	server, err := netboxtest.New(os.DirFS("testdata/netbox"), netboxtest.Options{
//		InstanceIDs: map[string]string{"172.31.18.14": "i-0123456789abcdef0"},
//		Keep:        []string{"bastion-euc1"},
//	})
//	err = http.ListenAndServe("127.0.0.1:20443", server)
//
// or from a shell: go run ./testdata/netbox/play -addr 127.0.0.1:20443 -dir
// testdata/netbox -instances ids.json -keep bastion-euc1, where ids.json is an
// object of private address to instance id.
package netboxtest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The tokens known without Options.Tokens. Their last six digits are what
// /api/users/tokens/ shows of them.
const (
	AdminToken   = "0123456789abcdef0123456789abcdef01234567" // reads all that was recorded
	AuditorToken = "3333333333333333333333333333333333333333" // label "auditor": no users, permissions or clusters
)

// Options say who may ask and what is changed in what was recorded.
type Options struct {
	Tokens      map[string]string // token → label, "" is the administrator; nil: AdminToken and AuditorToken
	InstanceIDs map[string]string // primary IPv4 address → instance id that takes the recorded one's place
	Keep        []string          // names of machines whose recorded instance id stays as it is
	Superusers  []string          // user names that is_superuser=true answers; nil: admin
}

// Server answers as the recorded NetBox did. It is safe for concurrent use.
type Server struct {
	tokens     map[string]string
	superusers []string
	labels     map[string]label
	verbatim   map[request]answer
	refusal    map[string]answer // label → its first answer, where it never had another than a refusal

	mu    sync.Mutex
	lists map[string]map[string]*list // label → path → what was recorded
}

type request struct{ method, url, label string }

type answer struct {
	status int
	header map[string]string
	body   []byte
}

// label is what the index says of one: the paths it has as the administrator
// does ("*" for all), the largest page it gets and the host that links name.
type label struct {
	AsDefault []string `json:"as_default"`
	MaxPage   int      `json:"max_page"`
	Host      string   `json:"host"`
}

type index struct {
	Labels   map[string]label `json:"labels"`
	Requests []struct {
		Method  string            `json:"method"`
		URL     string            `json:"url"`
		Label   string            `json:"label"`
		Status  int               `json:"status"`
		File    string            `json:"file"`
		Headers map[string]string `json:"headers"`
	} `json:"requests"`
}

// New loads what was recorded: fsys is testdata/netbox.
func New(fsys fs.FS, o Options) (*Server, error) {
	s := &Server{
		tokens: o.Tokens, superusers: o.Superusers,
		verbatim: map[request]answer{}, refusal: map[string]answer{}, lists: map[string]map[string]*list{},
	}
	if s.tokens == nil {
		s.tokens = map[string]string{AdminToken: "", AuditorToken: "auditor"}
	}
	if s.superusers == nil {
		s.superusers = []string{"admin"}
	}
	if err := s.load(fsys); err != nil {
		return nil, fmt.Errorf("recorded NetBox: %w", err)
	}
	if err := s.rename(o.InstanceIDs, o.Keep); err != nil {
		return nil, fmt.Errorf("recorded NetBox: %w", err)
	}
	return s, nil
}

func (s *Server) load(fsys fs.FS) error {
	b, err := fs.ReadFile(fsys, "index.json")
	if err != nil {
		return err
	}
	var x index
	if err := json.Unmarshal(b, &x); err != nil {
		return fmt.Errorf("index.json: %w", err)
	}
	s.labels = x.Labels
	spoken := append(slices.Collect(maps.Values(s.tokens)), "", "anon", "badtoken", "bearer")
	granted := map[string]bool{}
	for _, r := range x.Requests {
		if !slices.Contains(spoken, r.Label) {
			continue // no token has this label
		}
		body, err := fs.ReadFile(fsys, r.File)
		if err != nil {
			return err
		}
		u, err := url.Parse(r.URL)
		if err != nil {
			return fmt.Errorf("index.json: %w", err)
		}
		a := answer{r.Status, r.Headers, body}
		if r.Label != "" || u.RawQuery == "" {
			s.verbatim[request{r.Method, normal(u), r.Label}] = a
		}
		switch {
		case r.Status >= http.StatusOK && r.Status < http.StatusMultipleChoices:
			granted[r.Label] = true
		case s.refusal[r.Label].status == 0:
			s.refusal[r.Label] = a
		}
		if r.Status == http.StatusOK && r.Method == http.MethodGet && recordedPage(u.Query()) {
			if err := s.add(r.Label, u.Path, body); err != nil {
				return fmt.Errorf("%s: %w", r.File, err)
			}
		}
	}
	for l := range granted {
		delete(s.refusal, l)
	}
	s.complete()
	return nil
}

// recordedPage tells whether a query asks for a page of the whole list: limit=50, and an offset.
func recordedPage(q url.Values) bool {
	for key := range q {
		if key != "limit" && key != "offset" {
			return false
		}
	}
	return q.Get("limit") == "50"
}

func normal(u *url.URL) string { return u.Path + "?" + u.Query().Encode() }

func (s *Server) add(label, path string, body []byte) error {
	var page struct {
		Count   *int              `json:"count"`
		Results []json.RawMessage `json:"results"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return err
	}
	if page.Count == nil { // not a list: /api/status/?limit=50
		return nil
	}
	if s.lists[label] == nil {
		s.lists[label] = map[string]*list{}
	}
	l := s.lists[label][path]
	if l == nil {
		l = &list{}
		s.lists[label][path] = l
	}
	l.count = *page.Count
	for _, raw := range page.Results {
		o, err := newObject(raw)
		if err != nil {
			return err
		}
		if !l.has(o.id) {
			l.objects = append(l.objects, o)
		}
	}
	return nil
}

// complete fills up lists of which not every page was recorded: a label with
// the administrator's count sees the administrator's objects.
func (s *Server) complete() {
	for _, paths := range s.lists {
		for path, l := range paths {
			def := s.lists[""][path]
			if def == nil || l == def || len(l.objects) >= l.count || def.count != l.count {
				continue
			}
			for _, o := range def.objects {
				if !l.has(o.id) {
					l.objects = append(l.objects, o)
				}
			}
		}
	}
}

// rename gives the recorded machines the instance ids of the running ones.
func (s *Server) rename(ids map[string]string, keep []string) error {
	for _, paths := range s.lists {
		l := paths["/api/virtualization/virtual-machines/"]
		if l == nil {
			continue
		}
		for i, o := range l.objects {
			renamed, err := o.rename(ids, keep)
			if err != nil {
				return err
			}
			l.objects[i] = renamed
		}
	}
	return nil
}

// Delete removes objects from an endpoint, such as "/api/dcim/devices/", for every label.
func (s *Server) Delete(path string, ids ...int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, paths := range s.lists {
		if l := paths[path]; l != nil {
			l.objects = slices.DeleteFunc(slices.Clone(l.objects), func(o object) bool { return slices.Contains(ids, o.id) })
		}
	}
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/") && s.lists[""][r.URL.Path+"/"] != nil {
		to := url.URL{Path: r.URL.Path + "/", RawQuery: r.URL.RawQuery}
		http.Redirect(w, r, to.String(), http.StatusMovedPermanently)
		return
	}
	label := s.label(r.Header.Get("Authorization"))
	if a, ok := s.verbatim[request{r.Method, normal(r.URL), label}]; ok {
		a.write(w)
		return
	}
	if a, ok := s.refusal[label]; ok {
		a.write(w)
		return
	}
	from := label
	if s.asDefault(label, r.URL.Path) {
		from = ""
	}
	if a, ok := s.verbatim[request{r.Method, normal(&url.URL{Path: r.URL.Path}), from}]; ok {
		a.write(w)
		return
	}
	if r.Method != http.MethodGet {
		s.deny(w)
		return
	}
	s.serve(w, r, label, from)
}

// label is whose answers a request gets, by its Authorization header.
func (s *Server) label(authorization string) string {
	scheme, token, _ := strings.Cut(authorization, " ")
	switch l, known := s.tokens[token]; {
	case authorization == "":
		return "anon"
	case scheme != "Token":
		return "bearer" // a 4.3 knows no other scheme
	case known:
		return l
	}
	return "badtoken"
}

// asDefault tells whether a label reads a path as the administrator does.
func (s *Server) asDefault(label, path string) bool {
	if s.lists[label][path] != nil {
		return false
	}
	return slices.ContainsFunc(s.labels[label].AsDefault, func(p string) bool { return p == "*" || strings.HasPrefix(path, p) })
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, label, from string) {
	path, id := r.URL.Path, int64(0)
	if parent, last, ok := cutLast(path); ok {
		if n, err := strconv.ParseInt(last, 10, 64); err == nil {
			path, id = parent, n
		}
	}
	s.mu.Lock()
	l := s.lists[from][path]
	var objects []object
	if l != nil {
		objects = l.objects
	}
	s.mu.Unlock()
	switch {
	case l == nil && s.lists[""][path] != nil:
		s.deny(w)
	case l == nil:
		answer{status: http.StatusNotFound, header: jsonHeader(), body: []byte(`{"detail":"Not found."}`)}.write(w)
	case id != 0:
		serveOne(w, objects, id, r.URL.Query())
	default:
		if path == "/api/users/users/" {
			objects = s.filterUsers(objects, r.URL.Query())
		}
		serveList(w, r, objects, s.labels[label])
	}
}

// deny answers what the recorded NetBox answered without the permission.
func (s *Server) deny(w http.ResponseWriter) {
	answer{
		status: http.StatusForbidden, header: jsonHeader(),
		body: []byte(`{"detail":"You do not have permission to perform this action."}`),
	}.write(w)
}

func (a answer) write(w http.ResponseWriter) {
	for _, key := range slices.Sorted(maps.Keys(a.header)) {
		w.Header().Set(key, a.header[key])
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client may be gone
}

func jsonHeader() map[string]string {
	return map[string]string{"Content-Type": "application/json", "API-Version": "4.3"}
}

// cutLast splits "/api/dcim/devices/7/" into "/api/dcim/devices/" and "7".
func cutLast(path string) (parent, last string, ok bool) {
	trimmed := strings.TrimSuffix(path, "/")
	i := strings.LastIndexByte(trimmed, '/')
	if i < 0 {
		return "", "", false
	}
	return trimmed[:i+1], trimmed[i+1:], true
}
