package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/crosscheck-dev/crosscheck/configs"
)

func TestExample(t *testing.T) {
	t.Parallel()
	got, err := configs.Load("crosscheck.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := configs.Config{
		File: "crosscheck.example.yaml", Entity: "Example Logistics Ltd", System: "Freight platform", DataDir: "crosscheck-data",
		Parameters: map[string]map[string]any{"IAM-002": {"max_age_days": number("90")}},
		Sources: configs.Sources{
			AWS: []configs.AWS{{
				Account: "111122223333", Regions: []string{"eu-central-1", "eu-west-1"}, Profile: "audit",
				Role: configs.Role{ARN: "arn:aws:iam::111122223333:role/crosscheck-auditor", ExternalID: "crosscheck", SessionName: "crosscheck"},
			}},
			Kubernetes: []configs.Kubernetes{{Name: "prod", Kubeconfig: "kubeconfig", Context: "prod"}},
			Terraform:  []configs.Terraform{{Name: "prod", Files: []string{"states/*.tfstate"}}},
			NetBox: []configs.NetBox{{
				Name: "main", URL: "https://netbox.example.com", CAFile: "netbox-ca.pem",
				Asserted: []configs.Assertion{{
					Type: "ipam.ipaddress", By: "Jo Example", On: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
					Reason: "the token's permissions are unconstrained; checked in the admin UI",
				}},
			}},
		},
		Sinks: configs.Sinks{
			Console: &configs.Console{Format: "table"}, Files: &configs.Folder{Dir: "crosscheck-data/runs"}, Pack: &configs.Folder{Dir: "crosscheck-data/packs"},
			Streams: []configs.Stream{{Name: "siem", File: "decisions.ndjson"}},
		},
		API: configs.API{
			Listen: "127.0.0.1:8484", TLS: &configs.TLS{CertFile: "api.pem", KeyFile: "api-key.pem"},
			Tokens: []configs.APIToken{
				{Name: "prometheus", Roles: []string{"viewer"}}, {Name: "jo", Roles: []string{"auditor", "operator"}}, {Name: "sam", Roles: []string{"approver"}},
			},
		},
		Schedules: []configs.Schedule{
			{
				Name: "nightly", Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Jitter: 10 * time.Minute, Within: 8 * time.Hour,
				Timeout: 4 * time.Hour, Retries: 3, Backoff: 10 * time.Minute,
			},
			{Name: "exposed", Cron: "0 8-18 * * 1-5", TimeZone: "Europe/Berlin", Skip: true, Severity: "high", Frameworks: []string{"soc2-2017"}, Retries: 2},
			{Name: "monthly", Cron: "0 5 1 * *", Full: true, Retries: 2},
		},
		Daemon: configs.Daemon{Grace: 10 * time.Minute},
		Log:    configs.Log{Level: "warn", Format: "text"},
	}
	if diff := cmp.Diff(got, want, cmpopts.IgnoreTypes(configs.Secret{}), cmpopts.IgnoreUnexported(configs.Schedule{})); diff != "" {
		t.Errorf("Load() (-got +want):\n%s", diff)
	}
	if got.Sources.NetBox[0].Token.IsZero() {
		t.Error("the token was not read")
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	got, err := configs.Demo()
	if err != nil {
		t.Fatal(err)
	}
	if !got.Sources.Demo || got.File != "" || got.DataDir != "crosscheck-data" || got.Sinks.Pack.Dir != "crosscheck-data/packs" || len(got.Warnings) > 0 {
		t.Errorf("Demo() = %+v", got)
	}
}

const head = "version: 1\nentity: E\nsystem: S\n"

func TestErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"empty":             {"", "c.yaml:1: the file is empty"},
		"only a comment":    {"# nothing\n", "c.yaml:1: the file is empty"},
		"no yaml":           {head + "sources: {aws: [}\n", "c.yaml:4: no YAML: did not find expected node content"},
		"two documents":     {head + "sources: {demo: true}\n---\nversion: 1\n", "c.yaml:1: more than one YAML document"},
		"a list":            {"- version: 1\n", "c.yaml:1: expected a mapping with api, daemon, data_dir, entity, exceptions"},
		"nothing required":  {"log: {}\n", "c.yaml:1: version: required\nc.yaml:1: entity: required\nc.yaml:1: system: required\nc.yaml:1: sources: required"},
		"other version":     {"version: 2\nentity: E\nsystem: S\nsources: {demo: true}\n", "c.yaml:1: version: expected 1, got 2"},
		"misspelt":          {head + "sources: {demo: true}\nexeptions: e.yaml\n", "c.yaml:5: exeptions: unknown field, did you mean exceptions?"},
		"unknown":           {head + "sources:\n  gcp: []\n", "c.yaml:5: sources.gcp: unknown field: expected aws, demo, kubernetes, netbox, recorded, terraform"},
		"misspelt below":    {head + "sources:\n  aws:\n    - account: \"111122223333\"\n      region: [eu-west-1]\n", "c.yaml:7: sources.aws[0].region: unknown field, did you mean regions?"},
		"given twice":       {head + "entity: F\nsources: {demo: true}\n", "c.yaml:4: entity: given twice, first in line 2"},
		"wrong kind":        {head + "sources: {aws: {account: x}}\n", "c.yaml:4: sources.aws: expected a list, got a mapping"},
		"number for text":   {"version: 1\nentity: 5\nsystem: S\nsources: {demo: true}\n", "c.yaml:2: entity: expected text, got 5 (in quotes it would be text)"},
		"account":           {head + "sources: {aws: [{account: 123, regions: [eu-west-1]}]}\n", "sources.aws[0].account: expected an account id of 12 digits"},
		"region":            {head + "sources: {aws: [{account: 111122223333, regions: [Frankfurt]}]}\n", "sources.aws[0].regions[0]: expected a region such as"},
		"no region":         {head + "sources: {aws: [{account: 111122223333, regions: []}]}\n", "sources.aws[0].regions: expected at least one"},
		"no files":          {head + "sources: {terraform: [{name: a, files: []}]}\n", "sources.terraform[0].files: expected at least one"},
		"role":              {head + "sources: {aws: [{account: 111122223333, regions: [eu-west-1], role: {external_id: x}}]}\n", "sources.aws[0].role.arn: required"},
		"no source":         {head + "sources: {}\n", "sources: expected at least one source"},
		"one origin twice":  {head + "sources: {kubernetes: [{name: a}, {name: a}]}\n", "sources: origin kubernetes/a is configured twice"},
		"in cluster":        {head + "sources: {kubernetes: [{name: a, in_cluster: true, context: c}]}\n", "in_cluster: expected neither kubeconfig nor context"},
		"flag":              {head + "sources: {kubernetes: [{name: a, in_cluster: yeah}]}\n", "in_cluster: expected true or false, got other text"},
		"name":              {head + "sources: {kubernetes: [{name: a/b}]}\n", "sources.kubernetes[0].name: expected a name of letters"},
		"url":               {head + "sources: {netbox: [{name: a, url: netbox, token: {env: T}}]}\n", "sources.netbox[0].url: expected a URL such as"},
		"url with password": {head + "sources: {netbox: [{name: a, url: \"https://u:hunter2@n\", token: {env: T}}]}\n", "url: expected a URL without user"},
		"token missing":     {head + "sources: {netbox: [{name: a, url: https://n}]}\n", "sources.netbox[0].token: required"},
		"token both":        {head + "sources: {netbox: [{name: a, url: https://n, token: {env: T, file: f}}]}\n", "token: expected one of env and file"},
		"token neither":     {head + "sources: {netbox: [{name: a, url: https://n, token: {}}]}\n", "token: expected one of env and file"},
		"token list":        {head + "sources: {netbox: [{name: a, url: https://n, token: [hunter2]}]}\n", "token: expected {env: NAME} or {file: PATH}, got a list"},
		"asserted":          {head + "sources: {netbox: [{name: a, url: https://n, token: {env: T}, asserted: [{type: dcim.device, by: J}]}]}\n", "asserted[0].reason: required"},
		"date":              {head + "sources: {netbox: [{name: a, url: https://n, token: {env: T}, asserted: [{type: dcim.device, by: J, reason: r, on: soon}]}]}\n", "asserted[0].on: expected a date such as 2026-11-21"},
		"parameters":        {head + "sources: {demo: true}\nparameters: {days: 90}\n", "parameters.days: expected a control id such as IAM-002"},
		"parameter":         {head + "sources: {demo: true}\nparameters: {IAM-002: 90}\n", "parameters.IAM-002: expected a mapping of parameters, got 90"},
		"parameter number":  {head + "sources: {demo: true}\nparameters: {IAM-002: {days: 0x5A}}\n", "parameters.IAM-002.days: expected a decimal number"},
		"sink":              {head + "sources: {demo: true}\nsinks: {pager: {}}\n", "sinks.pager: unknown field: expected console, "},
		"log":               {head + "sources: {demo: true}\nlog: {level: loud}\n", "log.level: expected debug or info or warn or error, got other text"},
		"alias":             {head + "log: &a {level: warn}\nsources: {demo: true}\nparameters: *a\n", "log: aliases are not supported: write the value out"},
		"tag":               {head + "sources: {demo: !!binary aGk=}\n", "sources.demo: tag !!binary is not supported"},
		"key":               {head + "sources: {demo: true}\n? [a]\n: b\n", "a key must be plain text"},
		"deep":              {head + "parameters: " + strings.Repeat("[", 60) + strings.Repeat("]", 60) + "\n", "nested more than 32 deep"},
		"large":             {head + "# " + strings.Repeat("x", 5<<20), "more than 4194304"},
		"path":              {head + "sources: {demo: true}\nlibrary: \"a\\0b\"\n", "library: expected a path"},
		"control char":      {head + "sources: {demo: true}\n\"a\\eb\": 1\n", "c.yaml:5: a�b: unknown field"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := configs.Parse([]byte(tt.text), "c.yaml")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse() = %v\nwant %s", err, tt.want)
			}
			var one *configs.Error
			if !errors.As(err, &one) || one.File != "c.yaml" || one.Line < 1 {
				t.Errorf("the error has no file and line: %#v", one)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats what may be a secret: %v", err)
			}
		})
	}
}

