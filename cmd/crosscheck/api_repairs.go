package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/configs"
	"github.com/crosscheck-dev/crosscheck/remediate"
	"github.com/crosscheck-dev/crosscheck/report/slack"
	"github.com/crosscheck-dev/crosscheck/web"
)

// apiRepairs implements web.Repairs. Who asks is a token of the API, and is
// called token:NAME, as among remediation.approvers.
type apiRepairs struct {
	in     *installation
	engine *remediate.Engine
	now    func() audit.Switch // of a switch that is turned now
	wake   func()              // has what is approved done soon
}

// List implements web.Repairs.
func (r apiRepairs) List(ctx context.Context, q web.RepairQuery) ([]audit.Repair, error) {
	ask := audit.RepairQuery{Control: q.Control, Resource: q.Resource, Runbook: q.Runbook, Limit: q.Limit}
	if q.State != "" {
		ask.States = []audit.RepairState{q.State}
	}
	return r.in.ledger.Repairs(ctx, ask)
}

// Repair implements web.Repairs.
func (r apiRepairs) Repair(ctx context.Context, id string) (audit.Repair, error) {
	out, err := r.engine.Find(ctx, id)
	if err != nil {
		return out, &web.NotFound{Message: err.Error()}
	}
	return out, nil
}

// Request implements web.Repairs.
func (r apiRepairs) Request(ctx context.Context, ask web.RepairRequest) (audit.Repair, error) {
	out, err := r.engine.Request(ctx, ask.Decision, ask.Runbook, "token:"+ask.By)
	r.wake()
	return out, repairForWeb(err)
}

// Answer implements web.Repairs.
func (r apiRepairs) Answer(ctx context.Context, a web.RepairAnswer) (out audit.Repair, err error) {
	if a.Approve {
		out, err = r.engine.Approve(ctx, a.ID, "token:"+a.By)
	} else {
		out, err = r.engine.Deny(ctx, a.ID, "token:"+a.By, a.Reason)
	}
	r.wake()
	return out, repairForWeb(err)
}

// Settle implements web.Repairs.
func (r apiRepairs) Settle(ctx context.Context, n web.RepairNote) (audit.Repair, error) {
	out, err := r.engine.Settle(ctx, n.ID, "token:"+n.By, n.Note)
	r.wake()
	return out, repairForWeb(err)
}

// Stopped implements web.Repairs.
func (r apiRepairs) Stopped(ctx context.Context) (web.KillSwitch, error) {
	s, err := r.in.ledger.Switch(ctx, remediate.StopSwitch)
	return web.KillSwitch{On: s.Value == remediate.Stopped, By: s.By, At: s.At}, err
}

// Stop implements web.Repairs: anybody who may ask may stop, who may approve may resume.
func (r apiRepairs) Stop(ctx context.Context, k web.KillSwitch) (web.KillSwitch, error) {
	s := r.now()
	s.Name, s.Value, s.By = remediate.StopSwitch, remediate.Stopped, "token:"+k.By
	if !k.On {
		s.Value = "on"
		if err := r.engine.MayResume(s.By, remediate.StopSwitch); err != nil {
			return web.KillSwitch{}, repairForWeb(err)
		}
	}
	if err := r.in.ledger.Turn(ctx, s); err != nil {
		return web.KillSwitch{}, err
	}
	r.wake()
	return web.KillSwitch{On: k.On, By: s.By, At: s.At, Reason: k.Reason}, nil
}

// repairForWeb shows what stands against a repair, and nothing of this machine.
func repairForWeb(err error) error {
	var path *fs.PathError
	var at *configs.Error
	if err == nil || errors.As(err, &path) || errors.As(err, &at) {
		return err
	}
	if shown := forWeb(err); !errors.Is(shown, err) {
		return shown
	}
	return &web.Conflict{Message: err.Error(), Remedy: "see the repair, its runbook and the section remediation of the configuration"}
}

// decideBySlack approves or denies for a person whom Slack's signature and the
// configured map vouch for, called slack:NAME among remediation.approvers.
func decideBySlack(engine *remediate.Engine, wake func()) slack.Decide {
	return func(ctx context.Context, repair string, approve bool, by slack.Person) (string, error) {
		who := "slack:" + by.Name
		defer wake()
		if approve {
			r, err := engine.Approve(ctx, repair, who)
			return fmt.Sprintf("Repair %s of %s is approved by %s.", short(r.ID), r.Resource, who), err
		}
		r, err := engine.Deny(ctx, repair, who, "by a button in Slack")
		return fmt.Sprintf("Repair %s of %s is denied by %s.", short(r.ID), r.Resource, who), err
	}
}
