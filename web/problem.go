package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Problem is how every failure is answered: RFC 9457, with what to do about it.
type Problem struct {
	Type    string    `json:"type"`
	Title   string    `json:"title"`
	Status  int       `json:"status"`
	Detail  string    `json:"detail"`
	Remedy  string    `json:"remedy"`
	Request string    `json:"request,omitempty"` // under which the log has more
	Running *Underway `json:"running,omitempty"` // 409: what runs
}

func (p *Problem) Error() string { return p.Detail }

func problem(status int, detail, remedy string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Remedy: remedy}
}

// NotFound says that nothing is there under a name. Its text is shown to who asked.
type NotFound struct{ Message string }

func (e *NotFound) Error() string { return e.Message }

// Invalid says that something cannot be asked so. Its text is shown to who asked.
type Invalid struct{ Message string }

func (e *Invalid) Error() string { return e.Message }

// Conflict says that something cannot be done as things stand. Its text is shown to who asked.
type Conflict struct{ Message, Remedy string }

func (e *Conflict) Error() string { return e.Message }

// Busy says that another audit is under way.
type Busy struct{ Underway Underway }

func (e *Busy) Error() string { return "another audit is under way: " + e.Underway.What }

// problemOf turns an error into an answer. What is not meant for who asked is not in it.
func problemOf(err error) *Problem {
	var (
		p        *Problem
		missing  *NotFound
		invalid  *Invalid
		conflict *Conflict
		busy     *Busy
		unknown  audit.UnknownError
		tooLarge *http.MaxBytesError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &missing):
		return problem(http.StatusNotFound, missing.Message, "list what is there, and use one of its ids")
	case errors.As(err, &invalid):
		return problem(http.StatusUnprocessableEntity, invalid.Message, "correct the request: /api/v1/openapi.json says what is expected")
	case errors.As(err, &conflict):
		return problem(http.StatusConflict, conflict.Message, conflict.Remedy)
	case errors.As(err, &unknown):
		return problem(http.StatusUnprocessableEntity, unknown.Error(), "GET /api/v1/controls lists what there is")
	case errors.As(err, &busy):
		p = problem(http.StatusConflict, busy.Error(), "wait until it has ended, and ask again")
		p.Running = &busy.Underway
		return p
	case errors.As(err, &tooLarge):
		return problem(http.StatusRequestEntityTooLarge, "the body is larger than what is read", "send less")
	case errors.Is(err, context.DeadlineExceeded):
		return problem(http.StatusServiceUnavailable, "it took too long to read", "narrow the request, or ask again when less is going on")
	}
	return problem(http.StatusInternalServerError, "something went wrong here", "the log of crosscheck says more under the id of this request")
}
