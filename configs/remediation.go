package configs

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Remediation says what may be repaired, by whom, and when. Nil: nothing is.
type Remediation struct {
	Runbooks    string   // folder of your own, beside the embedded ones; empty: none
	Approvers   []string // user:NAME of this machine, or token:NAME of the API
	RequestTTL  time.Duration
	ApprovalTTL time.Duration
	Failures    int
	StopFile    string
	AWS         []AWS // who acts; Regions[0], if any, for what is not of a region
	Kubernetes  []Kubernetes
	Webhooks    []Webhook
	Exec        *Exec
	Use         map[string]Use // by runbook
}

// Webhook is a system that repairs are asked of.
type Webhook struct {
	Name   string
	URL    string
	Secret Secret
}

// Exec says which programs may be run.
type Exec struct {
	Programs []string
	Env      map[string]Secret
}

// Use is how far one runbook may go.
type Use struct {
	Mode       string // suggest, approve or auto
	MaxTargets int
	MaxPercent int
	Origins    AllowDeny
	Namespaces AllowDeny
	Tags       AllowDeny
	Windows    []Window
	With       map[string]string
}

// AllowDeny are patterns in which * stands for anything.
type AllowDeny struct{ Allow, Deny []string }

// Window is a time of the week.
type Window struct {
	Days []string
	From string
	To   string
	Zone *time.Location
}

var (
	runbookID = regexp.MustCompile(`^[a-z][a-z0-9-]{1,62}$`)
	approver  = regexp.MustCompile(`^((user|token|slack):[A-Za-z0-9_][A-Za-z0-9._@-]{0,62}|uid:[0-9]{1,10})$`)
	clockTime = regexp.MustCompile(`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`)
	weekdays  = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	settingID = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

func (d *decoder) remediation(into **Remediation) read {
	return func(n *yaml.Node, field string) {
		r := &Remediation{Use: map[string]Use{}}
		*into = r
		d.object(n, field, map[string]read{
			"runbooks": d.path(&r.Runbooks), "stop_file": d.path(&r.StopFile),
			"approvers":   d.forms(&r.Approvers, approver, "user:NAME or uid:NUMBER of this machine, token:NAME of the API, or slack:NAME of sinks.slack.people"),
			"request_ttl": d.span(&r.RequestTTL, time.Minute, 30*24*time.Hour), "approval_ttl": d.span(&r.ApprovalTTL, time.Minute, 30*24*time.Hour),
			"failures":   d.within(&r.Failures, 1, 100),
			"aws":        d.list(func(n *yaml.Node, f string) { r.AWS = append(r.AWS, d.acting(n, f)) }),
			"kubernetes": d.list(func(n *yaml.Node, f string) { r.Kubernetes = append(r.Kubernetes, d.kubernetes(n, f)) }),
			"webhooks":   d.list(func(n *yaml.Node, f string) { r.Webhooks = append(r.Webhooks, d.webhook(n, f)) }),
			"exec":       d.exec(&r.Exec),
			"use":        d.uses(r.Use),
		})
		for _, id := range sortedUses(r.Use) {
			if r.Use[id].Mode != "suggest" && len(r.Approvers) == 0 {
				d.fail(n, join(field, "approvers"), "expected at least one: runbook %s may act, and somebody must be able to approve or resume it", id)
				return
			}
		}
	}
}

func sortedUses(m map[string]Use) []string {
	var out []string
	for id := range m {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// acting reads an account in which something may be changed: regions do not matter.
func (d *decoder) acting(n *yaml.Node, field string) (a AWS) {
	var region1 string
	d.object(n, field, map[string]read{
		"account": d.match(&a.Account, account, "an account id of 12 digits"),
		"region":  d.match(&region1, region, "a region such as eu-central-1"),
		"profile": d.text(&a.Profile),
		"role": func(n *yaml.Node, f string) {
			d.object(n, f, map[string]read{
				"arn": d.match(&a.Role.ARN, roleARN, "a role's ARN such as arn:aws:iam::111122223333:role/repair"), "external_id": d.text(&a.Role.ExternalID),
			})
			d.require(n, f, map[string]bool{"arn": true})
		},
		"endpoint": d.web(&a.Endpoint),
	})
	d.require(n, field, map[string]bool{"account": true})
	if region1 != "" {
		a.Regions = []string{region1}
	}
	return a
}

func (d *decoder) webhook(n *yaml.Node, field string) (w Webhook) {
	d.object(n, field, map[string]read{"name": d.name(&w.Name), "url": d.web(&w.URL), "secret": d.secret(&w.Secret)})
	d.require(n, field, map[string]bool{"name": true, "url": true})
	if n.Kind == yaml.MappingNode && w.Secret.IsZero() {
		d.fail(n, join(field, "secret"), "required")
	}
	return w
}

func (d *decoder) exec(into **Exec) read {
	return func(n *yaml.Node, field string) {
		x := &Exec{Env: map[string]Secret{}}
		*into = x
		d.object(n, field, map[string]read{
			"programs": d.list(func(n *yaml.Node, f string) {
				var p string
				d.text(&p)(n, f)
				if !strings.HasPrefix(p, "/") {
					d.fail(n, f, "expected an absolute path")
				}
				x.Programs = append(x.Programs, p)
			}),
			"env": func(n *yaml.Node, f string) {
				d.keyed(n, f, envName, "a name of an environment variable", func(key string, n *yaml.Node, f string) {
					var s Secret
					d.secret(&s)(n, f)
					x.Env[key] = s
				})
			},
		})
	}
}

// keyed reads a mapping whose keys are of a form.
func (d *decoder) keyed(n *yaml.Node, field string, form *regexp.Regexp, expected string, one func(key string, n *yaml.Node, field string)) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, field, "expected a mapping, got %s", kind(n))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !form.MatchString(key.Value) {
			d.fail(key, join(field, key.Value), "expected %s", expected)
			continue
		}
		one(key.Value, value, join(field, key.Value))
	}
}

