package slack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
)

// The actions of the buttons that decide on a repair.
const (
	approveAction = "crosscheck_approve"
	denyAction    = "crosscheck_deny"
)

var (
	// repairForm is what a repair's id may be: it means nothing by itself.
	repairForm = regexp.MustCompile(`^[0-9a-zA-Z_-]{1,128}$`)
	userForm   = regexp.MustCompile(`^[UW][A-Z0-9]{2,30}$`)
	stampForm  = regexp.MustCompile(`^[0-9]{1,20}\.[0-9]{1,10}$`)
)

// click is a button that somebody pressed.
type click struct {
	user    string
	approve bool
	repair  string
	at      string            // Slack's stamp of the click
	reply   string            // URL to answer to, empty if Slack gave none
	blocks  []json.RawMessage // of the message, without its buttons
}

// payload is what of Slack's request is read.
type payload struct {
	Type string `json:"type"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
	ResponseURL string `json:"response_url"`
	Message     struct {
		Blocks []json.RawMessage `json:"blocks"`
	} `json:"message"`
	Actions []struct {
		ActionID string `json:"action_id"`
		Value    string `json:"value"`
		ActionTS string `json:"action_ts"`
	} `json:"actions"`
}

var errNotOurs = errors.New("not a button of ours")

// parseClick reads the body of a request whose signature was verified. A click
// on what is no button of ours is errNotOurs.
func parseClick(body []byte) (click, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form) != 1 || len(form["payload"]) != 1 {
		return click{}, errors.New("expected a form with one payload")
	}
	var p payload
	dec := json.NewDecoder(bytes.NewReader([]byte(form["payload"][0])))
	if err := dec.Decode(&p); err != nil {
		return click{}, errors.New("the payload is no JSON of the form expected")
	}
	if dec.More() {
		return click{}, errors.New("the payload is more than one JSON value")
	}
	if p.Type != "block_actions" || len(p.Actions) == 0 {
		return click{}, errNotOurs
	}
	a := p.Actions[0]
	c := click{user: p.User.ID, approve: a.ActionID == approveAction, repair: a.Value, at: a.ActionTS, reply: p.ResponseURL}
	switch {
	case a.ActionID != approveAction && a.ActionID != denyAction:
		return click{}, errNotOurs
	case len(p.Actions) != 1:
		return click{}, fmt.Errorf("%d actions at once, expected one", len(p.Actions))
	case !userForm.MatchString(c.user):
		return click{}, errors.New("the payload names no user")
	case !repairForm.MatchString(c.repair):
		return click{}, errors.New("the payload names no repair")
	case !stampForm.MatchString(c.at):
		return click{}, errors.New("the payload says not when it was clicked")
	}
	c.blocks = withoutButtons(p.Message.Blocks)
	return c, nil
}

// withoutButtons gives a message's blocks but for what can be pressed; none
// where they are not of the form expected.
func withoutButtons(blocks []json.RawMessage) (out []json.RawMessage) {
	for _, b := range blocks {
		var of struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal(b, &of); err != nil || of.Type == "" || len(blocks) > maxBlocks {
			return nil
		}
		if of.Type != "actions" {
			out = append(out, b)
		}
	}
	return out
}
