package elastic

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// dataset names what is written, as Elastic's naming scheme has it.
const dataset = "crosscheck.findings"

// version is that of all that setup creates. It grows with each change of it.
const version = 2

// The names of what setup creates.
const (
	mappingsName  = "crosscheck@mappings"
	settingsName  = "crosscheck@settings"
	customName    = "crosscheck@custom" // an administrator's own, if there is one
	templateName  = "logs-" + dataset
	viewTemplate  = "crosscheck.misconfiguration_latest"
	policyName    = "crosscheck"
	pipelineName  = "crosscheck@ingested"
	viewAlias     = "security_solution-crosscheck.misconfiguration_latest" // a name that Kibana's findings pages look for
	priority      = 350                                                    // above Elastic's logs (100) and Fleet's (200)
	syncDelay     = "60s"                                                  // a document is seen by then
	viewFrequency = "5m"
)

//go:embed setup/mappings.json
var mappings []byte

// viewIndex and transformName carry the version: a transform cannot be changed in place.
func viewIndex() string { return viewAlias + "-v" + strconv.Itoa(version) }

func transformName() string { return "crosscheck.misconfiguration_latest-v" + strconv.Itoa(version) }

// Request is one step of setting Elasticsearch up.
type Request struct {
	Kind   string          `json:"kind"` // what it creates, in Elastic's words
	Name   string          `json:"name"`
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Body   json.RawMessage `json:"body,omitempty"`
}

type object = map[string]any

// Requests are those that set a cluster up, in order. lifecycle says that the
// cluster has no ILM and data streams are kept by their own lifecycle.
func (s *Sink) Requests(lifecycle bool) []Request {
	out := []Request{
		put("ingest pipeline", pipelineName, "/_ingest/pipeline/", s.pipeline()),
		put("component template", mappingsName, "/_component_template/", s.component(object{"mappings": json.RawMessage(mappings)})),
		put("component template", settingsName, "/_component_template/", s.component(object{"settings": s.settings(lifecycle)})),
		put("index template", templateName, "/_index_template/", s.template(lifecycle)),
		put("index template", viewTemplate, "/_index_template/", s.viewTemplate()),
	}
	if !lifecycle {
		out = append([]Request{put("ILM policy", policyName, "/_ilm/policy/", s.policy())}, out...)
	}
	return append(out,
		put("data stream", s.Stream(), "/_data_stream/", nil),
		put("index", viewIndex(), "/", object{"aliases": object{viewAlias: object{}}}),
		put("transform", transformName(), "/_transform/", s.transform()),
		Request{Kind: "transform start", Name: transformName(), Method: http.MethodPost, Path: "/_transform/" + transformName() + "/_start"},
	)
}

func put(kind, name, path string, body object) Request {
	r := Request{Kind: kind, Name: name, Method: http.MethodPut, Path: path + url.PathEscape(name)}
	if body == nil {
		return r
	}
	at := body
	if policy, ok := body["policy"].(object); ok {
		at = policy // where ILM has its _meta
	}
	if _, ok := at["_meta"]; ok {
		at["_meta"] = meta{By: managedBy, Version: version, Body: audit.Digest(canonical(body))}
	}
	r.Body = canonical(body)
	return r
}

// meta is how what crosscheck made is known again.
type meta struct {
	By        string `json:"managed_by"`
	Version   int    `json:"version"`
	Body      string `json:"body,omitempty"`      // digest of what was asked for
	Installed string `json:"installed,omitempty"` // digest of what Elasticsearch made of it: another one was changed by hand
}

const managedBy = "crosscheck"

// canonical renders what we made ourselves.
func canonical(v any) json.RawMessage {
	b, err := audit.Canonical(v)
	if err != nil {
		panic(err) // a literal of ours that is no JSON
	}
	return b
}

// policy keeps history long enough for an audit of twelve months.
func (s *Sink) policy() object {
	return object{"policy": object{
		"_meta": nil,
		"phases": object{
			"hot":    object{"min_age": "0ms", "actions": object{"rollover": object{"max_age": "30d", "max_primary_shard_size": "50gb"}}},
			"delete": object{"min_age": strconv.Itoa(s.cfg.Retention) + "d", "actions": object{"delete": object{}}},
		},
	}}
}

// pipeline notes when a document arrived, by the server's clock: the transform goes by it.
func (s *Sink) pipeline() object {
	return object{
		"description": "Notes when a document of crosscheck arrived", "version": version, "_meta": nil,
		"processors": []any{object{"set": object{"field": "event.ingested", "value": "{{{_ingest.timestamp}}}"}}},
	}
}

