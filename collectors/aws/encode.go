package aws

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go/middleware"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// encode renders what the SDK answered as JSON values: members under their API
// names, nil omitted, unions as {"Member": …}, times in RFC 3339 UTC, bytes in
// base64, policy documents parsed.
func encode(v any) (any, error) {
	out, _, err := encodeValue(reflect.ValueOf(v), 0)
	return out, err
}

// maxDepth is far beyond any shape of AWS.
const maxDepth = 100

var (
	timeType     = reflect.TypeFor[time.Time]()
	metadataType = reflect.TypeFor[middleware.Metadata]()
)

// document is a JSON value that AWS leaves open.
type document interface {
	MarshalSmithyDocument() ([]byte, error)
}

// encodeValue reports with ok whether there is a value at all.
func encodeValue(v reflect.Value, depth int) (out any, ok bool, err error) {
	if depth > maxDepth {
		return nil, false, fmt.Errorf("the answer is nested deeper than %d levels", maxDepth)
	}
	if !v.IsValid() || v.Type() == metadataType {
		return nil, false, nil
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map:
		if v.IsNil() {
			return nil, false, nil
		}
	}
	if v.Type() == timeType {
		return v.Interface().(time.Time).UTC().Format(time.RFC3339Nano), true, nil
	}
	if d, isDocument := v.Interface().(document); isDocument {
		b, err := d.MarshalSmithyDocument()
		if err != nil {
			return nil, false, err
		}
		out, err := audit.DecodeJSON(b)
		return out, err == nil, err
	}
	switch v.Kind() {
	case reflect.Pointer:
		return encodeValue(v.Elem(), depth+1)
	case reflect.Interface:
		return encodeUnion(v.Elem(), depth+1)
	case reflect.Struct:
		return encodeStruct(v, depth)
	case reflect.Slice, reflect.Array:
		return encodeList(v, depth)
	case reflect.Map:
		return encodeMap(v, depth)
	}
	return encodeScalar(v)
}

func encodeScalar(v reflect.Value) (any, bool, error) {
	switch v.Kind() {
	case reflect.String:
		isEnum := v.Type() != reflect.TypeFor[string]()
		return v.String(), v.String() != "" || !isEnum, nil
	case reflect.Bool:
		return v.Bool(), true, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return json.Number(strconv.FormatInt(v.Int(), 10)), true, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return json.Number(strconv.FormatUint(v.Uint(), 10)), true, nil
	case reflect.Float32, reflect.Float64:
		text := strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits())
		if math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0) {
			return text, true, nil
		}
		return json.Number(text), true, nil
	}
	return nil, false, fmt.Errorf("the answer holds a %s, which JSON has not", v.Type())
}

// encodeUnion renders what stands behind an interface: the SDK names the type
// of a union's member <Union>Member<Name> and keeps it in Value.
func encodeUnion(v reflect.Value, depth int) (any, bool, error) {
	s := v
	if s.Kind() == reflect.Pointer && !s.IsNil() {
		s = s.Elem()
	}
	if s.Kind() != reflect.Struct {
		return encodeValue(v, depth)
	}
	if tag, value := s.FieldByName("Tag"), s.FieldByName("Value"); s.Type().Name() == "UnknownUnionMember" && tag.IsValid() && value.IsValid() {
		out, _, err := encodeValue(value, depth+1)
		return map[string]any{tag.String(): out}, true, err
	}
	_, member, ok := strings.Cut(s.Type().Name(), "Member")
	value := s.FieldByName("Value")
	if !ok || !value.IsValid() {
		return encodeValue(v, depth)
	}
	out, _, err := encodeValue(value, depth+1)
	return map[string]any{member: out}, true, err
}

func encodeStruct(v reflect.Value, depth int) (any, bool, error) {
	out := map[string]any{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		e, ok, err := encodeValue(v.Field(i), depth+1)
		if err != nil {
			return nil, false, err
		}
		if text, isText := e.(string); isText && policyMember(f.Name) {
			e = parsePolicy(text)
		}
		if ok {
			out[f.Name] = e
		}
	}
	return out, true, nil
}

func encodeList(v reflect.Value, depth int) (any, bool, error) {
	if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
		return base64.StdEncoding.EncodeToString(v.Bytes()), true, nil
	}
	out := make([]any, 0, v.Len())
	for i := range v.Len() {
		e, _, err := encodeValue(v.Index(i), depth+1)
		if err != nil {
			return nil, false, err
		}
		out = append(out, e)
	}
	return out, true, nil
}

func encodeMap(v reflect.Value, depth int) (any, bool, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, false, fmt.Errorf("the answer holds a %s, which JSON has not", v.Type())
	}
	out := make(map[string]any, v.Len())
	for it := v.MapRange(); it.Next(); {
		e, _, err := encodeValue(it.Value(), depth+1)
		if err != nil {
			return nil, false, err
		}
		out[it.Key().String()] = e
	}
	return out, true, nil
}

// policyMember tells whether a member of an answer holds a policy document.
func policyMember(name string) bool {
	switch name {
	case "Policy", "PolicyDocument", "AssumeRolePolicyDocument", "Document":
		return true
	}
	return false
}

// parsePolicy parses a policy document, which IAM answers percent-encoded and
// others do not. What is no JSON object, or one that can be read in two ways, stays
// as it is.
func parsePolicy(text string) any {
	if doc, ok := object(text); ok {
		return doc
	}
	if plain, err := url.PathUnescape(text); err == nil {
		if doc, ok := object(plain); ok {
			return doc
		}
	}
	return text
}

func object(text string) (map[string]any, bool) {
	v, err := audit.DecodeDocument([]byte(text))
	doc, ok := v.(map[string]any)
	return doc, ok && err == nil
}
