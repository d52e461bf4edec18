// Package ssm repairs by AWS Systems Manager automations: one execution for each
// target, started with a client token so that starting it twice is one, and
// polled until it ends.
package ssm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/remediate"
)

// Config says how automations are reached.
type Config struct {
	// Connect gives the configuration of who acts in an origin of AWS; required.
	Connect func(ctx context.Context, origin string) (sdk.Config, error)
	Poll    time.Duration // default 5 s
	Sleep   func(context.Context, time.Duration) error
}

// Runner implements remediate.Runner.
type Runner struct{ cfg Config }

// New makes no call.
func New(cfg Config) (*Runner, error) {
	if cfg.Connect == nil || cfg.Sleep == nil {
		return nil, errors.New("connect and sleep are required")
	}
	if cfg.Poll == 0 {
		cfg.Poll = 5 * time.Second
	}
	return &Runner{cfg}, nil
}

// told is what a runbook tells this runner. Undo is the document that puts back
// what the first one changed; it gets the same parameters.
type told struct {
	Document   document       `json:"document"`
	Undo       *document      `json:"undo"`
	Parameters map[string]any `json:"parameters"` // name → text, or a list of it
}

type document struct {
	Name    string `json:"name"`
	Version string `json:"version"` // required: "$LATEST" may change under an approval
}

var (
	nameForm    = regexp.MustCompile(`^[a-zA-Z0-9_\-.:/]{3,128}$`)
	versionForm = regexp.MustCompile(`^[1-9][0-9]{0,5}$`)
)

// Check implements remediate.Checker.
func (r *Runner) Check(b remediate.Runbook) error {
	var t told
	if err := remediate.Decode(b.Act, &t); err != nil {
		return err
	}
	docs := []document{t.Document}
	if t.Undo != nil {
		docs = append(docs, *t.Undo)
	}
	for _, d := range docs {
		if !nameForm.MatchString(d.Name) || !versionForm.MatchString(d.Version) {
			return errors.New("act: a document has a name, and a version that is a number")
		}
	}
	switch {
	case b.DryRun:
		return errors.New("dry_run: automations have none")
	case b.RollBack && t.Undo == nil:
		return errors.New("act.undo is required where roll_back is true")
	}
	return nil
}

// Capture implements remediate.Runner: an automation remembers by itself what it
// changes, or it cannot be undone; what undid it is told by the re-audit alone.
func (r *Runner) Capture(context.Context, remediate.Call) (json.RawMessage, error) { return nil, nil }

// Act implements remediate.Runner.
func (r *Runner) Act(ctx context.Context, c remediate.Call) (string, error) {
	if c.DryRun {
		return "", errors.New("automations have no dry run")
	}
	return r.each(ctx, c, "act", func(t told) document { return t.Document })
}

// Undo implements remediate.Runner.
func (r *Runner) Undo(ctx context.Context, c remediate.Call, _ json.RawMessage) (string, error) {
	return r.each(ctx, c, "undo", func(t told) document {
		if t.Undo == nil {
			return document{}
		}
		return *t.Undo
	})
}

func (r *Runner) each(ctx context.Context, c remediate.Call, action string, which func(told) document) (string, error) {
	cfg, err := r.cfg.Connect(ctx, c.Origin)
	if err != nil {
		return "", err
	}
	client := ssm.NewFromConfig(cfg)
	var said strings.Builder
	for i, target := range c.Targets {
		var t told
		if err := remediate.Decode(c.Runbook.Fill(target), &t); err != nil {
			return said.String(), err
		}
		d := which(t)
		if d.Name == "" {
			return said.String(), errors.New("there is no document for it")
		}
		parameters, err := lists(t.Parameters)
		if err != nil {
			return said.String(), err
		}
		out, err := client.StartAutomationExecution(ctx, &ssm.StartAutomationExecutionInput{
			DocumentName: &d.Name, DocumentVersion: &d.Version, Parameters: parameters,
			ClientToken: sdk.String(token(c.Repair, action, i)), Mode: types.ExecutionModeAuto,
		})
		if err != nil {
			if !errors.As(err, new(smithy.APIError)) { // nothing was answered: it may have been started
				err = atWork(err)
			}
			return said.String(), fmt.Errorf("starting %s: %w", d.Name, err)
		}
		ended, err := r.wait(ctx, client, sdk.ToString(out.AutomationExecutionId))
		fmt.Fprintf(&said, "%s %s: execution %s %s\n", d.Name, d.Version, sdk.ToString(out.AutomationExecutionId), ended)
		if err != nil {
			return said.String(), fmt.Errorf("%s: %w", d.Name, err)
		}
	}
	return said.String(), nil
}

// lists renders parameters as automations have them: each a list of texts.
func lists(in map[string]any) (map[string][]string, error) {
	out := map[string][]string{}
	for name, v := range in {
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, e := range list {
			switch e := e.(type) {
			case string:
				if strings.Contains(e, "{{") { // Systems Manager would look up what is in it
					return nil, fmt.Errorf("act.parameters.%s: a value has braces that Systems Manager takes for a reference", name)
				}
				out[name] = append(out[name], e)
			case json.Number:
				out[name] = append(out[name], e.String())
			case bool:
				out[name] = append(out[name], fmt.Sprint(e))
			default:
				return nil, fmt.Errorf("act.parameters.%s: expected text, or a list of it", name)
			}
		}
	}
	return out, nil
}

// token makes the UUID by which one execution is started once: the same for each
// attempt at the same target of the same repair.
func token(repair, action string, target int) string {
	h := digest(fmt.Sprintf("crosscheck/ssm/1\n%s\n%s\n%d", repair, action, target))
	return h[:8] + "-" + h[8:12] + "-5" + h[13:16] + "-a" + h[17:20] + "-" + h[20:32]
}

func atWork(err error) error { return fmt.Errorf("%w: %w", remediate.ErrAtWork, err) }

// wait polls until the execution ended. We stop looking where the context ends,
// or nobody answers; the execution goes on, and the repair is unknown.
func (r *Runner) wait(ctx context.Context, client *ssm.Client, id string) (string, error) {
	for {
		out, err := client.GetAutomationExecution(ctx, &ssm.GetAutomationExecutionInput{AutomationExecutionId: &id})
		if err != nil {
			return "is not known", atWork(err)
		}
		e := out.AutomationExecution
		if e == nil {
			return "is not known", atWork(errors.New("the answer has no execution"))
		}
		switch s := e.AutomationExecutionStatus; s {
		case types.AutomationExecutionStatusSuccess, types.AutomationExecutionStatusCompletedWithSuccess:
			return string(s), nil
		case types.AutomationExecutionStatusPending, types.AutomationExecutionStatusInprogress, types.AutomationExecutionStatusWaiting,
			types.AutomationExecutionStatusCancelling, types.AutomationExecutionStatusRunbookInprogress, types.AutomationExecutionStatusScheduled,
			types.AutomationExecutionStatusPendingApproval, types.AutomationExecutionStatusApproved, types.AutomationExecutionStatusPendingChangeCalendarOverride,
			types.AutomationExecutionStatusChangeCalendarOverrideApproved:
		default:
			return string(s), fmt.Errorf("the execution ended as %s: %s", s, sdk.ToString(e.FailureMessage))
		}
		if err := r.cfg.Sleep(ctx, r.cfg.Poll); err != nil {
			return "was not waited for", atWork(err)
		}
	}
}

func digest(s string) string { return audit.Digest([]byte(s)) }
