package web

import (
	"context"
	"net/http"
	"time"
)

// readyWithin bounds the look at the ledger.
const readyWithin = 5 * time.Second

func (s *server) health(w http.ResponseWriter, _ *request) error {
	return reply(w, http.StatusOK, map[string]any{"alive": true})
}

// ready tells whether the ledger can be read and the configuration is good. What
// is wrong is in the log: anybody may ask.
func (s *server) ready(w http.ResponseWriter, r *request) error {
	ctx, stop := context.WithTimeout(r.Context(), readyWithin)
	defer stop()
	failing := []string{}
	check := func(name string, err error) {
		if err == nil {
			return
		}
		failing = append(failing, name)
		if r.Context().Err() == nil {
			s.Log.WarnContext(ctx, "not ready", "check", name, "error", err.Error())
		}
	}
	check("ledger", s.Ledger(ctx))
	if s.Configuration != nil {
		check("configuration", s.Configuration())
	}
	status := http.StatusOK
	if len(failing) > 0 {
		status = http.StatusServiceUnavailable
	}
	return reply(w, status, map[string]any{"ready": len(failing) == 0, "failing": failing})
}

func (s *server) metrics(w http.ResponseWriter, r *request) error {
	if s.Metrics == nil {
		return problem(http.StatusNotFound, "there are no metrics", "run `crosscheck daemon`, which has them")
	}
	s.Metrics.ServeHTTP(w, r.Request)
	return nil
}

func (s *server) slack(w http.ResponseWriter, r *request) error {
	if s.Slack == nil {
		return problem(http.StatusNotFound, "approval by Slack is off", "configure sinks.slack with a signing secret, and reload crosscheck")
	}
	s.Slack.ServeHTTP(w, r.Request)
	return nil
}
