package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

const undoneRunbook = `id: fix-disk
version: 1.0.0
title: Encrypt a disk
controls: [CMP-001]
types: [terraform/aws_ebs_volume]
runner: exec
parameters:
  disk: {from: resource, pointer: /native, pattern: '^aws_ebs_volume\.[a-z0-9]+$', max: 40}
act:
  argv: [WORK/fix, act, {param: disk}]
  capture: [WORK/fix, capture, {param: disk}]
  undo: [WORK/fix, undo, {param: disk}, WHEN]
roll_back: true
`

// undoneFix makes a disk larger, which encrypts nothing, and puts back its size.
// It notes what it was called for, and stands still while it puts back.
const undoneFix = `#!/bin/sh
disk=${2#aws_ebs_volume.}
case $1 in
capture) exec sed -n "/\"name\": \"$disk\"/s/.*\"size\": \([0-9]*\).*/\1/p" WORK/state.tfstate ;;
act) echo "act $disk" >>WORK/log; sed -i "/\"name\": \"$disk\"/s/\"size\": 8/\"size\": 9/" WORK/state.tfstate ;;
undo)
	read -r size
	echo "undo $disk" >>WORK/log
	[ "$3" = before ] && exec sleep 600
	[ "$3" = while ] && sleep 0.3
	sed -i "/\"name\": \"$disk\"/s/\"size\": 9/\"size\": $size/" WORK/state.tfstate
	echo "$disk" >>WORK/undone
	[ "$3" = while ] || exec sleep 600 ;;
esac
`

// undoing is a home in which every repair has to be rolled back.
func undoing(t *testing.T, config, when, state string) home {
	t.Helper()
	h := newHome(t)
	fill := strings.NewReplacer("WORK", h.dir, "WHEN", when).Replace
	h.write(t, "crosscheck.yaml", fill(config))
	h.write(t, "runbooks/fix-disk.yaml", fill(undoneRunbook))
	h.write(t, "state.tfstate", state)
	h.write(t, "fix", fill(undoneFix))
	if err := os.Chmod(h.path("fix"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	return h
}

// TestKilledWhileUndoing kills the program with signal 9 while a roll back is at
// work, before and after it put something back: that it was begun is on record,
// nobody knows how it ended, what is there tells, and it is not undone again.
func TestKilledWhileUndoing(t *testing.T) {
	t.Parallel()
	for when, want := range map[string]audit.RepairState{"before": audit.RepairStuck, "after": audit.RepairRolledBack} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			h := undoing(t, killedConfig, when, disks(1))
			h.exits(t, []int{0}, nil, "audit", "-q")
			if when == "before" {
				h.killWhen(t, "log", "undo v0")
			} else {
				h.killWhen(t, "undone", "v0")
			}
			list := h.repairs(t)
			if len(list) != 1 || list[0].State != audit.RepairActed || list[0].Undone == nil {
				t.Fatalf("the intent to undo is not on record: %+v", list)
			}
			h.exits(t, []int{exitViolations}, nil, "repairs", "run")
			h.exits(t, []int{0}, nil, "repairs", "run")
			list = h.repairs(t)
			if len(list) != 1 || list[0].State != want || list[0].Undone == nil || list[0].Undone.Outcome != audit.Fail {
				t.Errorf("it is %s (%s) by %+v, want %s", list[0].State, list[0].Reason, list[0].Undone, want)
			}
			events := []audit.RepairState{"approved", "acting", "acted", "acted", "unknown", want}
			if diff := cmp.Diff(h.steps(t, list[0].ID), events); diff != "" {
				t.Errorf("what happened to it (-got +want):\n%s", diff)
			}
			if b, err := os.ReadFile(h.path("log")); err != nil || string(b) != "act v0\nundo v0\n" {
				t.Errorf("it was done, or undone, more than once: %q, %v", b, err)
			}
			h.exits(t, []int{0}, nil, append([]string{"evidence", "verify"}, h.allPacks(t)...)...)
		})
	}
}

// steps are the states that a repair went through.
func (h home) steps(t *testing.T, repair string) (out []audit.RepairState) {
	t.Helper()
	var shown struct{ Events []audit.RepairEvent }
	if err := json.Unmarshal(h.exits(t, []int{0}, nil, "repairs", "show", repair, "-o", "json").stdout, &shown); err != nil {
		t.Fatal(err)
	}
	for _, e := range shown.Events {
		out = append(out, e.State)
	}
	return out
}

// TestKillDaemonUndoing kills daemons at random moments while each of their
// repairs is rolled back: no disk is acted on or undone twice, each repair is
// settled in the end, and what is called rolled back is as it was.
func TestKillDaemonUndoing(t *testing.T) {
	t.Parallel()
	n := 6 + repairKills/2
	h := undoing(t, repairingConfig, "while", disks(n))
	l, list := repairedUnderFire(t, h, 11, n)
	checkUndoneOnce(t, h, list)
	cut := 0
	for _, r := range list {
		events, err := l.RepairEvents(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range events {
			if e.State == audit.RepairUnknown && events[i-1].State == audit.RepairActed {
				cut++
			}
		}
	}
	t.Logf("%d roll backs were killed in the middle", cut)
}

// settledAll waits until a repair of each of n resources is settled, and every other too.
func settledAll(t *testing.T, l *ledger.Ledger, n int) (list []audit.Repair) {
	t.Helper()
	t.Cleanup(func() {
		for _, r := range list {
			if t.Failed() && !r.State.Settled() {
				t.Logf("%s is %s: %s", r.Resource, r.State, r.Reason)
			}
		}
	})
	await(t, "every repair to be settled", func() (settled bool) {
		var err error
		if list, err = l.Repairs(t.Context(), audit.RepairQuery{Limit: 10000}); err != nil {
			return false
		}
		tried := map[string]bool{}
		for _, r := range list {
			tried[r.Resource] = true
		}
		return len(tried) == n && !slices.ContainsFunc(list, func(r audit.Repair) bool { return !r.State.Settled() })
	})
	return list
}

func checkUndoneOnce(t *testing.T, h home, list []audit.Repair) {
	t.Helper()
	calls := h.calls(t)
	state, err := os.ReadFile(h.path("state.tfstate"))
	if err != nil {
		t.Fatal(err)
	}
	states := map[audit.RepairState]int{}
	for _, r := range list {
		states[r.State]++
		disk := strings.TrimPrefix(r.Name, "aws_ebs_volume.")
		resized := strings.Contains(lineOf(string(state), fmt.Sprintf("%q", disk)), `"size": 9`)
		if r.State == audit.RepairRolledBack && resized || r.State == audit.RepairStuck && !resized {
			t.Errorf("repair of %s is %s (%s), and whether it is resized: %t", disk, r.State, r.Reason, resized)
		}
		if calls["undo "+disk] > 0 && r.State.Began() && r.Undone == nil {
			t.Errorf("%s was undone, and nothing of it is on record: %+v", disk, r)
		}
	}
	t.Logf("%d calls, %v", len(calls), states)
	if states[audit.RepairRolledBack] < len(list)/3 {
		t.Errorf("of %d repairs too few were rolled back: %v", len(list), states)
	}
}

func lineOf(text, with string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, with) {
			return line
		}
	}
	return ""
}
