package elastic_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/report/elastic"
)

// saved is one of Kibana's saved objects, as its import takes them.
type saved struct {
	Type       string
	ID         string
	Attributes json.RawMessage
	References []struct{ ID, Name, Type string }
	Core       string `json:"coreMigrationVersion"`
	Version    string `json:"typeMigrationVersion"`
}

// No Kibana can be had here. What follows is transcribed from its own schemas of
// 8.8 (saved_search/server/saved_objects/schema.ts SCHEMA_SEARCH_V8_8_0,
// dashboard_saved_object/schema/v1/v1.ts, data_views' DataViewAttributes and
// Lens's own state), all of which forbid or ignore what they do not know; here
// all of it is forbidden. Each list is: required, then optional with a ?.
var schemas = map[string]string{
	"index-pattern": "title name timeFieldName fieldAttrs fieldFormatMap fields runtimeFieldMap sourceFilters allowNoIndex? typeMeta? type?",
	"search": "title kibanaSavedObjectMeta description? columns? sort? grid? rowHeight? rowsPerPage? hideChart? breakdownField? isTextBasedQuery? " +
		"usesAdHocDataView? timeRestore? timeRange? refreshInterval? viewMode? hideAggregatedPreview? hits? version?",
	"dashboard": "title kibanaSavedObjectMeta panelsJSON description? timeRestore? timeFrom? timeTo? refreshInterval? controlGroupInput? optionsJSON? hits? version?",
	"lens":      "title state visualizationType description?",

	"searchSource":     "query filter indexRefName?",
	"query":            "query language",
	"meta":             "searchSourceJSON",
	"dashboard option": "useMargins? syncColors? syncCursor? syncTooltips? hidePanelTitles?",
	"panel":            "version type gridData panelIndex embeddableConfig panelRefName title?",
	"grid":             "x y w h i",
	"lens state":       "datasourceStates visualization query filters internalReferences? adHocDataViews?",
	"layer":            "columnOrder columns incompleteColumns",
	"column":           "label dataType operationType isBucketed sourceField scale? params? customLabel? filter?",
	"runtime field":    "type script",
}

// oldest are the versions that the objects are written for: those of 8.8 or before.
var oldest = map[string]string{"index-pattern": "8.0.0", "search": "7.9.3", "lens": "8.6.0", "dashboard": "8.7.0"}

// strict decodes an object and fails on keys that its schema does not have, or misses.
func strict(t *testing.T, at, schema string, raw []byte) map[string]json.RawMessage {
	t.Helper()
	var o map[string]json.RawMessage
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	known := map[string]bool{}
	for _, key := range strings.Fields(schemas[schema]) {
		name, optional := strings.CutSuffix(key, "?")
		known[name] = true
		if _, ok := o[name]; !ok && !optional {
			t.Errorf("%s: %s is missing", at, name)
		}
	}
	for key := range o {
		if !known[key] {
			t.Errorf("%s: Kibana's schema of a %s has no %s", at, schema, key)
		}
	}
	return o
}

// unquote parses a member that is JSON in a string.
func unquote(t *testing.T, at string, raw json.RawMessage) []byte {
	t.Helper()
	var text string
	if err := json.Unmarshal(raw, &text); err != nil || !json.Valid([]byte(text)) {
		t.Fatalf("%s: no JSON in a string: %s", at, raw)
	}
	return []byte(text)
}

func kibana(t *testing.T) map[string]saved {
	t.Helper()
	out := map[string]saved{}
	for i, line := range bytes.Split(bytes.TrimSuffix(configs.Kibana(), []byte("\n")), []byte("\n")) {
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		var s saved
		if err := d.Decode(&s); err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		if _, twice := out[s.Type+" "+s.ID]; twice {
			t.Errorf("%s %s is there twice", s.Type, s.ID)
		}
		if oldest[s.Type] == "" || s.Version != oldest[s.Type] || s.Core != "8.8.0" {
			t.Errorf("%s %s is of version %s, core %s", s.Type, s.ID, s.Version, s.Core)
		}
		out[s.Type+" "+s.ID] = s
	}
	return out
}

