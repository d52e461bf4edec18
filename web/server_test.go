package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/web"
)

// bodies are what each route that reads one accepts.
var bodies = map[string]string{
	"POST /slack/interactions":          "payload=x",
	"POST /api/v1/runs":                 `{}`,
	"POST /api/v1/reaudits":             `{"of":["STO-001"]}`,
	"POST /api/v1/deliveries/retry":     `{"sink":"slack"}`,
	"POST /api/v1/repairs":              `{"decision":"` + strings.Repeat("3", 64) + `"}`,
	"POST /api/v1/repairs/{id}/approve": `{"reason":"fine"}`,
	"POST /api/v1/repairs/{id}/deny":    `{}`,
	"POST /api/v1/repairs/{id}/settle":  `{"note":"put back by hand"}`,
	"PUT /api/v1/kill-switch":           `{"on":true}`,
}

// open are the only routes that anybody may use. A new one is a decision.
var open = []string{"GET /healthz", "GET /readyz", "GET /api/v1/openapi.json", "POST /slack/interactions"}

// query is what a route cannot be asked without.
func query(path string) string {
	if path == "/api/v1/violations/history" {
		return "?control=STO-001&resource=r"
	}
	return ""
}

// TestEveryRoute asks every route of the table without a token, with a wrong
// one, with each wrong role and with the right one.
func TestEveryRoute(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *web.Config) { c.Jobs = idleJobs(t) })
	opened := []string{}
	for _, rt := range web.RouteTable() {
		method, path, role := rt[0], rt[1], rt[2]
		name, target := method+" "+path, fill(path)+query(path)
		ask := func(secret string) int {
			t.Helper()
			return s.ask(request(method, target, bodies[name], secret)).Code
		}
		if role == "" || role == "signed" {
			opened = append(opened, name)
			if code := ask(""); code != http.StatusOK {
				t.Errorf("%s: %d", name, code)
			}
			continue
		}
		for what, secret := range map[string]string{"no token": "", "a wrong one": "wrong-wrong-wrong-wrong", "its beginning": secrets[roleFor(role)][:20], "more": secrets[roleFor(role)] + "x"} {
			w := s.ask(request(method, target, bodies[name], secret))
			if w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s with %s: %d %v", name, what, w.Code, w.Header())
			}
		}
		for _, as := range web.Roles() {
			code, want := ask(secrets[as]), http.StatusForbidden
			if as == roleFor(role) || roleFor(role) == web.Viewer {
				if code == http.StatusUnauthorized || code == http.StatusForbidden || code >= 500 && method == http.MethodGet {
					t.Errorf("%s as %s: %d", name, as, code)
				}
			} else if code != want {
				t.Errorf("%s as %s: %d, want %d", name, as, code, want)
			}
		}
	}
	if len(opened) != len(open) {
		t.Errorf("open to anybody: %q, want %q", opened, open)
	}
	for _, name := range opened {
		if !strings.Contains(strings.Join(open, "\n"), name) {
			t.Errorf("%s is open to anybody", name)
		}
	}
}

// TestEveryRouteFails has all that is served fail with an error that nobody may see.
func TestEveryRouteFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *web.Config) { c.Jobs = idleJobs(t) })
	s.fake.fail = errHidden
	failed := 0
	for _, rt := range web.RouteTable() {
		w := s.ask(request(rt[0], fill(rt[1])+query(rt[1]), bodies[rt[0]+" "+rt[1]], secrets[roleFor(rt[2])]))
		if strings.Contains(w.Body.String(), "/var/lib") {
			t.Errorf("%s %s leaks: %s", rt[0], rt[1], w.Body)
		}
		if w.Code == http.StatusInternalServerError {
			failed++
			if id := decode[web.Problem](t, w).Request; id == "" || !strings.Contains(s.log.String(), id) {
				t.Errorf("%s %s: the log has nothing of request %q", rt[0], rt[1], id)
			}
		}
	}
	if failed < 15 {
		t.Errorf("only %d routes failed", failed)
	}
	if !strings.Contains(s.log.String(), "sesame") {
		t.Error("the log does not say why")
	}
}

func TestNoTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *web.Config) { c.Tokens = nil })
	tests := map[string]struct {
		host, target, secret string
		want                 int
	}{
		"health":              {"localhost:8484", "/healthz", "", 200},
		"metrics":             {"127.0.0.1:8484", "/metrics", "", 200},
		"of version 6":        {"[::1]:8484", "/metrics", "", 200},
		"no port":             {"[::1]", "/metrics", "", 200},
		"the API is closed":   {"localhost:8484", "/api/v1/runs", "", 401},
		"whatever one sends":  {"localhost:8484", "/api/v1/runs", secrets[web.Viewer], 401},
		"an empty token":      {"localhost:8484", "/api/v1/runs", " ", 401},
		"rebound name":        {"evil.example.com", "/metrics", "", 421},
		"rebound, like ours":  {"localhost.evil.example.com:8484", "/metrics", "", 421},
		"an address not ours": {"192.0.2.1:8484", "/metrics", "", 421},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := request("GET", "http://"+tt.host+tt.target, "", tt.secret)
			if w := s.ask(r); w.Code != tt.want {
				t.Errorf("%d, want %d: %s", w.Code, tt.want, w.Body)
			}
		})
	}
}

func TestAuthorizationHeader(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	good := secrets[web.Viewer]
	for name, tt := range map[string]struct {
		values []string
		want   int
	}{
		"as it should be": {[]string{"Bearer " + good}, 200},
		"any case":        {[]string{"bearer " + good}, 200},
		"other scheme":    {[]string{"Basic " + good}, 401},
		"no scheme":       {[]string{good}, 401},
		"two of them":     {[]string{"Bearer " + good, "Bearer " + good}, 401},
		"a space more":    {[]string{"Bearer  " + good}, 401},
		"very long":       {[]string{"Bearer " + strings.Repeat("x", 10_000)}, 401},
	} {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/runs", nil)
		r.Header["Authorization"] = tt.values
		if w := s.ask(r); w.Code != tt.want {
			t.Errorf("%s: %d, want %d", name, w.Code, tt.want)
		}
	}
	if strings.Contains(s.log.String(), good) {
		t.Error("a token is in the log")
	}
}

func TestNewToken(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		name, secret string
		roles        []web.Role
	}{
		"no name":   {"", secrets[web.Viewer], []web.Role{web.Viewer}},
		"no role":   {"jo", secrets[web.Viewer], nil},
		"bad role":  {"jo", secrets[web.Viewer], []web.Role{"scraper"}},
		"too short": {"jo", "short", []web.Role{web.Viewer}},
		"a space":   {"jo", "sesame sesame sesame sesame", []web.Role{web.Viewer}},
		"a newline": {"jo", "sesame-sesame-sesame-sesame\n", []web.Role{web.Viewer}},
	} {
		if _, err := web.NewToken(tt.name, tt.roles, tt.secret); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v", name, err)
		}
	}
	one, err := web.NewToken("a", []web.Role{web.Viewer}, secrets[web.Viewer])
	if err != nil {
		t.Fatal(err)
	}
	two, err := web.NewToken("b", []web.Role{web.Approver}, secrets[web.Viewer])
	if err != nil {
		t.Fatal(err)
	}
	for name, list := range map[string][]web.Token{"are the same": {one, two}, "are called a": {one, one}, "made by NewToken": {{Name: "x"}}} {
		cfg := config(t, &fake{})
		cfg.Tokens = list
		if _, err := web.New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnknownPaths(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for target, want := range map[string]int{
		"/": 404, "/api": 404, "/api/v1/": 404, "/api/v1/runs/": 404, "//api/v1/runs": 404, "/api/v1//runs": 404, "/api/v1/runs/../packs": 404,
		"/api/v1/nothing": 404, "/api/v1/runs/" + runID + "/more": 404, "/.git/config": 404, "/api/v1/runs/./" + runID: 404,
	} {
		if w := s.as(web.Viewer, "GET", target, ""); w.Code != want {
			t.Errorf("%s: %d, want %d", target, w.Code, want)
		}
	}
	w := s.as(web.Operator, "DELETE", "/api/v1/runs", "")
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, POST" {
		t.Errorf("DELETE: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
	r := request("OPTIONS", "/api/v1/runs", "", "")
	r.Header.Set("Origin", "https://evil.example.com")
	r.Header.Set("Access-Control-Request-Method", "POST")
	if w := s.ask(r); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
}

// TestHostileIDs puts what no id is into every path that takes one.
func TestHostileIDs(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *web.Config) { c.Jobs = idleJobs(t) })
	ids := []string{
		"..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "a%00b", "%00", strings.Repeat("a", 5000), "%0d%0aX-Evil:%201", "%27%20OR%201=1",
		"%ff%fe", "%E2%80%AE", strings.Repeat("A", 64), runID + "0", "*", "%25", ";ls", "$(id)", "..;", "%5c..%5c",
	}
	for _, rt := range web.RouteTable() {
		if !strings.Contains(rt[1], "{") {
			continue
		}
		for _, id := range ids {
			target := strings.NewReplacer("{id}", id, "{run}", id).Replace(rt[1])
			w := s.ask(request(rt[0], target, bodies[rt[0]+" "+rt[1]], secrets[roleFor(rt[2])]))
			if w.Code != http.StatusNotFound && w.Code != http.StatusBadRequest {
				t.Errorf("%s %q: %d: %s", rt[0], target, w.Code, w.Body)
			}
			if w.Header().Get("X-Evil") != "" || strings.Contains(w.Body.String(), strings.Repeat("a", 100)) {
				t.Errorf("%s %q: %v %.200s", rt[0], target, w.Header(), w.Body)
			}
		}
	}
}

