package remediate

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
)

const rules = `id: close-ports
version: 1.0.0
title: Close ports
controls: [NET-001]
types: ["aws/AWS::EC2::SecurityGroup"]
each: violation
runner: exec
parameters:
  group: {from: resource, pointer: /native, pattern: '^sg-[0-9a-f]+$', max: 20}
  region: {from: resource, pointer: /region, pattern: '^[a-z0-9-]+$', max: 20}
  cidr: {from: place, pointer: "0", pattern: '^[0-9a-f.:/]+$', max: 43}
  port: {from: place, pointer: 3/FromPort, pattern: '^[0-9]+$', max: 5, type: number, optional: true}
  seen: {from: violation, pointer: /observed, pattern: '^.+$', max: 50}
  team: {from: settings, pointer: /team, pattern: '^[a-z]+$', max: 10, optional: true}
act: {group: {param: group}, cidr: {param: cidr}, list: [{param: port}, {param: team}], port: {param: port}}
`

func groupOf(cidr string, port any) (audit.Found, audit.Resource) {
	permission := map[string]any{"IpProtocol": "tcp", "IpRanges": []any{map[string]any{"CidrIp": cidr}, map[string]any{"CidrIp": cidr}}}
	if port != nil {
		permission["FromPort"] = port
	}
	d := audit.Found{
		Resource: "aws/1/eu-west-1/AWS::EC2::SecurityGroup/sg-0abc", Type: "AWS::EC2::SecurityGroup", Origin: "aws/1/eu-west-1",
		Decision: audit.Decision{Control: "NET-001", Outcome: audit.Fail, Violations: []audit.Violation{
			{Observed: "everyone", Path: "/data/Groups/IpPermissions/0/IpRanges/0/CidrIp"},
			{Observed: "everyone", Path: "/data/Groups/IpPermissions/0/IpRanges/1/CidrIp"},
		}},
	}
	return d, audit.Resource{
		ID: d.Resource, Origin: d.Origin, Source: audit.AWS, Type: d.Type,
		Data: map[string]any{"Groups": map[string]any{"IpPermissions": []any{permission}}},
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	r, err := Parse([]byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	d, doc := groupOf("0.0.0.0/0", json.Number("22"))
	got, err := r.values(d, doc, map[string]string{"team": "ops"})
	if err != nil {
		t.Fatal(err)
	}
	want := []Values{{"group": "sg-0abc", "region": "eu-west-1", "cidr": "0.0.0.0/0", "port": "22", "seen": "everyone", "team": "ops"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff) // two violations that ask for the same are one target
	}
	filled := r.Fill(got[0])
	if diff := cmp.Diff(map[string]any{"group": "sg-0abc", "cidr": "0.0.0.0/0", "port": json.Number("22"), "list": []any{json.Number("22"), "ops"}}, filled); diff != "" {
		t.Error(diff)
	}
	d, doc = groupOf("0.0.0.0/0", nil)
	if got, err = r.values(d, doc, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"group": "sg-0abc", "cidr": "0.0.0.0/0", "list": []any{}}, r.Fill(got[0])); diff != "" {
		t.Error(diff)
	}
}

func TestValuesThatStop(t *testing.T) {
	t.Parallel()
	r, err := Parse([]byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		cidr string
		port any
		want string
	}{
		"does not match":    {"0.0.0.0/0; rm -rf /", json.Number("22"), "does not match"},
		"a second line":     {"0.0.0.0/0\n", json.Number("22"), "control characters"},
		"a header":          {"0.0.0.0/0\r\nX: y", json.Number("22"), "control characters"},
		"a zero byte":       {"0\x00", json.Number("22"), "control characters"},
		"too long":          {strings.Repeat("0", 44), json.Number("22"), "more than 43"},
		"a secret's token":  {audit.TokenPrefix + "00", json.Number("22"), "only a token"},
		"not a number":      {"0.0.0.0/0", "2 2", "does not match"},
		"neither text":      {"0.0.0.0/0", []any{"22"}, "neither text"},
		"template":          {"{{.Secret}}", json.Number("22"), "does not match"},
		"a number of JSON5": {"0.0.0.0/0", "022", "is no number"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, doc := groupOf(tt.cidr, tt.port)
			if got, err := r.values(d, doc, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("values = %v, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestFlatAndBack(t *testing.T) {
	t.Parallel()
	want := []Values{{"a": "1", "b": "2"}, {"a": "3"}, {"b": "4"}}
	flatted := flat(want)
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "2", "a#2": "3", "b#3": "4"}, flatted); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, unflat(flatted)); diff != "" {
		t.Error(diff)
	}
}

func FuzzPointer(f *testing.F) {
	f.Add("/a/0/b", "1/c")
	f.Add("", "0")
	doc := map[string]any{"a": []any{map[string]any{"b": "x", "c~/": "y"}}}
	f.Fuzz(func(_ *testing.T, base, pointer string) {
		if !relativeForm.MatchString(pointer) {
			return
		}
		if p, err := relative(base, pointer); err == nil {
			at(doc, p)
		}
	})
}