// TestKibana checks configs/kibana offline: every object against its schema, every
// reference, every field against what is mapped, and that what is asked for is there.
func TestKibana(t *testing.T) {
	t.Parallel()
	objects := kibana(t)
	fields := map[string]map[string]string{}
	for key, s := range objects {
		if s.Type == "index-pattern" {
			fields[s.ID] = checkView(t, key, s)
		}
		for _, r := range s.References {
			if _, ok := objects[r.Type+" "+r.ID]; !ok {
				t.Errorf("%s refers to %s %s, which is not there", key, r.Type, r.ID)
			}
		}
	}
	for key, s := range objects {
		switch s.Type {
		case "search":
			checkSearch(t, key, s, fields)
		case "lens":
			checkLens(t, key, s, fields)
		case "dashboard":
			checkDashboard(t, key, s)
		}
	}
	want := strings.Fields("crosscheck-open crosscheck-by-requirement crosscheck-by-owner crosscheck-first-seen-today crosscheck-not-evaluated crosscheck-exceptions-expiring")
	for _, id := range want {
		if _, ok := objects["search "+id]; !ok {
			t.Errorf("there is no search %s", id)
		}
	}
}

// checkView checks a data view, and gives the fields that it has: the mapped ones and its own.
func checkView(t *testing.T, at string, s saved) map[string]string {
	t.Helper()
	a := strict(t, at, s.Type, s.Attributes)
	for _, member := range []string{"fieldAttrs", "fieldFormatMap", "fields", "sourceFilters"} {
		unquote(t, at+" "+member, a[member])
	}
	var title string
	if err := json.Unmarshal(a["title"], &title); err != nil || title != "logs-crosscheck.findings-*" && title != "security_solution-crosscheck.misconfiguration_latest" {
		t.Errorf("%s is of %s", at, a["title"])
	}
	out := maps.Clone(mapped(t))
	var runtime map[string]json.RawMessage
	if err := json.Unmarshal(unquote(t, at, a["runtimeFieldMap"]), &runtime); err != nil {
		t.Fatal(err)
	}
	for name, raw := range runtime {
		strict(t, at+" "+name, "runtime field", raw)
		out[name] = "runtime"
	}
	return out
}

// kql finds the fields in a query.
var kql = regexp.MustCompile(`([@A-Za-z_][\w.@]*)\s*(?::|>=|<=|<|>)`)

func query(t *testing.T, at string, raw []byte, known map[string]string) {
	t.Helper()
	o := strict(t, at, "query", raw)
	var text, language string
	if json.Unmarshal(o["query"], &text) != nil || json.Unmarshal(o["language"], &language) != nil || language != "kuery" {
		t.Fatalf("%s: %s", at, raw)
	}
	found := kql.FindAllStringSubmatch(text, -1)
	if text != "" && len(found) == 0 {
		t.Errorf("%s: no field is found in %q", at, text)
	}
	for _, m := range found {
		mustHave(t, at, m[1], known)
	}
}

func mustHave(t *testing.T, at, field string, known map[string]string) {
	t.Helper()
	if _, ok := known[field]; !ok {
		t.Errorf("%s: there is no field %s", at, field)
	}
}

// viewOf gives the fields of the data view that an object refers to by a name.
func viewOf(t *testing.T, at string, s saved, name string, fields map[string]map[string]string) map[string]string {
	t.Helper()
	for _, r := range s.References {
		if r.Name == name && r.Type == "index-pattern" && len(s.References) == 1 {
			return fields[r.ID]
		}
	}
	t.Fatalf("%s does not refer to a data view as %s", at, name)
	return nil
}

