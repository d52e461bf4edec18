package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/web"
)

func TestQueries(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for target, want := range map[string]int{
		"/api/v1/runs?limit=1001": 400, "/api/v1/runs?limit=0": 400, "/api/v1/runs?limit=-1": 400, "/api/v1/runs?limit=1e3": 400, "/api/v1/runs?limit=": 400,
		"/api/v1/runs?limit=1&limit=2": 400, "/api/v1/runs?status=running": 400, "/api/v1/runs?before=x": 400, "/api/v1/runs?a;b": 400, "/api/v1/runs?%zz": 400,
		"/api/v1/decisions?control=STO-1": 400, "/api/v1/decisions?excepted=true": 400, "/api/v1/decisions?outcome=fine": 400, "/api/v1/decisions?run=LATEST": 400,
		"/api/v1/decisions?resource=" + strings.Repeat("a", 3000): 400, "/api/v1/decisions?resource=a%00b": 400, "/api/v1/decisions?resource=%ff": 400,
		"/api/v1/decisions?x=" + strings.Repeat("a", 20000): 400, "/api/v1/violations?since=yesterday": 400, "/api/v1/violations?state=gone": 400,
		"/api/v1/violations/history": 400, "/api/v1/violations/history?control=STO-001": 400, "/api/v1/controls?framework=none": 422, "/api/v1/controls/STO-999": 404,
		"/api/v1/runs?trigger=schedule&status=complete&audit=nightly&limit=2": 200, "/api/v1/decisions?run=latest&outcome=all&excepted=no": 200,
		"/api/v1/violations?state=all&since=2026-11-01&outcome=fail": 200, "/api/v1/controls?framework=soc2-2017&severity=high": 200, "/api/v1/runs/" + runID + "?x=1": 400,
	} {
		if w := s.as(web.Viewer, "GET", target, ""); w.Code != want {
			t.Errorf("%.80s: %d, want %d: %s", target, w.Code, want, w.Body)
		}
	}
}

// TestQueriesReachWhoAnswers follows the filters of lists.
func TestQueriesReachWhoAnswers(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.as(web.Viewer, "GET", "/api/v1/decisions?run=51c0&control=STO-001&outcome=pass&resource=*www*&excepted=yes&limit=7&after=STO-001%20x", "")
	q := s.fake.query
	if q.Run != "51c0" || q.Control != "STO-001" || q.Outcome != "pass" || q.Resource != "*www*" || q.Excepted == nil || !*q.Excepted || q.Limit != 7 || q.After != "STO-001 x" {
		t.Errorf("decisions: %+v", q)
	}
	s.as(web.Viewer, "GET", "/api/v1/violations?state=closed&control=STO-001&outcome=fail&owner=web&origin=o&resource=r&since=2026-11-01&limit=9&after=n", "")
	v := s.fake.spells
	if v.State != audit.ClosedSpells || len(v.Controls) != 1 || v.Outcome != audit.Fail || v.Owner != "web" || v.Origin != "o" || v.Resource != "r" || v.Since.IsZero() || v.Limit != 9 || v.After != "n" {
		t.Errorf("violations: %+v", v)
	}
	s.as(web.Viewer, "GET", "/api/v1/violations?state=open", "")
	if s.fake.spells.State != audit.OpenSpells {
		t.Errorf("state %q", s.fake.spells.State)
	}
	runs := decode[struct {
		Runs []web.RunSummary
		Next string
	}](t, s.as(web.Viewer, "GET", "/api/v1/runs?limit=2", ""))
	if len(runs.Runs) != 2 || runs.Next != runID {
		t.Errorf("%d runs, next %q", len(runs.Runs), runs.Next)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *web.Config) { c.Jobs = idleJobs(t) })
	tests := map[string]struct {
		target, body string
		want         int
	}{
		"too large":       {"/api/v1/reaudits", `{"of":["` + strings.Repeat("a", 70_000) + `"]}`, 413},
		"too many":        {"/api/v1/reaudits", `{"of":[` + strings.Repeat(`"a",`, 600) + `"a"]}`, 422},
		"nothing of":      {"/api/v1/reaudits", `{"of":[]}`, 422},
		"no owner":        {"/api/v1/reaudits", `{"owners":[""]}`, 422},
		"an empty word":   {"/api/v1/reaudits", `{"of":[""]}`, 422},
		"a NUL":           {"/api/v1/reaudits", `{"of":["a\u0000"]}`, 422},
		"a number":        {"/api/v1/reaudits", `{"of":1}`, 400},
		"no JSON":         {"/api/v1/reaudits", `{`, 400},
		"two values":      {"/api/v1/reaudits", `{"of":["a"]}{}`, 400},
		"unknown field":   {"/api/v1/reaudits", `{"of":["a"],"scope":1}`, 400},
		"deep":            {"/api/v1/reaudits", `{"of":` + strings.Repeat("[", 20_000) + `}`, 400},
		"nothing to try":  {"/api/v1/deliveries/retry", `{}`, 422},
		"no sink":         {"/api/v1/deliveries/retry", `{"sink":"../x"}`, 422},
		"no status":       {"/api/v1/deliveries/retry", `{"sink":"slack","status":"lost"}`, 422},
		"all once more":   {"/api/v1/deliveries/retry", `{"sink":"slack","again":true}`, 422},
		"of all sinks":    {"/api/v1/deliveries/retry", `{"subject":"5","again":true}`, 422},
		"no decision":     {"/api/v1/repairs", `{"decision":"../x"}`, 422},
		"no runbook":      {"/api/v1/repairs", `{"decision":"3","runbook":"../x"}`, 422},
		"scope and audit": {"/api/v1/runs", `{"audit":"nightly","severity":"high"}`, 422},
		"severity":        {"/api/v1/runs", `{"severity":"worst"}`, 422},
	}
	for name, tt := range tests {
		if w := s.as(web.Operator, "POST", tt.target, tt.body); w.Code != tt.want {
			t.Errorf("%s: %d, want %d: %s", name, w.Code, tt.want, w.Body)
		}
	}
	if w := s.as(web.Operator, "PUT", "/api/v1/kill-switch", `{}`); w.Code != 422 {
		t.Errorf("kill switch: %d", w.Code)
	}
	r := request("POST", "/api/v1/reaudits", `{"of":["STO-001"]}`, secrets[web.Operator])
	r.Header.Set("Content-Type", "text/plain") // which a page elsewhere may send without asking
	if w := s.ask(r); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("text/plain: %d", w.Code)
	}
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", "limit=5&resource=*x*", "limit=99999999999999999999", "a=%00", "%", "limit=1;limit=2", "since=2026-11-21T08:00:00Z", "excepted=yes&excepted=no", "resource=\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		values, limit, _ := web.QueryErrors(raw)
		if limit < 1 || limit > 1000 {
			t.Errorf("limit %d", limit)
		}
		for k, v := range values {
			if len(v) > 2048 || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("%s = %q", k, v)
			}
			if !strings.Contains("limit resource since excepted outcome control", k) {
				t.Errorf("%q got through", k)
			}
		}
	})
}
