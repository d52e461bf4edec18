package configs

import (
	"regexp"

	"go.yaml.in/yaml/v3"
)

// Stream is where decisions go in OPA's decision log format. Of File, HTTP and
// Kafka one is set.
type Stream struct {
	Name   string
	Passes bool
	File   string // path
	HTTP   *StreamHTTP
	Kafka  *StreamKafka
}

// StreamHTTP is an endpoint that takes batches.
type StreamHTTP struct {
	URL    string
	Token  Secret
	CAFile string
}

// StreamKafka is a topic.
type StreamKafka struct {
	Brokers   []string
	Topic     string
	TLS       bool
	CAFile    string
	Mechanism string
	User      string
	Password  Secret
}

var (
	streamName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,40}$`)
	broker     = regexp.MustCompile(`^([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}$`)
	topic      = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)
)

func (d *decoder) streams(into *[]Stream) read {
	seen := map[string]bool{}
	return d.list(func(n *yaml.Node, field string) {
		var s Stream
		d.object(n, field, map[string]read{
			"name":   d.match(&s.Name, streamName, "a name of lower-case letters, digits and dashes"),
			"passes": d.flag(&s.Passes),
			"file":   d.path(&s.File),
			"http":   d.streamHTTP(&s.HTTP),
			"kafka":  d.streamKafka(&s.Kafka),
		})
		d.require(n, field, map[string]bool{"name": true})
		given := 0
		for _, is := range []bool{s.File != "", s.HTTP != nil, s.Kafka != nil} {
			if is {
				given++
			}
		}
		if given != 1 && n.Kind == yaml.MappingNode {
			d.fail(n, field, "expected one of file, http and kafka")
		}
		if seen[s.Name] && s.Name != "" {
			d.fail(n, join(field, "name"), "stream %s is configured twice", s.Name)
		}
		seen[s.Name] = true
		for _, b := range *into {
			if s.File != "" && b.File == s.File {
				d.fail(n, join(field, "file"), "stream %s writes there: two would write over each other", b.Name)
			}
		}
		*into = append(*into, s)
	})
}

func (d *decoder) streamHTTP(into **StreamHTTP) read {
	return func(n *yaml.Node, field string) {
		h := &StreamHTTP{}
		*into = h
		d.object(n, field, map[string]read{"url": d.web(&h.URL), "token": d.secret(&h.Token), "ca_file": d.path(&h.CAFile)})
		d.require(n, field, map[string]bool{"url": true})
	}
}

func (d *decoder) streamKafka(into **StreamKafka) read {
	return func(n *yaml.Node, field string) {
		k := &StreamKafka{}
		*into = k
		d.object(n, field, map[string]read{
			"brokers": d.list(func(n *yaml.Node, f string) {
				var b string
				d.match(&b, broker, "a broker such as kafka.example.com:9092")(n, f)
				k.Brokers = append(k.Brokers, b)
			}),
			"topic": d.match(&k.Topic, topic, "a topic of letters, digits, dots, dashes and underscores"),
			"tls":   d.flag(&k.TLS), "ca_file": d.path(&k.CAFile),
			"mechanism": d.oneOf(&k.Mechanism, "plain", "scram-sha-256", "scram-sha-512"),
			"user":      d.text(&k.User), "password": d.secret(&k.Password),
		})
		d.require(n, field, map[string]bool{"brokers": true, "topic": true})
		d.some(n, field, "brokers")
		if (k.Mechanism != "") != (k.User != "") || (k.User != "") != !k.Password.IsZero() {
			d.fail(n, field, "expected mechanism, user and password together, or none of them")
		}
		if k.Mechanism == "plain" && !k.TLS {
			d.warnings = append(d.warnings, d.file+": "+field+": mechanism plain without tls sends the password in clear text")
		}
	}
}
