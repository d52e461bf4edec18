package configs

import (
	"net/url"
	"regexp"
	"time"

	"go.yaml.in/yaml/v3"
)

// Sources is what is audited.
type Sources struct {
	AWS        []AWS
	Kubernetes []Kubernetes
	Terraform  []Terraform
	NetBox     []NetBox
	Recorded   []Recorded
	Demo       bool // the embedded recorded estate
}

// AWS is one account.
type AWS struct {
	Account  string
	Regions  []string
	Profile  string
	Role     Role
	Endpoint string
}

// Role is assumed on top of the credentials found. ARN is empty if none is.
type Role struct {
	ARN         string
	ExternalID  string
	SessionName string
}

// Kubernetes is one cluster.
type Kubernetes struct {
	Name       string
	Kubeconfig string // empty: the default loading rules
	Context    string
	InCluster  bool
}

// Terraform is a set of state and plan files that is one origin.
type Terraform struct {
	Name  string
	Files []string // files or glob patterns
}

// NetBox is one installation.
type NetBox struct {
	Name     string
	URL      string
	Token    Secret
	CAFile   string
	Asserted []Assertion
}

// Assertion is a named person's word that a type is listed completely.
type Assertion struct {
	Type   string
	By     string
	Reason string
	On     time.Time
}

// Recorded is a folder that `recorded` snapshots were written to.
type Recorded struct {
	Name string
	Path string
}

// Origins are those that are known from the configuration alone, recorded ones excluded.
func (s Sources) Origins() []string {
	var out []string
	for _, a := range s.AWS {
		out = append(out, "aws/"+a.Account+"/global")
		for _, r := range a.Regions {
			out = append(out, "aws/"+a.Account+"/"+r)
		}
	}
	for _, k := range s.Kubernetes {
		out = append(out, "kubernetes/"+k.Name)
	}
	for _, t := range s.Terraform {
		out = append(out, "terraform/"+t.Name)
	}
	for _, n := range s.NetBox {
		out = append(out, "netbox/"+n.Name)
	}
	return out
}

// Bearing is what of the configuration bears on decisions, as JSON values: two
// configurations with the same bearing judge the same things by the same
// parameters. It holds no secret.
func (c Config) Bearing() map[string]any {
	assertions := []any{}
	for _, n := range c.Sources.NetBox {
		for _, a := range n.Asserted {
			assertions = append(assertions, map[string]string{
				"name": n.Name, "type": a.Type, "by": a.By, "reason": a.Reason, "on": a.On.Format(time.DateOnly),
			})
		}
	}
	recorded := []string{}
	for _, r := range c.Sources.Recorded {
		recorded = append(recorded, r.Name)
	}
	parameters := map[string]any{}
	for id, values := range c.Parameters {
		parameters[id] = values
	}
	return map[string]any{
		"entity": c.Entity, "system": c.System, "parameters": parameters, "origins": append([]string{}, c.Sources.Origins()...),
		"asserted": assertions, "recorded": recorded, "demo": c.Sources.Demo,
	}
}

var (
	name      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	account   = regexp.MustCompile(`^[0-9]{12}$`)
	region    = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)
	roleARN   = regexp.MustCompile(`^arn:[a-z-]+:iam::[0-9]{12}:role/\S+$`)
	asserted  = regexp.MustCompile(`^[a-z]+\.[a-z]+$`)
	sessionID = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
)

func (d *decoder) sources(into *Sources) read {
	return func(n *yaml.Node, field string) {
		d.object(n, field, map[string]read{
			"aws":        d.list(func(n *yaml.Node, f string) { into.AWS = append(into.AWS, d.aws(n, f)) }),
			"kubernetes": d.list(func(n *yaml.Node, f string) { into.Kubernetes = append(into.Kubernetes, d.kubernetes(n, f)) }),
			"terraform":  d.list(func(n *yaml.Node, f string) { into.Terraform = append(into.Terraform, d.terraform(n, f)) }),
			"netbox":     d.list(func(n *yaml.Node, f string) { into.NetBox = append(into.NetBox, d.netbox(n, f)) }),
			"recorded":   d.list(func(n *yaml.Node, f string) { into.Recorded = append(into.Recorded, d.recorded(n, f)) }),
			"demo":       d.flag(&into.Demo),
		})
	}
}

// match reads text of a form. An account id reads as a number where it has no quotes.
func (d *decoder) match(into *string, form *regexp.Regexp, expected string) read {
	return func(n *yaml.Node, field string) {
		if n.Kind != yaml.ScalarNode || !form.MatchString(n.Value) {
			d.fail(n, field, "expected %s", expected)
			return
		}
		*into = n.Value
	}
}

func (d *decoder) name(into *string) read {
	return d.match(into, name, "a name of letters, digits, dots, dashes and underscores")
}