func TestAliasBomb(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		n := string(rune('a' + i))
		p := "*a0"
		if i > 1 {
			p = "*" + string(rune('a'+i-1)) + "0"
		}
		b.WriteString(n + "0: &" + n + "0 [" + strings.Repeat(p+", ", 8) + p + "]\n")
	}
	if _, err := configs.Parse([]byte(b.String()), "c.yaml"); err == nil || !strings.Contains(err.Error(), "aliases are not supported") {
		t.Errorf("Parse() = %v", err)
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "etc", "crosscheck.yaml")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	text := head + "library: ../lib\nexceptions: /abs/e.yaml\nsources: {recorded: [{name: r, path: rec}]}\nsinks: {files: {dir: out}, pack: {}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := configs.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]string{
		"data_dir":   {c.DataDir, filepath.Join(dir, "etc", "crosscheck-data")},
		"library":    {c.Library, filepath.Join(dir, "lib")},
		"exceptions": {c.Exceptions, "/abs/e.yaml"},
		"recorded":   {c.Sources.Recorded[0].Path, filepath.Join(dir, "etc", "rec")},
		"files":      {c.Sinks.Files.Dir, filepath.Join(dir, "etc", "out")},
		"pack":       {c.Sinks.Pack.Dir, filepath.Join(dir, "etc", "crosscheck-data", "packs")},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %s, want %s", name, pair[0], pair[1])
		}
	}
	if c.Sinks.Console != nil {
		t.Error("a sink that is not listed is configured")
	}
	if _, err := configs.Load(filepath.Join(dir, "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load() of no file: %v", err)
	}
}

