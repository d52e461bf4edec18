package audit

import (
	"encoding/json"
	"fmt"
)

// Head is what can be told of a document without its data.
type Head struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Origin   string            `json:"origin"`
	Source   string            `json:"source"`
	Type     string            `json:"type"`
	Tags     map[string]string `json:"tags"`
	Gaps     map[string]string `json:"gaps"`
	Redacted []string          `json:"redacted"`
}

// ParseHead reads a document's line without its data, which is not checked
// where the keys of the document are in their canonical order.
func ParseHead(line []byte) (Head, error) {
	if h, ok := fastHead(line); ok {
		return h, nil
	}
	return slowHead(line)
}

func fastHead(line []byte) (h Head, ok bool) {
	at, ok := fields(line)
	if !ok {
		return Head{}, false
	}
	var err error
	if h.ID, err = text(at[idField].of(line)); err != nil {
		return Head{}, false
	}
	if h.Name, err = text(at[nameField].of(line)); err != nil {
		return Head{}, false
	}
	if h.Origin, err = textIn(h.ID, 0, at[originField].of(line)); err != nil {
		return Head{}, false
	}
	if h.Source, err = textIn(h.ID, 0, at[sourceField].of(line)); err != nil {
		return Head{}, false
	}
	if h.Type, err = textIn(h.ID, len(h.Origin)+1, at[typeField].of(line)); err != nil {
		return Head{}, false
	}
	if h.Tags, err = texts(at[tagsField].of(line)); err != nil {
		return Head{}, false
	}
	if h.Gaps, err = texts(at[gapsField].of(line)); err != nil {
		return Head{}, false
	}
	if raw := at[redactedField].of(line); string(raw) == "[]" {
		h.Redacted = []string{}
	} else if err := json.Unmarshal(raw, &h.Redacted); err != nil {
		return Head{}, false
	}
	return h, true
}

// textIn is text, without an allocation where the string is a part of id that begins at i.
func textIn(id string, i int, raw []byte) (string, error) {
	if s, end := plainString(raw, 0); end == len(raw) && i+len(s) <= len(id) && id[i:i+len(s)] == string(s) {
		return id[i : i+len(s)], nil
	}
	return text(raw)
}

func slowHead(line []byte) (Head, error) {
	var h Head
	if err := json.Unmarshal(line, &h); err != nil {
		return Head{}, fmt.Errorf("resource document: %w", err)
	}
	return h, nil
}