func (s *Sink) component(template object) object {
	return object{"version": version, "_meta": nil, "template": template}
}

func (s *Sink) settings(lifecycle bool) object {
	index := object{
		"codec": "best_compression", "number_of_shards": 1, "refresh_interval": "5s", "final_pipeline": pipelineName,
		"mapping": object{"total_fields": object{"limit": 500}},
	}
	if !lifecycle {
		index["lifecycle"] = object{"name": policyName}
	}
	return object{"index": index}
}

func (s *Sink) template(lifecycle bool) object {
	t := object{"mappings": object{"properties": object{"data_stream": object{"properties": object{
		"type":      object{"type": "constant_keyword", "value": "logs"},
		"dataset":   object{"type": "constant_keyword", "value": dataset},
		"namespace": object{"type": "constant_keyword"},
	}}}}}
	if lifecycle {
		t["lifecycle"] = object{"data_retention": strconv.Itoa(s.cfg.Retention) + "d"}
	}
	return object{
		"index_patterns": []any{"logs-" + dataset + "-*"}, "priority": priority, "version": version, "_meta": nil,
		"data_stream": object{}, "template": t,
		"composed_of": []any{mappingsName, settingsName, customName}, "ignore_missing_component_templates": []any{customName},
	}
}

// viewTemplate maps the current state as history is mapped.
func (s *Sink) viewTemplate() object {
	keyword := object{"type": "keyword"}
	return object{
		"index_patterns": []any{viewAlias + "-*"}, "priority": priority, "version": version, "_meta": nil,
		"composed_of": []any{mappingsName, customName}, "ignore_missing_component_templates": []any{customName},
		"template": object{
			"settings": object{"index": object{"number_of_shards": 1, "codec": "best_compression", "mapping": object{"total_fields": object{"limit": 500}}}},
			"mappings": object{"properties": object{"data_stream": object{"properties": object{"type": keyword, "dataset": keyword, "namespace": keyword}}}},
		},
	}
}

// transform keeps the latest document of each control on each resource: what is
// open now, and what was closed, until the view forgets it.
func (s *Sink) transform() object {
	return object{
		"description": "The latest decision of each control on each resource", "_meta": nil,
		"source": object{
			"index": []any{"logs-" + dataset + "-*"},
			"query": object{"bool": object{"filter": []any{
				object{"terms": object{"crosscheck.kind": []any{kindDecision, kindClosing, kindUnconfirmed}}},
				object{"term": object{"crosscheck.run.simulated": false}},
			}, "must_not": []any{object{"term": object{"crosscheck.run.trigger": string(audit.Gate)}}}}},
		},
		"dest":             object{"index": viewIndex()},
		"latest":           object{"unique_key": []any{"rule.id", "resource.id", "data_stream.namespace"}, "sort": "@timestamp"},
		"frequency":        viewFrequency,
		"sync":             object{"time": object{"field": "event.ingested", "delay": syncDelay}},
		"retention_policy": object{"time": object{"field": "@timestamp", "max_age": strconv.Itoa(s.cfg.View) + "d"}},
		"settings":         object{"unattended": true},
	}
}

// Print renders requests as Kibana's Dev Tools takes them.
func Print(list []Request) ([]byte, error) {
	var out bytes.Buffer
	for i, r := range list {
		if i > 0 {
			out.WriteByte('\n')
		}
		fmt.Fprintf(&out, "# %s\n%s %s\n", r.Kind, r.Method, strings.TrimPrefix(r.Path, "/"))
		if len(r.Body) > 0 {
			if err := json.Indent(&out, r.Body, "", "  "); err != nil {
				return nil, err
			}
			out.WriteByte('\n')
		}
	}
	return out.Bytes(), nil
}

// HasILM asks whether the cluster moves indices by policies. Serverless ones do not.
func (s *Sink) HasILM(ctx context.Context) (bool, error) {
	err := s.ask(ctx, http.MethodGet, "/_ilm/policy/"+policyName, nil, nil)
	switch {
	case err == nil, is(err, http.StatusNotFound, "resource_not_found_exception"):
		return true, nil
	case is(err, http.StatusGone, ""), is(err, http.StatusNotFound, ""), is(err, http.StatusMethodNotAllowed, ""), is(err, http.StatusBadRequest, ""):
		return false, nil // 410 api_not_available_exception, or no handler found
	}
	return false, err
}
