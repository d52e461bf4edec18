//go:build e2e

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

const loopConfig = `
api:
  listen: 127.0.0.1:0
  tokens:
    - {name: jo, roles: [operator, auditor], token: {file: operator.token}}
    - {name: sam, roles: [approver], token: {file: approver.token}}
schedules: [{name: nightly, cron: "0 3 1 1 *"}]
log: {format: json}
`

const loopSigning = "8f742231b10e8888abcd99yyyzzz85a5"

// loop is the daemon with all that it is connected to.
type loop struct {
	*live
	d               asking
	elastic, stream string
	slack           *slackHook
}

func newLoop(t *testing.T) *loop {
	t.Helper()
	l := &loop{live: newLive(t), d: asking{t: t}, slack: newWebhook(t), elastic: os.Getenv("CROSSCHECK_ELASTICSEARCH")}
	if l.elastic == "" {
		t.Fatal("CROSSCHECK_ELASTICSEARCH must be the URL of an Elasticsearch for tests: make e2e sets it")
	}
	ns := fmt.Sprintf("loop%d", time.Now().UnixNano())
	l.stream = "logs-crosscheck.findings-" + ns
	t.Cleanup(func() { askElastic(t, l.elastic, http.MethodDelete, "/_data_stream/"+l.stream, "") })
	b, err := os.ReadFile(l.path("crosscheck.yaml"))
	ok(t, err)
	config := strings.NewReplacer(
		"approvers: [user:boss]", "approvers: [token:sam, slack:kim]",
		"sinks: {pack: {}}", "sinks:\n  pack: {}\n  elasticsearch: {url: \""+l.elastic+"\", namespace: "+ns+"}\n"+
			"  slack:\n    webhook: {env: HOOK}\n    signing_secret: {env: SIGNING}\n    people: {U0123456789: {name: kim, roles: [approver]}}\n",
	).Replace(string(b)) + loopConfig
	l.write(t, "crosscheck.yaml", config)
	l.write(t, "operator.token", strings.Repeat("o", 48)+"\n")
	l.write(t, "approver.token", strings.Repeat("a", 48)+"\n")
	return l
}

// say prints a line of the demonstration.
func (l *loop) say(format string, args ...any) { l.d.t.Logf(format, args...) }

func (l *loop) operator(method, path, body string) string {
	l.d.t.Helper()
	code, out := l.d.ask(strings.Repeat("o", 48), method, path, body)
	if code >= 300 {
		l.d.t.Fatalf("%s %s: %d %s", method, path, code, out)
	}
	return out
}

// run has the daemon audit everything, and gives the run.
func (l *loop) run() string {
	l.d.t.Helper()
	var job struct{ ID, Status, Run, Detail string }
	ok(l.d.t, json.Unmarshal([]byte(l.operator(http.MethodPost, "/api/v1/runs", `{"audit":"nightly"}`)), &job))
	id := job.ID
	await(l.d.t, "the audit", func() bool {
		ok(l.d.t, json.Unmarshal([]byte(l.operator(http.MethodGet, "/api/v1/jobs/"+id, "")), &job))
		return job.Status == "done" || job.Status == "failed"
	})
	if job.Status != "done" {
		l.d.t.Fatalf("the audit: %+v", job)
	}
	return job.Run
}

// repairOf waits until the repair by a runbook on a resource is in a state.
func (l *loop) repairOf(runbook, resource string, state audit.RepairState) (r audit.Repair) {
	l.d.t.Helper()
	await(l.d.t, "the repair by "+runbook+" to be "+string(state), func() bool {
		var list struct{ Repairs []audit.Repair }
		ok(l.d.t, json.Unmarshal([]byte(l.operator(http.MethodGet, "/api/v1/repairs?runbook="+runbook, "")), &list))
		for _, x := range list.Repairs {
			if strings.HasSuffix(x.Resource, "/"+resource) {
				r = x
				return r.State == state || r.State.Settled()
			}
		}
		return false
	})
	if r.State != state {
		l.d.t.Fatalf("the repair by %s is %s, not %s: %s", runbook, r.State, state, r.Reason)
	}
	return r
}

