package web

import (
	"net/http"
	"regexp"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// sinkName is what names of sinks look like.
var sinkName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

func (s *server) listDeliveries(w http.ResponseWriter, r *request) error {
	q := parseQuery(r.URL.RawQuery, "sink", "status", "subject", "limit")
	ask := DeliveryQuery{
		Sink: q.form("sink", sinkName, "a sink's name"), Status: audit.DeliveryStatus(q.word("status", "waiting", "delivered", "refused")),
		Subject: q.text("subject"), Limit: q.limit(100),
	}
	if err := q.err(); err != nil {
		return err
	}
	list, err := s.Deliveries.List(r.Context(), ask)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{"deliveries": append([]audit.Delivery{}, list...)})
}

func (s *server) retryDeliveries(w http.ResponseWriter, r *request) error {
	var b struct {
		Sink    string               `json:"sink"`
		Status  audit.DeliveryStatus `json:"status"`
		Subject string               `json:"subject"`
		Again   bool                 `json:"again"`
	}
	if err := r.body(&b); err != nil {
		return err
	}
	switch {
	case b.Sink == "" && b.Subject == "":
		return &Invalid{"expected sink, subject or both: not everything is tried again at once"}
	case b.Again && (b.Sink == "" || b.Subject == ""):
		return &Invalid{"again: expected both sink and subject: not everything that was delivered is sent once more"}
	case b.Sink != "" && !sinkName.MatchString(b.Sink):
		return &Invalid{"sink is no name of a sink"}
	case !plain(b.Subject):
		return &Invalid{"subject: expected a run's id, or an announcement's key"}
	case b.Status != "" && b.Status != audit.Waiting && b.Status != audit.Refused && b.Status != audit.Delivered:
		return &Invalid{"status: expected waiting, refused or delivered"}
	}
	n, err := s.Deliveries.Retry(r.Context(), DeliveryQuery{Sink: b.Sink, Status: b.Status, Subject: b.Subject}, b.Again)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{"retried": n})
}
