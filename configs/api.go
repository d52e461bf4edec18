package configs

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// API says where `crosscheck daemon` answers over HTTP, and whom.
type API struct {
	Listen string // host:port, default 127.0.0.1:8484
	Tokens []APIToken
	TLS    *TLS // nil: none
}

// APIToken is one bearer.
type APIToken struct {
	Name  string
	Roles []string // viewer, auditor, operator, approver
	Token Secret
}

// TLS is a certificate with its key, in PEM.
type TLS struct {
	CertFile string
	KeyFile  string
}

// defaultListen can be reached from this machine alone.
const defaultListen = "127.0.0.1:8484"

// api reads its section. Who listens for other machines must know who asks.
func (d *decoder) api(into *API) read {
	return func(n *yaml.Node, field string) {
		at := n
		d.object(n, field, map[string]read{
			"listen": func(n *yaml.Node, f string) { at = n; d.listen(&into.Listen)(n, f) },
			"tokens": d.list(func(n *yaml.Node, f string) { into.Tokens = append(into.Tokens, d.apiToken(n, f, into.Tokens)) }),
			"tls":    func(n *yaml.Node, f string) { into.TLS = d.tls(n, f) },
		})
		if into.Listen == "" || loopback(into.Listen) {
			return
		}
		switch {
		case len(into.Tokens) == 0:
			d.fail(at, join(field, "listen"), "%s can be reached from other machines: configure api.tokens, or listen on 127.0.0.1", clip(into.Listen))
		case into.TLS == nil:
			d.warnings = append(d.warnings, d.file+":"+strconv.Itoa(max(at.Line, 1))+": "+join(field, "listen")+
				": tokens go over the network in clear unless something in front speaks TLS: configure api.tls")
		}
	}
}

func (d *decoder) listen(into *string) read {
	return func(n *yaml.Node, field string) {
		host, port, err := net.SplitHostPort(n.Value)
		_, perr := strconv.ParseUint(port, 10, 16)
		if n.Kind != yaml.ScalarNode || err != nil || perr != nil || strings.ContainsAny(host, " /\x00") {
			d.fail(n, field, "expected an address such as 127.0.0.1:8484")
			return
		}
		*into = n.Value
	}
}

// loopback tells whether only this machine reaches an address.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

func (d *decoder) apiToken(n *yaml.Node, field string, before []APIToken) (t APIToken) {
	d.object(n, field, map[string]read{
		"name": d.name(&t.Name),
		"roles": d.list(func(n *yaml.Node, f string) {
			var role string
			d.oneOf(&role, "viewer", "auditor", "operator", "approver")(n, f)
			t.Roles = append(t.Roles, role)
		}),
		"token": d.secret(&t.Token),
	})
	d.require(n, field, map[string]bool{"name": true, "token": true})
	if n.Kind == yaml.MappingNode && len(t.Roles) == 0 {
		d.fail(n, join(field, "roles"), "required: viewer, auditor, operator or approver, or more of them")
	}
	for _, b := range before {
		if b.Name == t.Name && t.Name != "" {
			d.fail(n, join(field, "name"), "two tokens are called %s", t.Name)
		}
	}
	return t
}

func (d *decoder) tls(n *yaml.Node, field string) *TLS {
	t := &TLS{}
	d.object(n, field, map[string]read{"cert_file": d.path(&t.CertFile), "key_file": d.path(&t.KeyFile)})
	if n.Kind == yaml.MappingNode {
		for _, f := range []struct{ name, value string }{{"cert_file", t.CertFile}, {"key_file", t.KeyFile}} {
			if f.value == "" {
				d.fail(n, join(field, f.name), "required")
			}
		}
	}
	return t
}