// posted waits for a message in Slack.
func (l *loop) posted(what string, all *[]string, want *regexp.Regexp) string {
	l.d.t.Helper()
	var found string
	await(l.d.t, what+" in Slack", func() bool {
		*all = append(*all, l.slack.take()...)
		for _, m := range *all {
			if want.MatchString(m) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// press presses a button as Slack reports it.
func (l *loop) press(user, action, repair string) int {
	l.d.t.Helper()
	payload, err := json.Marshal(map[string]any{
		"type": "block_actions", "user": map[string]any{"id": user}, "response_url": "https://hooks.slack.com/actions/T0/1/x",
		"actions": []any{map[string]any{"type": "button", "action_id": action, "block_id": "crosscheck_repair", "value": repair, "action_ts": fmt.Sprintf("%d.000001", time.Now().Unix())}},
	})
	ok(l.d.t, err)
	body := "payload=" + url.QueryEscape(string(payload))
	ts := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(loopSigning))
	mac.Write([]byte("v0:" + ts + ":" + body))
	r, err := http.NewRequestWithContext(l.d.t.Context(), http.MethodPost, l.d.url+"/slack/interactions", strings.NewReader(body))
	ok(l.d.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Slack-Request-Timestamp", ts)
	r.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(r)
	ok(l.d.t, err)
	ok(l.d.t, resp.Body.Close())
	return resp.StatusCode
}

// found are the documents of a query in Elasticsearch.
func (l *loop) found(query string) (out []map[string]any) {
	l.d.t.Helper()
	askElastic(l.d.t, l.elastic, http.MethodPost, "/"+l.stream+"/_refresh", "")
	b := askElastic(l.d.t, l.elastic, http.MethodPost, "/"+l.stream+"/_search", `{"size": 100, "query": {"query_string": {"query": `+strconv.Quote(query)+`}}}`)
	var answer struct {
		Hits struct {
			Hits []struct {
				Source map[string]any `json:"_source"`
			}
		}
	}
	ok(l.d.t, json.Unmarshal(b, &answer))
	for _, h := range answer.Hits.Hits {
		out = append(out, h.Source)
	}
	return out
}

// TestLoop is the demonstration: on an AWS account and a cluster something is
// violated, Slack tells it, a repair of each is approved, one over HTTP and one by
// a button, done, proved by a re-audit, closed, and found in Elasticsearch by one
// search with all IDs. AWS is moto, the cluster a kube-apiserver, Elasticsearch a
// real one; Slack is a stand-in.
func TestLoop(t *testing.T) {
	l := newLoop(t)
	l.seed(t)
	env := []string{
		"HOOK=" + l.slack.URL + "/services/T0/B0/canarysecret", "SIGNING=" + loopSigning, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
	}
	cmd, stderr := startDaemon(t, l.home, env...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(stderr.String())
		}
	})
	var address []string
	await(t, "an address", func() bool { address = answeringAt.FindStringSubmatch(stderr.String()); return address != nil })
	l.d = asking{t, l.home, "http://" + address[1]}
	l.say("1. crosscheck daemon answers at %s", l.d.url)

	run := l.run()
	l.say("2. run %s", run)
	l.timed(t, run)
	var said []string
	l.posted("the run", &said, regexp.MustCompile(regexp.QuoteMeta(l.name)))
	bucket := l.repairOf("s3-block-public-access", l.name, audit.RepairRequested)
	web := l.repairOf("kubernetes-drop-privileges", l.name+"/web", audit.RepairRequested)
	l.say("3. violated: %s by %s, %s by %s", bucket.Resource, bucket.Decision, web.Resource, web.Decision)
	message := l.posted("the buttons", &said, regexp.MustCompile(`"action_id":"[^"]*approve[^"]*"[^{}]*"value":"`+web.ID+`"|"value":"`+web.ID+`"`))
	l.say("4. Slack asks: %d messages, repair %s with buttons", len(said), short(web.ID))

	if code, body := l.d.ask(strings.Repeat("o", 48), http.MethodPost, "/api/v1/repairs/"+bucket.ID+"/approve", `{}`); code != http.StatusForbidden {
		t.Errorf("an operator approves: %d %s", code, body)
	}
	if code, body := l.d.ask(strings.Repeat("a", 48), http.MethodPost, "/api/v1/repairs/"+bucket.ID+"/approve", `{}`); code != http.StatusOK {
		t.Fatalf("approve: %d %s", code, body)
	}
	action := regexp.MustCompile(`"action_id":"([^"]*approve[^"]*)"`).FindStringSubmatch(message)
	if action == nil {
		t.Fatalf("no button to approve in %s", message)
	}
	if code := l.press("U0999999999", action[1], web.ID); code >= 500 {
		t.Errorf("a stranger's click: %d", code)
	}
	if code := l.press("U0123456789", action[1], web.ID); code != http.StatusOK {
		t.Fatalf("the click: %d", code)
	}
	l.say("5. approved: %s by token:sam over HTTP, %s by slack:kim with a button", short(bucket.ID), short(web.ID))

	bucket = l.repairOf("s3-block-public-access", l.name, audit.RepairVerified)
	web = l.repairOf("kubernetes-drop-privileges", l.name+"/web", audit.RepairVerified)
	for by, r := range map[string]audit.Repair{"token:sam": bucket, "slack:kim": web} {
		if r.Decided.By != by || r.Verified.Outcome != audit.Pass || r.Verified.Decision == r.Decision {
			t.Errorf("repair %s: decided by %+v, verified %+v", r.ID, r.Decided, r.Verified)
		}
		l.say("6. repaired: %s → repair %s → %s (%s) in run %s", short(r.Decision), short(r.ID), short(r.Verified.Decision), r.Verified.Outcome, short(r.Verified.Run))
		var history struct{ Violations []audit.Spell }
		ok(t, json.Unmarshal([]byte(l.operator(http.MethodGet, "/api/v1/violations/history?control="+r.Control+"&resource="+url.QueryEscape(r.Resource), "")), &history))
		if len(history.Violations) != 1 || history.Violations[0].How != audit.Fixed || history.Violations[0].Repair != r.ID || history.Violations[0].Closed.Run != r.Verified.Run {
			t.Errorf("the violation of %s: %+v", r.Resource, history.Violations)
		}
		l.searchable(r, run)
	}
	l.posted("what became of it", &said, regexp.MustCompile(short(bucket.ID)))
	// A pack is owed like anything else: what the daemon did not come to is delivered by the next process.
	stopDaemon(t, cmd, stderr)
	l.exits(t, []int{exitOK}, env, "deliveries", "retry")
	if strings.Contains(stderr.String(), "canarysecret") || strings.Contains(stderr.String(), loopSigning) {
		t.Error("the log holds a secret")
	}
	l.packed(t, bucket, web)
}

// timed sees that the daemon timed each request to AWS and the cluster that its
// first run says to have made, and nothing else.
func (l *loop) timed(t *testing.T, run string) {
	t.Helper()
	in, err := l.app.open(t.Context())
	ok(t, err)
	defer func() { _ = in.close() }()
	recorded, err := in.ledger.Run(t.Context(), run)
	ok(t, err)
	want, got := map[string]int64{}, map[string]int64{}
	for _, s := range recorded.Snapshots {
		for _, c := range s.Calls {
			want[audit.SourceOf(s.Origin)] += c.Requests
		}
	}
	scraped := l.operator(http.MethodGet, "/metrics", "")
	for _, m := range regexp.MustCompile(`(?m)^crosscheck_source_call_duration_seconds_count\{operation="([^"]*)",result="(ok|failed)",source="([a-z]+)"\} ([0-9]+)$`).FindAllStringSubmatch(scraped, -1) {
		n, err := strconv.ParseInt(m[4], 10, 64)
		ok(t, err)
		got[m[3]] += n
		if strings.Contains(m[1], l.name) {
			t.Errorf("an operation is called by a name of the estate: %s", m[0])
		}
	}
	if want["aws"] == 0 || want["kubernetes"] == 0 || !maps.Equal(got, want) {
		t.Errorf("timed are %v requests, run %s says that it made %v", got, short(run), want)
	}
	l.say("   timed: %v requests", got)
}

// searchable sees that one search finds all of a violation, with all IDs.
func (l *loop) searchable(r audit.Repair, run string) {
	l.d.t.Helper()
	var docs []map[string]any
	await(l.d.t, "the documents of "+r.Resource, func() bool {
		docs = l.found(`resource.id:"` + r.Resource + `" AND rule.id:"` + r.Control + `"`)
		b, err := json.Marshal(docs)
		ok(l.d.t, err)
		for _, id := range []string{r.Decision, r.ID, r.Verified.Run, run} {
			if !strings.Contains(string(b), id) {
				return false
			}
		}
		return true
	})
	closed := l.found(`resource.id:"` + r.Resource + `" AND rule.id:"` + r.Control + `" AND crosscheck.closed.how:fixed AND crosscheck.repair.id:"` + r.ID + `"`)
	if len(closed) == 0 {
		l.d.t.Errorf("no document says that repair %s fixed it", r.ID)
	}
	l.say("7. searchable: %d documents of %s by %s, closed by the repair in %d", len(docs), r.Resource, r.Control, len(closed))
}

// packed verifies the packs of the re-audits, which show the repairs.
func (l *loop) packed(t *testing.T, repairs ...audit.Repair) {
	t.Helper()
	in, err := l.app.open(t.Context())
	ok(t, err)
	defer func() { _ = in.close() }()
	for _, r := range repairs {
		p, there, err := in.ledger.Pack(t.Context(), r.Verified.Run)
		if err != nil || !there {
			t.Fatalf("no pack of run %s: %v", r.Verified.Run, err)
		}
		l.out.Reset()
		if err := l.app.verifyPacks(t.Context(), []string{p.Path}, "", "table"); err != nil {
			t.Fatalf("%s: %v\n%s", p.Path, err, l.out)
		}
		l.say("8. pack %s verifies", p.Path)
	}
}
