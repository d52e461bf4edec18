package configs

import (
	"fmt"
	"net"
	"net/url"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// Elasticsearch is a cluster that runs are delivered to.
type Elasticsearch struct {
	URLs      []string // empty: CloudID
	CloudID   string
	APIKey    Secret
	Username  string
	Password  Secret
	CAFile    string
	Proxy     string // empty: as HTTPS_PROXY and its kin say
	Namespace string // empty: default
	Retention int    // days that history is kept, 0: 400
	View      int    // days that the current state keeps what no run mentions, 0: 90
	Passes    bool   // index passes too
	Manual    bool   // an administrator sets it up
}

var streamNamespace = regexp.MustCompile(`^[a-z0-9][a-z0-9_.]{0,99}$`)

func (d *decoder) elasticsearch(into **Elasticsearch) read {
	return func(n *yaml.Node, field string) {
		e := &Elasticsearch{}
		*into = e
		setup := ""
		d.object(n, field, map[string]read{
			"url": d.urls(&e.URLs), "cloud_id": d.text(&e.CloudID),
			"api_key": d.secret(&e.APIKey), "username": d.text(&e.Username), "password": d.secret(&e.Password),
			"ca_file": d.path(&e.CAFile), "proxy": d.web(&e.Proxy),
			"namespace": d.match(&e.Namespace, streamNamespace, "small letters, digits, dots and underscores"),
			"retention": d.days(&e.Retention, 400), "view": d.days(&e.View, 30),
			"passes": d.flag(&e.Passes), "setup": d.oneOf(&setup, "auto", "manual"),
		})
		e.Manual = setup == "manual"
		if n.Kind != yaml.MappingNode {
			return
		}
		switch {
		case len(e.URLs) == 0 && e.CloudID == "":
			d.fail(n, join(field, "url"), "required, or cloud_id")
		case len(e.URLs) > 0 && e.CloudID != "":
			d.fail(n, join(field, "cloud_id"), "expected no url beside it")
		}
		switch {
		case !e.APIKey.IsZero() && (e.Username != "" || !e.Password.IsZero()):
			d.fail(n, join(field, "api_key"), "expected no username and password beside it")
		case e.Username != "" && e.Password.IsZero():
			d.fail(n, join(field, "password"), "required beside username")
		case e.Username == "" && !e.Password.IsZero():
			d.fail(n, join(field, "username"), "required beside password")
		}
		d.inTheClear(n, field, e)
	}
}

// inTheClear warns of credentials that anybody on the way can read.
func (d *decoder) inTheClear(n *yaml.Node, field string, e *Elasticsearch) {
	if e.APIKey.IsZero() && e.Password.IsZero() {
		return
	}
	for _, raw := range e.URLs {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme == "https" || u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback() {
			continue
		}
		d.warnings = append(d.warnings, fmt.Sprintf("%s:%d: %s: credentials travel in the clear: use https", d.file, n.Line, join(field, "url")))
		return
	}
}

// urls reads one URL, or a list of them.
func (d *decoder) urls(into *[]string) read {
	one := func(n *yaml.Node, field string) {
		var u string
		if d.web(&u)(n, field); u != "" {
			*into = append(*into, u)
		}
	}
	return func(n *yaml.Node, field string) {
		if n.Kind != yaml.SequenceNode {
			one(n, field)
			return
		}
		d.list(one)(n, field)
	}
}

// days reads a number of days, of which there is a least.
func (d *decoder) days(into *int, least int) read {
	return func(n *yaml.Node, field string) {
		var days int
		if err := n.Decode(&days); n.ShortTag() != "!!int" || err != nil || days < least || days > 36500 {
			d.fail(n, field, "expected a number of days, at least %d", least)
			return
		}
		*into = days
	}
}
