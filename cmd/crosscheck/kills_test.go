//go:build !e2e

package main

// kills is how many audits of the recorded estate TestKillStages kills.
const kills = 5

// samePack are the audits of which TestSamePack compares the packs.
func samePack() []string { return scoped() }

// daemonKills is how many daemons TestKillDaemon kills.
const daemonKills = 20

// repairKills is how many daemons TestKillDaemonRepairing kills.
const repairKills = 6