// web reads an http or https URL without credentials, which would end up in logs.
func (d *decoder) web(into *string) read {
	return func(n *yaml.Node, field string) {
		u, err := url.Parse(n.Value)
		switch {
		case n.Kind != yaml.ScalarNode || err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			d.fail(n, field, "expected a URL such as https://netbox.example.com")
		case u.User != nil || u.RawQuery != "" || u.Fragment != "":
			d.fail(n, field, "expected a URL without user, query and fragment")
		default:
			*into = n.Value
		}
	}
}

// require fails for each field that was left empty.
func (d *decoder) require(n *yaml.Node, field string, missing map[string]bool) {
	if n.Kind != yaml.MappingNode {
		return // said already
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		delete(missing, n.Content[i].Value) // given, and judged where it was read
	}
	for _, f := range []string{"account", "name", "regions", "files", "url", "token", "path", "arn", "type", "by", "reason", "on", "brokers", "topic"} {
		if missing[f] {
			d.fail(n, join(field, f), "required")
		}
	}
}

// some fails where a field is an empty list: nothing would be audited, silently.
func (d *decoder) some(n *yaml.Node, field, key string) {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if v := n.Content[i+1]; n.Content[i].Value == key && v.Kind == yaml.SequenceNode && len(v.Content) == 0 {
			d.fail(v, join(field, key), "expected at least one")
		}
	}
}

func (d *decoder) aws(n *yaml.Node, field string) (a AWS) {
	d.object(n, field, map[string]read{
		"account": d.match(&a.Account, account, "an account id of 12 digits"),
		"regions": d.list(func(n *yaml.Node, f string) {
			var r string
			d.match(&r, region, "a region such as eu-central-1")(n, f)
			a.Regions = append(a.Regions, r)
		}),
		"profile": d.text(&a.Profile),
		"role": func(n *yaml.Node, f string) {
			d.object(n, f, map[string]read{
				"arn":          d.match(&a.Role.ARN, roleARN, "a role's ARN such as arn:aws:iam::111122223333:role/auditor"),
				"external_id":  d.text(&a.Role.ExternalID),
				"session_name": d.match(&a.Role.SessionName, sessionID, "2 to 64 letters, digits and any of +=,.@_-"),
			})
			d.require(n, f, map[string]bool{"arn": true})
		},
		"endpoint": d.web(&a.Endpoint),
	})
	d.require(n, field, map[string]bool{"account": true, "regions": true})
	d.some(n, field, "regions")
	return a
}

func (d *decoder) kubernetes(n *yaml.Node, field string) (k Kubernetes) {
	d.object(n, field, map[string]read{
		"name": d.name(&k.Name), "kubeconfig": d.path(&k.Kubeconfig), "context": d.text(&k.Context), "in_cluster": d.flag(&k.InCluster),
	})
	d.require(n, field, map[string]bool{"name": true})
	if k.InCluster && (k.Kubeconfig != "" || k.Context != "") {
		d.fail(n, join(field, "in_cluster"), "expected neither kubeconfig nor context beside it")
	}
	return k
}

func (d *decoder) terraform(n *yaml.Node, field string) (t Terraform) {
	d.object(n, field, map[string]read{
		"name": d.name(&t.Name),
		"files": d.list(func(n *yaml.Node, f string) {
			var p string
			d.path(&p)(n, f)
			t.Files = append(t.Files, p)
		}),
	})
	d.require(n, field, map[string]bool{"name": true, "files": true})
	d.some(n, field, "files")
	return t
}

func (d *decoder) netbox(n *yaml.Node, field string) (b NetBox) {
	d.object(n, field, map[string]read{
		"name": d.name(&b.Name), "url": d.web(&b.URL), "token": d.secret(&b.Token), "ca_file": d.path(&b.CAFile),
		"asserted": d.list(func(n *yaml.Node, f string) { b.Asserted = append(b.Asserted, d.assertion(n, f)) }),
	})
	d.require(n, field, map[string]bool{"name": true, "url": true, "token": true})
	return b
}

func (d *decoder) assertion(n *yaml.Node, field string) (a Assertion) {
	d.object(n, field, map[string]read{
		"type": d.match(&a.Type, asserted, "a type such as dcim.device"), "by": d.text(&a.By), "reason": d.text(&a.Reason), "on": d.date(&a.On),
	})
	d.require(n, field, map[string]bool{"type": true, "by": true, "reason": true, "on": true})
	return a
}

func (d *decoder) recorded(n *yaml.Node, field string) (r Recorded) {
	d.object(n, field, map[string]read{"name": d.name(&r.Name), "path": d.path(&r.Path)})
	d.require(n, field, map[string]bool{"name": true, "path": true})
	return r
}

// date reads a day, or a moment as RFC 3339 has it.
func (d *decoder) date(into *time.Time) read {
	return func(n *yaml.Node, field string) {
		for _, layout := range []string{time.DateOnly, time.RFC3339} {
			if t, err := time.Parse(layout, n.Value); err == nil && n.Kind == yaml.ScalarNode {
				*into = t.UTC()
				return
			}
		}
		d.fail(n, field, "expected a date such as 2026-11-21")
	}
}
