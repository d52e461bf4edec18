package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

const repairingConfig = `version: 1
entity: E
system: S
sources: {terraform: [{name: main, files: [state.tfstate]}]}
sinks: {files: {}}
api: {listen: "127.0.0.1:0"}
schedules: [{name: often, cron: "*/5 * * * * *", retries: 20, backoff: 1s}]
remediation:
  runbooks: runbooks
  approvers: [user:nobody]
  failures: 100
  exec: {programs: [WORK/fix]}
  use: {fix-disk: {mode: auto, max_targets: 1000, max_percent: 100}}
`

const repairingRunbook = `id: fix-disk
version: 1.0.0
title: Encrypt a disk
controls: [CMP-001]
types: [terraform/aws_ebs_volume]
runner: exec
parameters:
  disk: {from: resource, pointer: /native, pattern: '^aws_ebs_volume\.v[0-9]+$', max: 40}
act: {argv: [WORK/fix, {param: disk}]}
`

// repairingFix notes that it was called, and encrypts one disk a little later.
const repairingFix = `#!/bin/sh
echo "$1" >>WORK/log
sleep 0.3
sed -i "/\"name\": \"${1#aws_ebs_volume.}\"/s/\"encrypted\": false/\"encrypted\": true/" WORK/state.tfstate
`

// disks is a state of n that are not encrypted, a line each.
func disks(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"mode": "managed", "type": "aws_ebs_volume", "name": "v%d", "provider": "provider[\"registry.terraform.io/hashicorp/aws\"]", "instances": [{"schema_version": 0, "attributes": {"id": "vol-%d", "encrypted": false, "size": 8}, "sensitive_attributes": []}]}`, i, i)
	}
	return `{"version": 4, "terraform_version": "1.9.0", "serial": 1, "lineage": "8f1d2a6e-0000-4000-8000-000000000000", "outputs": {}, "resources": [` + "\n" + strings.Join(list, ",\n") + "\n]}\n"
}

// TestKillDaemonRepairing kills daemons at random moments while they repair by
// themselves: no disk is repaired twice, each repair is settled in the end, by a
// re-audit where it was cut, and each run is delivered.
func TestKillDaemonRepairing(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	fill := strings.NewReplacer("WORK", h.dir).Replace
	h.write(t, "crosscheck.yaml", fill(repairingConfig))
	h.write(t, "runbooks/fix-disk.yaml", fill(repairingRunbook))
	h.write(t, "fix", fill(repairingFix))
	if err := os.Chmod(h.path("fix"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	n := 8 + repairKills/2
	h.write(t, "state.tfstate", disks(n))
	l, list := repairedUnderFire(t, h, 7, n)
	h.exits(t, []int{exitOK}, nil, "deliveries", "retry")
	checkRepairedOnce(t, h, list)
	cut := 0
	for _, r := range list {
		events, err := l.RepairEvents(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(events, func(e audit.RepairEvent) bool { return e.State == audit.RepairUnknown }) {
			cut++
		}
	}
	t.Logf("%d repairs were killed in the middle", cut)
	waiting, err := l.Deliveries(t.Context(), ledger.DeliveryQuery{Status: audit.Waiting})
	if err != nil || len(waiting) != 0 {
		t.Errorf("%d deliveries wait, %v", len(waiting), err)
	}
}

// repairedUnderFire kills daemons at random moments, and has a last one settle the
// repairs of n resources.
func repairedUnderFire(t *testing.T, h home, seed uint64, n int) (*ledger.Ledger, []audit.Repair) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	for range repairKills {
		cmd, stderr := startDaemon(t, h)
		kill := time.AfterFunc(time.Second+time.Duration(rng.Int64N(int64(4*time.Second))), func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		if kill.Stop(); err == nil || cmd.ProcessState.ExitCode() >= 0 {
			t.Fatalf("the daemon ended by itself: %v\n%s", err, stderr)
		}
	}
	cmd, stderr := startDaemon(t, h)
	await(t, "the last daemon", func() bool { return strings.Contains(stderr.String(), "daemon started") })
	l, err := ledger.Open(t.Context(), h.ledger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	list := settledAll(t, l, n)
	stopDaemon(t, cmd, stderr)
	return l, list
}

// calls counts the lines of what a runbook's program noted: none may stand there twice.
func (h home) calls(t *testing.T) map[string]int {
	t.Helper()
	log, err := os.ReadFile(h.path("log"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for line := range strings.Lines(string(log)) {
		line = strings.TrimSpace(line)
		if out[line]++; out[line] > 1 {
			t.Errorf("%d times: %s", out[line], line)
		}
	}
	return out
}

func checkRepairedOnce(t *testing.T, h home, list []audit.Repair) {
	t.Helper()
	done := h.calls(t)
	states, began := map[audit.RepairState]int{}, 0
	for _, r := range list {
		states[r.State]++
		if r.State.Began() {
			began++
		}
		if r.State == audit.RepairVerified && (r.Verified == nil || r.Verified.Outcome != audit.Pass) {
			t.Errorf("repair %s of %s is verified by %+v", r.ID, r.Resource, r.Verified)
		}
	}
	t.Logf("%d calls, %v", len(done), states)
	if states[audit.RepairVerified] < len(done)/2 || began < len(done) {
		t.Errorf("%d disks were called for, of %d repairs that began: %v", len(done), began, states)
	}
}