func (d *decoder) uses(into map[string]Use) read {
	return func(n *yaml.Node, field string) {
		d.keyed(n, field, runbookID, "the id of a runbook", func(key string, n *yaml.Node, f string) {
			var u Use
			d.object(n, f, map[string]read{
				"mode":        d.oneOf(&u.Mode, "suggest", "approve", "auto"),
				"max_targets": d.within(&u.MaxTargets, 1, 1000), "max_percent": d.within(&u.MaxPercent, 1, 100),
				"origins": d.allowDeny(&u.Origins), "namespaces": d.allowDeny(&u.Namespaces), "tags": d.allowDeny(&u.Tags),
				"windows": d.list(func(n *yaml.Node, f string) { u.Windows = append(u.Windows, d.window(n, f)) }),
				"with": func(n *yaml.Node, f string) {
					u.With = map[string]string{}
					d.keyed(n, f, settingID, "the name of a setting", func(key string, n *yaml.Node, f string) {
						var v string
						d.text(&v)(n, f)
						u.With[key] = v
					})
				},
			})
			if n.Kind == yaml.MappingNode && u.Mode == "" {
				d.fail(n, join(f, "mode"), "required: suggest, approve or auto")
			}
			into[key] = u
		})
	}
}

func (d *decoder) allowDeny(into *AllowDeny) read {
	texts := func(into *[]string) read {
		return d.list(func(n *yaml.Node, f string) {
			var s string
			d.text(&s)(n, f)
			*into = append(*into, s)
		})
	}
	return func(n *yaml.Node, field string) {
		d.object(n, field, map[string]read{"allow": texts(&into.Allow), "deny": texts(&into.Deny)})
		d.some(n, field, "allow")
	}
}

func (d *decoder) window(n *yaml.Node, field string) (w Window) {
	w.Zone = time.UTC
	d.object(n, field, map[string]read{
		"days": d.list(func(n *yaml.Node, f string) {
			var day string
			d.oneOf(&day, weekdays...)(n, f)
			w.Days = append(w.Days, day)
		}),
		"from": d.match(&w.From, clockTime, "a time such as 22:00"), "to": d.match(&w.To, clockTime, "a time such as 05:00"),
		"zone": func(n *yaml.Node, f string) {
			loc, err := time.LoadLocation(n.Value)
			if err != nil || n.Kind != yaml.ScalarNode || n.Value == "" || n.Value == "Local" {
				d.fail(n, f, "expected a time zone such as Europe/Berlin")
				return
			}
			w.Zone = loc
		},
	})
	if n.Kind == yaml.MappingNode && (w.From == "" || w.To == "" || w.From == w.To) {
		d.fail(n, field, "expected from and to, two different times")
	}
	return w
}

// forms reads a list of texts of a form.
func (d *decoder) forms(into *[]string, form *regexp.Regexp, expected string) read {
	return d.list(func(n *yaml.Node, f string) {
		var s string
		d.match(&s, form, expected)(n, f)
		*into = append(*into, s)
	})
}

// within reads a whole number in bounds.
func (d *decoder) within(into *int, least, most int) read {
	return func(n *yaml.Node, field string) {
		v, err := strconv.Atoi(n.Value)
		if err != nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || v < least || v > most {
			d.fail(n, field, "expected a whole number from %d to %d", least, most)
			return
		}
		*into = v
	}
}

// span reads a time span in bounds.
func (d *decoder) span(into *time.Duration, least, most time.Duration) read {
	return func(n *yaml.Node, field string) {
		v, err := time.ParseDuration(n.Value)
		if err != nil || n.Kind != yaml.ScalarNode || v < least || v > most {
			d.fail(n, field, "expected a time span from %s to %s, such as 24h", least, most)
			return
		}
		*into = v
	}
}
