package kubernetes

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// nativeID is <namespace>/<name>, or <name> where there is no namespace.
func nativeID(object map[string]any) (string, error) {
	meta, ok := object["metadata"].(map[string]any)
	if !ok {
		return "", errors.New("metadata is missing")
	}
	name, err := segment(meta, "name")
	switch {
	case err != nil:
		return "", err
	case name == "":
		return "", errors.New("metadata.name is missing")
	}
	namespace, err := segment(meta, "namespace")
	if err != nil || namespace == "" {
		return name, err
	}
	return namespace + "/" + name, nil
}

// segment reads a string of metadata that is to be one part of a path; empty if absent.
func segment(meta map[string]any, key string) (string, error) {
	v, ok := meta[key]
	if !ok || v == nil {
		return "", nil
	}
	s, ok := v.(string)
	switch {
	case !ok:
		return "", fmt.Errorf("metadata.%s is not a string: put it in quotes", key)
	case strings.Contains(s, "/") || s == "." || s == "..":
		return "", fmt.Errorf("metadata.%s is %q, which no cluster accepts", key, s)
	}
	return s, nil
}

// newResource makes a resource of an object, which it changes: managed fields
// are dropped and secrets replaced by tokens.
func newResource(r *audit.Redactor, origin, apiVersion, kind, native string, object map[string]any) audit.Resource {
	object["apiVersion"], object["kind"] = apiVersion, kind // left out in lists
	name := native
	tags := map[string]string{}
	if meta, ok := object["metadata"].(map[string]any); ok {
		delete(meta, "managedFields")
		if n, ok := meta["name"].(string); ok {
			name = n
		}
		labels, _ := meta["labels"].(map[string]any)
		for key, v := range labels {
			if s, ok := v.(string); ok {
				tags[key] = s
			}
		}
	}
	typ := apiVersion + "/" + kind
	return audit.Resource{
		Data: object, ID: audit.ResourceID(origin, typ, native), Name: name, Origin: origin,
		Redacted: redact(r, typ, object), Source: audit.Kubernetes, Tags: tags, Type: typ,
	}
}

// redact replaces, in place, what may be a secret, and returns its pointers:
// all data of ConfigMaps and Secrets; in any object, however deep, literal
// environment variables and the copies of manifests that tools leave in annotations.
func redact(r *audit.Redactor, typ string, object map[string]any) []string {
	x := &redaction{redactor: r, at: []string{"data"}, done: map[string]struct{}{}}
	switch typ {
	case "v1/ConfigMap":
		x.member(object, "data", x.all)
		x.member(object, "binaryData", x.all)
	case "v1/Secret":
		x.member(object, "data", x.all)
		x.member(object, "stringData", x.all)
	}
	x.walk(object)
	return slices.Sorted(maps.Keys(x.done))
}

// redaction walks one object once, and knows where it is.
type redaction struct {
	redactor *audit.Redactor
	at       []string
	done     map[string]struct{} // a token is not replaced again
}

// enter visits below a key or an index.
func (x *redaction) enter(key string, visit func()) {
	x.at = append(x.at, key)
	visit()
	x.at = x.at[:len(x.at)-1]
}

// member replaces a member of an object by what f makes of it.
func (x *redaction) member(m map[string]any, key string, f func(any) any) {
	if v, ok := m[key]; ok {
		x.enter(key, func() { m[key] = f(v) })
	}
}

// all replaces every string at or below v.
func (x *redaction) all(v any) any {
	switch v := v.(type) {
	case string:
		return x.token(v)
	case map[string]any:
		for key := range v {
			x.member(v, key, x.all)
		}
	case []any:
		for i := range v {
			x.enter(strconv.Itoa(i), func() { v[i] = x.all(v[i]) })
		}
	}
	return v
}

func (x *redaction) token(secret string) string {
	steps := make([]string, len(x.at))
	for i, s := range x.at {
		if steps[i] = s; strings.ContainsAny(s, "~/") {
			steps[i] = audit.EscapePointer(s)
		}
	}
	pointer := "/" + strings.Join(steps, "/")
	if _, ok := x.done[pointer]; ok {
		return secret
	}
	x.done[pointer] = struct{}{}
	return x.redactor.Token(secret)
}

// walk looks for literal environment variables and copies of manifests.
func (x *redaction) walk(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			x.enter(key, func() {
				switch key {
				case "env":
					x.env(e)
				case "annotations":
					x.annotations(e)
				}
				x.walk(e)
			})
		}
	case []any:
		for i, e := range v {
			switch e.(type) {
			case map[string]any, []any:
				x.enter(strconv.Itoa(i), func() { x.walk(e) })
			}
		}
	}
}

// env replaces the literals of a list of environment variables, wherever a
// container, or what a custom resource calls one, has it.
func (x *redaction) env(v any) {
	list, _ := v.([]any)
	for i, e := range list {
		if m, ok := e.(map[string]any); ok {
			x.enter(strconv.Itoa(i), func() { x.member(m, "value", x.leaf) })
		}
	}
}

func (x *redaction) annotations(v any) {
	m, _ := v.(map[string]any)
	for key := range m {
		if copied(key) {
			x.member(m, key, x.leaf)
		}
	}
}

func (x *redaction) leaf(v any) any {
	if s, ok := v.(string); ok {
		return x.token(s)
	}
	return v
}

// copied tells of annotations in which tools keep the manifest they applied, secrets and all.
func copied(key string) bool {
	switch key {
	case "kapp.k14s.io/original", "objectset.rio.cattle.io/applied", "banzaicloud.com/last-applied":
		return true
	}
	return strings.HasSuffix(key, "/last-applied-configuration") || strings.HasSuffix(key, "/last-applied")
}