func checkSearch(t *testing.T, at string, s saved, fields map[string]map[string]string) {
	t.Helper()
	a := strict(t, at, s.Type, s.Attributes)
	source := strict(t, at, "searchSource", unquote(t, at, strict(t, at, "meta", a["kibanaSavedObjectMeta"])["searchSourceJSON"]))
	var ref string
	var columns []string
	var sort [][2]string
	for raw, into := range map[string]any{string(source["indexRefName"]): &ref, string(a["columns"]): &columns, string(a["sort"]): &sort} {
		if err := json.Unmarshal([]byte(raw), into); err != nil {
			t.Fatalf("%s: %v", at, err)
		}
	}
	known := viewOf(t, at, s, ref, fields)
	query(t, at, source["query"], known)
	for _, c := range columns {
		mustHave(t, at, c, known)
	}
	for _, by := range sort {
		mustHave(t, at, by[0], known)
		if typ := known[by[0]]; typ == "text" || by[1] != "asc" && by[1] != "desc" {
			t.Errorf("%s is sorted by %s, which is %s, %s", at, by[0], typ, by[1])
		}
	}
}

// kinds of visualisations, and the members by which each names columns.
var kinds = map[string][]string{
	"lnsMetric": {"metricAccessor"}, "lnsDatatable": {"columns"}, "lnsXY": {"layers"}, "lnsPie": {"layers"},
}

func checkLens(t *testing.T, at string, s saved, fields map[string]map[string]string) {
	t.Helper()
	a := strict(t, at, s.Type, s.Attributes)
	state := strict(t, at, "lens state", a["state"])
	var sources struct {
		FormBased struct{ Layers map[string]json.RawMessage }
	}
	if err := json.Unmarshal(state["datasourceStates"], &sources); err != nil || len(sources.FormBased.Layers) != 1 {
		t.Fatalf("%s: %d layers, %v", at, len(sources.FormBased.Layers), err)
	}
	for layer, raw := range sources.FormBased.Layers {
		known := viewOf(t, at, s, "indexpattern-datasource-layer-"+layer, fields)
		query(t, at, state["query"], known)
		l := strict(t, at, "layer", raw)
		var order []string
		var columns map[string]json.RawMessage
		if json.Unmarshal(l["columnOrder"], &order) != nil || json.Unmarshal(l["columns"], &columns) != nil || len(order) != len(columns) {
			t.Fatalf("%s: %s", at, raw)
		}
		for id, c := range columns {
			column(t, at+" "+id, c, order, known)
		}
		visual(t, at, a["visualizationType"], state["visualization"], layer, order)
	}
}