// TestWhoAsksIsTheToken has repairs know who asks by the token alone.
func TestWhoAsksIsTheToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.as(web.Operator, "POST", "/api/v1/repairs", `{"decision":"`+decID+`","runbook":"s3-block-public-access"}`)
	if got, want := s.fake.asked, (web.RepairRequest{Decision: decID, Runbook: "s3-block-public-access", By: "the-operator"}); got != want {
		t.Errorf("asked %+v, want %+v", got, want)
	}
	s.as(web.Approver, "POST", "/api/v1/repairs/"+runID+"/approve", `{"reason":"fine"}`)
	if got, want := s.fake.answer, (web.RepairAnswer{ID: runID, Approve: true, By: "the-approver", Reason: "fine"}); got != want {
		t.Errorf("answered %+v, want %+v", got, want)
	}
	s.as(web.Approver, "POST", "/api/v1/repairs/"+runID+"/deny", `{}`)
	if got, want := s.fake.answer, (web.RepairAnswer{ID: runID, By: "the-approver"}); got != want {
		t.Errorf("answered %+v, want %+v", got, want)
	}
	s.as(web.Operator, "POST", "/api/v1/repairs/"+runID+"/settle", `{"note":"put back"}`)
	if got, want := s.fake.note, (web.RepairNote{ID: runID, By: "the-operator", Note: "put back"}); got != want {
		t.Errorf("settled %+v, want %+v", got, want)
	}
	for body, want := range map[string]int{`{}`: 422, `{"note":""}`: 422, `{"note":"two\nlines"}`: 422, `{"note":"x","by":"somebody else"}`: 400} {
		if w := s.as(web.Operator, "POST", "/api/v1/repairs/"+runID+"/settle", body); w.Code != want {
			t.Errorf("settled by %s: %d, want %d", body, w.Code, want)
		}
	}
	s.as(web.Operator, "PUT", "/api/v1/kill-switch", `{"on":true,"reason":"stop"}`)
	if got := s.fake.stop; !got.On || got.By != "the-operator" || got.Reason != "stop" {
		t.Errorf("kill switch %+v", got)
	}
	if w := s.as(web.Approver, "POST", "/api/v1/repairs/"+runID+"/approve", `{"by":"somebody else"}`); w.Code != 400 {
		t.Errorf("a name in the body: %d", w.Code)
	}
	s.fake.fail = &web.Conflict{Message: "who asked for a repair cannot approve it", Remedy: "have somebody else approve it"}
	if w := s.as(web.Approver, "POST", "/api/v1/repairs/"+runID+"/approve", `{}`); w.Code != 409 || decode[web.Problem](t, w).Remedy != "have somebody else approve it" {
		t.Errorf("own repair: %d %s", w.Code, w.Body)
	}
}

