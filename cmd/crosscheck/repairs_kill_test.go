package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crosscheck-dev/crosscheck/audit"
)

const killedConfig = `version: 1
entity: E
system: S
sources: {terraform: [{name: main, files: [state.tfstate]}]}
sinks: {pack: {}}
remediation:
  runbooks: runbooks
  approvers: [user:nobody]
  exec: {programs: [WORK/fix]}
  use: {fix-disk: {mode: auto}}
`

const killedRunbook = `id: fix-disk
version: 1.0.0
title: Encrypt a disk
controls: [CMP-001]
types: [terraform/aws_ebs_volume]
runner: exec
act: {argv: [WORK/fix, WHEN]}
`

const killedState = `{"version": 4, "terraform_version": "1.9.0", "serial": 1, "lineage": "8f1d2a6e-0000-4000-8000-000000000000", "outputs": {},
  "resources": [{"mode": "managed", "type": "aws_ebs_volume", "name": "data", "provider": "provider[\"registry.terraform.io/hashicorp/aws\"]",
    "instances": [{"schema_version": 0, "attributes": {"id": "vol-1", "encrypted": false, "size": 8}, "sensitive_attributes": []}]}]}
`

// TestKilledWhileRepairing kills the program with signal 9 while a runner is at
// work, before and after it did something: the repair is unknown, a re-audit
// settles it, and nothing is done a second time.
func TestKilledWhileRepairing(t *testing.T) {
	t.Parallel()
	for when, want := range map[string]audit.RepairState{"before": audit.RepairFailed, "after": audit.RepairVerified} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			fill := strings.NewReplacer("WORK", h.dir, "WHEN", when).Replace
			h.write(t, "crosscheck.yaml", fill(killedConfig))
			h.write(t, "runbooks/fix-disk.yaml", fill(killedRunbook))
			h.write(t, "state.tfstate", killedState)
			h.write(t, "fix", fill("#!/bin/sh\necho begun >>WORK/log\n[ $1 = before ] && exec sleep 600\nsed -i 's/false/true/' WORK/state.tfstate\necho done >WORK/done\nexec sleep 600\n"))
			if err := os.Chmod(h.path("fix"), 0o700); err != nil { //nolint:gosec // it is to be run
				t.Fatal(err)
			}
			h.exits(t, []int{0}, nil, "audit", "-q")
			if when == "before" {
				h.killWhen(t, "log", "begun")
			} else {
				h.killWhen(t, "done", "done")
			}
			list := h.repairs(t)
			if len(list) != 1 || list[0].State != audit.RepairActing {
				t.Fatalf("the intent is not on record: %+v", list)
			}
			h.exits(t, []int{0, 2}, nil, "repairs", "run")
			h.exits(t, []int{0}, nil, "repairs", "run")
			list = h.repairs(t)
			if len(list) != 1 || list[0].State != want || list[0].Verified == nil {
				t.Errorf("it is %s (%s), want %s", list[0].State, list[0].Reason, want)
			}
			if b, err := os.ReadFile(h.path("log")); err != nil || string(b) != "begun\n" {
				t.Errorf("it was done more than once: %q, %v", b, err)
			}
			h.exits(t, []int{0}, nil, append([]string{"evidence", "verify"}, h.allPacks(t)...)...)
		})
	}
}

// killWhen takes repairs further, and kills that once a file holds a line whole:
// a shell makes the file before it writes, and dies with the program.
func (h home) killWhen(t *testing.T, file, line string) {
	t.Helper()
	cmd := h.command(t.Context(), nil, "repairs", "run")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for !h.holds(file, line) {
		if err := pause(t.Context(), 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("it was not killed")
	}
}

func (h home) holds(file, line string) bool {
	b, err := os.ReadFile(h.path(file))
	return err == nil && strings.Contains("\n"+string(b), "\n"+line+"\n")
}

func (h home) repairs(t *testing.T) []audit.Repair {
	t.Helper()
	var out struct{ Repairs []audit.Repair }
	if err := json.Unmarshal(h.exits(t, []int{0}, nil, "repairs", "list", "-o", "json").stdout, &out); err != nil {
		t.Fatal(err)
	}
	return out.Repairs
}

func (h home) allPacks(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(h.packs(), "*"))
	if err != nil || len(list) == 0 {
		t.Fatalf("no packs, %v", err)
	}
	return list
}
