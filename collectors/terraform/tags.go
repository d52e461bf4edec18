package terraform

import (
	"slices"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// nameAndTags copies the tags out of the values, tags_all before tags, and the
// tag Name into the name. What is copied has the gap, and is redacted, as its origin.
func nameAndTags(res *audit.Resource, values map[string]any) {
	attribute := "tags_all"
	tags, ok := values[attribute].(map[string]any)
	if !ok {
		attribute = "tags"
		tags, _ = values[attribute].(map[string]any)
	}
	res.Tags = map[string]string{}
	for key, v := range tags {
		if s, ok := v.(string); ok {
			res.Tags[key] = s
		}
	}
	origin := valuesAt + "/" + attribute
	for key := range res.Tags {
		if at := "/" + audit.EscapePointer(key); slices.Contains(res.Redacted, origin+at) {
			res.Redacted = append(res.Redacted, "/tags"+at)
		}
	}
	if name := res.Tags["Name"]; name != "" {
		res.Name = name
		if slices.Contains(res.Redacted, "/tags/Name") {
			res.Redacted = append(res.Redacted, "/name")
		}
	}
	copyGaps(res, tags)
}

func copyGaps(res *audit.Resource, tags map[string]any) {
	whole := ""
	for _, at := range []string{"", "/tags_all", "/tags"} {
		if reason := res.Gaps[valuesAt+at]; reason != "" {
			whole = reason
		}
	}
	for _, attribute := range []string{"/tags_all/", "/tags/"} {
		for at, reason := range res.Gaps {
			if key, ok := cut(at, valuesAt+attribute); ok && res.Tags[key] == "" {
				res.Gaps["/tags/"+key] = reason
			}
		}
	}
	if whole != "" {
		res.Gaps["/tags"] = whole
	}
	if reason := res.Gaps["/tags/Name"]; reason != "" {
		res.Gaps["/name"] = reason
	} else if _, known := tags["Name"]; whole != "" && !known {
		res.Gaps["/name"] = whole
	}
}

func cut(s, prefix string) (string, bool) {
	if len(s) > len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):], true
	}
	return "", false
}