func TestNotConfigured(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *web.Config) { c.Repairs, c.Slack, c.Metrics, c.Jobs = nil, nil, nil, nil })
	for name, tt := range map[string]struct {
		method, target, body string
		as                   web.Role
		want                 int
	}{
		"repairs": {"GET", "/api/v1/repairs", "", web.Viewer, 404}, "a repair": {"GET", "/api/v1/repairs/" + runID, "", web.Viewer, 404},
		"switch": {"GET", "/api/v1/kill-switch", "", web.Viewer, 404}, "set": {"PUT", "/api/v1/kill-switch", `{"on":true}`, web.Operator, 404},
		"request": {"POST", "/api/v1/repairs", `{"decision":"3"}`, web.Operator, 404}, "approve": {"POST", "/api/v1/repairs/" + runID + "/approve", `{}`, web.Approver, 404},
		"settle": {"POST", "/api/v1/repairs/" + runID + "/settle", `{"note":"x"}`, web.Operator, 404},
		"slack":  {"POST", "/slack/interactions", "x", "", 404}, "metrics": {"GET", "/metrics", "", web.Viewer, 404},
		"start": {"POST", "/api/v1/runs", `{}`, web.Operator, 503}, "jobs": {"GET", "/api/v1/jobs", "", web.Viewer, 200}, "job": {"GET", "/api/v1/jobs/x", "", web.Viewer, 404},
	} {
		if w := s.as(tt.as, tt.method, tt.target, tt.body); w.Code != tt.want {
			t.Errorf("%s: %d, want %d: %s", name, w.Code, tt.want, w.Body)
		}
	}
}

// TestSlackReadsItsOwnLimit: a message with buttons may be larger than what the
// API reads, above all where names in it are not of ASCII.
func TestSlackReadsItsOwnLimit(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{200 << 10: http.StatusOK, 300 << 10: http.StatusRequestEntityTooLarge} {
		s := newSite(t, func(c *web.Config) {
			c.Slack = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := io.ReadAll(r.Body); err != nil {
					w.WriteHeader(http.StatusRequestEntityTooLarge)
				}
			})
		})
		if w := s.ask(request("POST", "/slack/interactions", strings.Repeat("x", n), "")); w.Code != want {
			t.Errorf("%d bytes: %d, want %d", n, w.Code, want)
		}
	}
}

// TestSlackIsSignedAnyway: what Slack signed is answered by whatever name it comes,
// as from a proxy in front, also while no token is configured.
func TestSlackIsSignedAnyway(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *web.Config) { c.Tokens = nil })
	for target, want := range map[string]int{"/slack/interactions": http.StatusOK, "/api/v1/runs": http.StatusMisdirectedRequest} {
		r := request("POST", target, "payload=x", "")
		r.Host = "crosscheck.example.com"
		if w := s.ask(r); w.Code != want {
			t.Errorf("%s: %d, want %d: %s", target, w.Code, want, w.Body)
		}
	}
}

func TestDocumentIsServed(t *testing.T) {
	t.Parallel()
	want, err := web.Document()
	if err != nil {
		t.Fatal(err)
	}
	if w := newSite(t, nil).ask(request("GET", "/api/v1/openapi.json", "", "")); w.Body.String() != string(want) {
		t.Errorf("%d %.100s", w.Code, w.Body)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	var wrong error
	s := newSite(t, func(c *web.Config) { c.Configuration = func() error { return wrong } })
	if w := s.ask(request("GET", "/readyz", "", "")); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wrong, s.fake.fail = errHidden, errHidden
	w := s.ask(request("GET", "/readyz", "", ""))
	got := decode[struct {
		Ready   bool
		Failing []string
	}](t, w)
	if w.Code != 503 || got.Ready || strings.Join(got.Failing, " ") != "ledger configuration" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := s.ask(request("GET", "/healthz", "", "")); w.Code != 200 {
		t.Errorf("alive: %d", w.Code)
	}
}

// TestPanic has a fault of ours end one request, not the server.
func TestPanic(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *web.Config) { c.Catalog = func() audit.Catalog { panic(hidden) } })
	if w := s.as(web.Viewer, "GET", "/api/v1/controls", ""); w.Code != 500 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(s.log.String(), "please report it") {
		t.Error("the log says nothing")
	}
}

// TestRunTellsNoPaths has what a run says of this machine stay here.
func TestRunTellsNoPaths(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	w := s.as(web.Viewer, "GET", "/api/v1/runs/"+runID[:6], "")
	if w.Code != 200 || strings.Contains(w.Body.String(), "/srv/") || strings.Contains(w.Body.String(), "host-") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
