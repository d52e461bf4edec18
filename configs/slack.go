package configs

import (
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Slack is where runs, and what happens between them, are told. One of Webhook
// and Token is set.
type Slack struct {
	Webhook       Secret // URL of an incoming webhook
	Token         Secret // a bot token
	Channel       string // with a token: id or name
	SigningSecret Secret // of the app: repairs are approved by button
	Alert         string // whom a missed run is addressed to: channel, here, none or an id
	SkipQuiet     bool   // nothing is posted of a run that changed nothing
	Details       int    // how much of each list is told, 0: the sink's default
	Owners        map[string]string
	People        map[string]SlackPerson // by Slack's id
}

// SlackPerson is a user of Slack as the ledger names them, with the roles they have.
type SlackPerson struct {
	Name  string
	Roles []string // viewer, auditor, operator, approver
}

// Nudges says when owners are told that a control fails again on what they own.
type Nudges struct {
	Off   bool
	Times int // how often it failed, 0: the default
	Days  int // an owner is told once in so many, 0: the default
}

var (
	slackID      = regexp.MustCompile(`^[UWSC][A-Z0-9]{5,20}$`)
	slackUser    = regexp.MustCompile(`^[UW][A-Z0-9]{5,20}$`)
	slackAlert   = regexp.MustCompile(`^(channel|here|none|[UWSC][A-Z0-9]{5,20})$`)
	slackChannel = regexp.MustCompile(`^(#?[\p{L}\p{N}_-]{1,80}|[CGD][A-Z0-9]{5,20})$`)
)

func (d *decoder) slack(into **Slack) read {
	return func(n *yaml.Node, field string) {
		s := &Slack{}
		*into = s
		before := len(d.errs)
		post := true
		d.object(n, field, map[string]read{
			"webhook": d.secret(&s.Webhook), "token": d.secret(&s.Token), "signing_secret": d.secret(&s.SigningSecret),
			"channel": d.match(&s.Channel, slackChannel, "the id of a channel such as C0123456789, or its name in quotes"),
			"alert":   d.match(&s.Alert, slackAlert, "channel, here, none, or the id of a user, user group or channel"),
			"quiet":   d.flag(&post), "details": d.whole(&s.Details, 1, 2000),
			"owners": d.slackOwners(&s.Owners), "people": d.slackPeople(&s.People),
		})
		s.SkipQuiet = !post
		if len(d.errs) > before {
			return
		}
		switch {
		case s.Webhook.IsZero() == s.Token.IsZero():
			d.fail(n, field, "expected one of webhook and token")
		case !s.Token.IsZero() && s.Channel == "":
			d.fail(n, join(field, "channel"), "required with a token")
		case !s.Webhook.IsZero() && s.Channel != "":
			d.fail(n, join(field, "channel"), "a webhook posts to the channel it was made for: leave it out, or use a token")
		case !s.SigningSecret.IsZero() && !s.anyApprover():
			d.fail(n, join(field, "people"), "with a signing secret, expected somebody with the role approver: nobody else may press a button")
		}
	}
}

func (s *Slack) anyApprover() bool {
	for _, p := range s.People {
		for _, r := range p.Roles {
			if r == "approver" {
				return true
			}
		}
	}
	return false
}

// slackMapping reads a mapping whose keys are not known beforehand.
func (d *decoder) slackMapping(n *yaml.Node, field, of string, each func(key, value *yaml.Node, at string)) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, field, "expected a mapping of %s, got %s", of, kind(n))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		each(n.Content[i], n.Content[i+1], join(field, n.Content[i].Value))
	}
}

func (d *decoder) slackOwners(into *map[string]string) read {
	return func(n *yaml.Node, field string) {
		*into = map[string]string{}
		d.slackMapping(n, field, "owners to ids", func(key, value *yaml.Node, at string) {
			var id string
			d.match(&id, slackID, "the id of a user (U…), user group (S…) or channel (C…)")(value, at)
			(*into)[key.Value] = id
		})
	}
}

func (d *decoder) slackPeople(into *map[string]SlackPerson) read {
	return func(n *yaml.Node, field string) {
		*into = map[string]SlackPerson{}
		d.slackMapping(n, field, "users' ids to people", func(key, value *yaml.Node, at string) {
			if !slackUser.MatchString(key.Value) {
				d.fail(key, at, "expected the id of a user, such as U0123456789")
				return
			}
			var p SlackPerson
			d.object(value, at, map[string]read{
				"name": d.text(&p.Name),
				"roles": d.list(func(n *yaml.Node, field string) {
					var role string
					if d.oneOf(&role, "viewer", "auditor", "operator", "approver")(n, field); role != "" {
						p.Roles = append(p.Roles, role)
					}
				}),
			})
			if p.Name == "" && value.Kind == yaml.MappingNode {
				d.fail(value, join(at, "name"), "required: the ledger names people by it")
			}
			(*into)[key.Value] = p
		})
	}
}

func (d *decoder) nudges(into *Nudges) read {
	return func(n *yaml.Node, field string) {
		d.object(n, field, map[string]read{"off": d.flag(&into.Off), "times": d.whole(&into.Times, 2, 100), "days": d.whole(&into.Days, 1, 365)})
	}
}

// whole reads a whole number.
func (d *decoder) whole(into *int, least, most int) read {
	return func(n *yaml.Node, field string) {
		v, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil || v < least || v > most {
			d.fail(n, field, "expected a whole number from %d to %d", least, most)
			return
		}
		*into = v
	}
}
