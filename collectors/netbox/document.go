package netbox

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// document makes an object a resource: secrets replaced, what is missing noted.
func (c *Collector) document(e endpoint, origin string, id int32, data map[string]any) audit.Resource {
	native := strconv.Itoa(int(id))
	r := audit.Resource{
		ID: audit.ResourceID(origin, e.typ, native), Origin: origin, Source: audit.NetBox, Type: e.typ, Data: data,
		Name: cmp.Or(text(data["name"]), text(data["address"]), text(data["prefix"]), text(data["display"]), native),
	}
	c.missing(e, &r, data)
	r.Redacted = c.redact(data)
	r.Tags = tags(data)
	c.tagOwner(&r, data)
	return r
}

// missing notes the fields that adapters rely on and the object does not have,
// and with them those of the document that are copied from there.
func (c *Collector) missing(e endpoint, r *audit.Resource, data map[string]any) {
	gap := func(field, what string) {
		reason := "netbox:" + field + " " + what
		r.Gap("/data/"+field, audit.Failed, reason)
		switch field {
		case "name", "address", "prefix":
			r.Gap("/name", audit.Failed, reason)
		case "tags", "custom_fields":
			r.Gap("/tags", audit.Failed, reason)
		}
	}
	for _, field := range e.fields {
		if _, ok := data[field]; !ok {
			gap(field, "missing")
		}
	}
	for _, field := range e.choices {
		v, ok := data[field]
		choice, _ := v.(map[string]any)
		switch {
		case !ok:
			gap(field, "missing")
		case text(choice["value"]) == "":
			gap(field, "is no choice")
		}
	}
	if v, ok := data["custom_fields"]; ok {
		c.missingCustom(e, r, v)
	}
	if v, ok := data["tags"]; ok && !tagList(v) {
		gap("tags", "is no list of tags")
	}
}

// missingCustom does the same for custom fields: one that nobody defined is
// not an empty one.
func (c *Collector) missingCustom(e endpoint, r *audit.Resource, v any) {
	fields, ok := v.(map[string]any)
	if !ok {
		const reason = "netbox:custom_fields is no object"
		r.Gap("/data/custom_fields", audit.Failed, reason)
		r.Gap("/tags", audit.Failed, reason)
		return
	}
	for _, name := range e.customs {
		if _, ok := fields[name]; ok {
			continue
		}
		reason := "netbox:custom_fields." + name + " missing"
		r.Gap("/data/custom_fields/"+name, audit.Failed, reason)
		if name == "owner" {
			r.Gap("/tags/owner", audit.Failed, reason)
		}
	}
}

// redact replaces what NetBox keeps in plain text: rendered contexts go, the
// strings of local contexts and of custom fields not known to be plain become tokens.
func (c *Collector) redact(data map[string]any) []string {
	delete(data, "config_context")
	redacted := c.cfg.Redactor.Strings(data, "/data", "/local_context_data")
	fields, ok := data["custom_fields"].(map[string]any)
	if !ok {
		return append(redacted, c.cfg.Redactor.Strings(data, "/data", "/custom_fields")...)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		at := "/data/custom_fields/" + audit.EscapePointer(name)
		if secret, is := fields[name].(string); c.plain[name] {
			continue
		} else if is {
			fields[name] = c.cfg.Redactor.Token(secret)
			redacted = append(redacted, at)
			continue
		}
		redacted = append(redacted, c.cfg.Redactor.Strings(fields[name], at, "")...)
	}
	return redacted
}

// tags are NetBox's tags, slug to name.
func tags(data map[string]any) map[string]string {
	out := map[string]string{}
	list, _ := data["tags"].([]any)
	for _, v := range list {
		tag, _ := v.(map[string]any)
		if slug := text(tag["slug"]); slug != "" {
			out[slug] = text(tag["name"])
		}
	}
	return out
}

func tagList(v any) bool {
	list, ok := v.([]any)
	return ok && !slices.ContainsFunc(list, func(v any) bool {
		tag, _ := v.(map[string]any)
		return text(tag["slug"]) == ""
	})
}

// tagOwner names the accountable owner among the tags, as other sources do.
func (c *Collector) tagOwner(r *audit.Resource, data map[string]any) {
	fields, _ := data["custom_fields"].(map[string]any)
	owner := text(fields["owner"])
	if owner == "" {
		return
	}
	r.Tags["owner"] = owner
	if !c.plain["owner"] {
		r.Redacted = append(r.Redacted, "/tags/owner")
	}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