func TestBearing(t *testing.T) {
	t.Parallel()
	parse := func(text string) map[string]any {
		c, err := configs.Parse([]byte(head+text), "c.yaml")
		if err != nil {
			t.Fatal(err)
		}
		return c.Bearing()
	}
	base := parse("sources: {demo: true}\n")
	for text, same := range map[string]bool{
		"data_dir: elsewhere\nlog: {level: debug}\nsources: {demo: true}\n":     true,
		"parameters: {IAM-002: {max_age_days: 30}}\nsources: {demo: true}\n":    false,
		"sources: {demo: true, kubernetes: [{name: a}]}\n":                      false,
		"sources: {demo: true, recorded: [{name: a, path: b}]}\n":               false,
		"sources: {recorded: [{name: a, path: b}]}\nsinks: {console: {}}\n":     false,
		"sinks: {files: {dir: other}}\nsources: {demo: true}\nlibrary: other\n": true,
	} {
		if got := cmp.Equal(base, parse(text)); got != same {
			t.Errorf("%q: the same bearing: %v, want %v", text, got, same)
		}
	}
}

func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("crosscheck.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	f.Add(head + "sources: {demo: true}\n")
	f.Add("a: &a [*a]\n")
	f.Add("? {a: b}\n: c\n")
	f.Add("<<: {a: b}\n\xff")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := configs.Parse([]byte(text), "c.yaml")
		if err == nil && (c.Entity == "" || c.System == "" || c.DataDir == "") {
			t.Errorf("accepted without what is required: %+v", c)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x00\x1b\r") {
			t.Errorf("the error holds control characters: %q", err)
		}
	})
}