func column(t *testing.T, at string, raw []byte, order []string, known map[string]string) {
	t.Helper()
	o := strict(t, at, "column", raw)
	var c struct {
		SourceField, OperationType, DataType string
		Params                               struct {
			SortField string
			OrderBy   struct{ ColumnID string }
		}
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	if o["filter"] != nil {
		query(t, at, o["filter"], known)
	}
	numeric := []string{"long", "float", "runtime", "date"}
	switch typ := known[c.SourceField]; c.OperationType {
	case "count":
		if c.SourceField != "___records___" {
			t.Errorf("%s counts %s", at, c.SourceField)
		}
	case "terms":
		if typ != "keyword" || !slices.Contains(order, c.Params.OrderBy.ColumnID) {
			t.Errorf("%s: terms of %s (%q) by %q", at, c.SourceField, typ, c.Params.OrderBy.ColumnID)
		}
	case "min", "max", "sum":
		if !slices.Contains(numeric, typ) {
			t.Errorf("%s: %s of %s (%q)", at, c.OperationType, c.SourceField, typ)
		}
	case "last_value":
		if known[c.Params.SortField] != "date" || typ == "" || (c.DataType == "number") != slices.Contains(numeric, typ) {
			t.Errorf("%s: last value of %s (%q) as %s by %s", at, c.SourceField, typ, c.DataType, c.Params.SortField)
		}
	case "date_histogram":
		if typ != "date" {
			t.Errorf("%s: a histogram of %s (%q)", at, c.SourceField, typ)
		}
	default:
		t.Errorf("%s: Lens has no operation %s that is known here", at, c.OperationType)
	}
}

// visual checks that a visualisation shows each column of its layer, and no other.
func visual(t *testing.T, at string, kind, raw json.RawMessage, layer string, order []string) {
	t.Helper()
	var name string
	var v map[string]json.RawMessage
	if json.Unmarshal(kind, &name) != nil || kinds[name] == nil || json.Unmarshal(raw, &v) != nil {
		t.Fatalf("%s: %s %s", at, kind, raw)
	}
	for _, member := range kinds[name] {
		if v[member] == nil {
			t.Errorf("%s: a %s without %s", at, name, member)
		}
	}
	for _, id := range order {
		if !bytes.Contains(raw, fmt.Appendf(nil, "%q", id)) {
			t.Errorf("%s does not show its column %s", at, id)
		}
	}
	if !bytes.Contains(raw, fmt.Appendf(nil, "%q", layer)) {
		t.Errorf("%s does not show its layer", at)
	}
}

func checkDashboard(t *testing.T, at string, s saved) {
	t.Helper()
	a := strict(t, at, s.Type, s.Attributes)
	strict(t, at, "searchSource", unquote(t, at, strict(t, at, "meta", a["kibanaSavedObjectMeta"])["searchSourceJSON"]))
	strict(t, at, "dashboard option", unquote(t, at, a["optionsJSON"]))
	var panels []json.RawMessage
	if err := json.Unmarshal(unquote(t, at, a["panelsJSON"]), &panels); err != nil {
		t.Fatal(err)
	}
	refs, age := map[string]string{}, false
	for _, r := range s.References {
		refs[r.Name] = r.Type
		age = age || r.ID == "crosscheck-age"
	}
	if !age {
		t.Errorf("%s does not show the age of the last complete run", at)
	}
	if len(panels) != len(refs) {
		t.Errorf("%s has %d panels and %d references", at, len(panels), len(refs))
	}
	taken := map[[2]int]bool{}
	for _, raw := range panels {
		strict(t, at, "grid", strict(t, at, "panel", raw)["gridData"])
		var p struct {
			Type, PanelIndex, PanelRefName string
			GridData                       struct {
				X, Y, W, H int
				I          string
			}
		}
		if err := json.Unmarshal(raw, &p); err != nil {
			t.Fatal(err)
		}
		g := p.GridData
		if refs[p.PanelIndex+":"+p.PanelRefName] != p.Type || g.I != p.PanelIndex || g.X+g.W > 48 {
			t.Errorf("%s: panel %+v", at, p)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if taken[[2]int{x, y}] {
					t.Fatalf("%s: panel %s lies over another", at, p.PanelIndex)
				}
				taken[[2]int{x, y}] = true
			}
		}
	}
}

// mapped gives the fields of setup/mappings.json with their types.
func mapped(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	var walk func(prefix string, o map[string]any)
	walk = func(prefix string, o map[string]any) {
		for name, v := range o {
			f := v.(map[string]any)
			if typ, ok := f["type"].(string); ok {
				out[prefix+name] = typ
				if f["enabled"] == false {
					out[prefix+name] = "disabled"
				}
			}
			if below, ok := f["properties"].(map[string]any); ok {
				walk(prefix+name+".", below)
			}
			if below, ok := f["fields"].(map[string]any); ok {
				walk(prefix+name+".", below)
			}
		}
	}
	var m struct {
		Dynamic    bool
		Properties map[string]any
	}
	m.Dynamic = true
	if err := json.Unmarshal(elastic.Mappings(), &m); err != nil || m.Dynamic {
		t.Fatalf("%v: dynamic is %v", err, m.Dynamic)
	}
	walk("", m.Properties)
	return out
}
