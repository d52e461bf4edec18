package slack

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// missed makes the loud message of a run that did not happen.
func (s *Sink) missed(x audit.Missed, key string) message {
	var m message
	m.fallback = "crosscheck: an audit did not run"
	m.header("🚨 " + cmp.Or(x.Audit, "The audit") + " did not run")
	text := fmt.Sprintf("%s :rotating_light: *The audit %s due %s did not run, or left no record.*\n%s", mention(s.cfg.Alert), code(x.Audit), audit.Stamp(x.Due), plain(x.Reason))
	m.section(strings.TrimSpace(text))
	last := "No complete run is on record."
	if !x.LastComplete.IsZero() {
		last = "The last complete run is as of *" + audit.Stamp(x.LastComplete) + "*: nothing newer is known."
	}
	m.section(last + "\nUntil the next one, no news is not good news. Look at the log of the daemon, or run it now: " + typed(s.command("audit")))
	m.context("key " + code(short(key)))
	return m
}

// nudge makes the message that tells an owner that they met a control again.
func (s *Sink) nudge(x audit.Nudge, key string) message {
	var m message
	m.fallback = fmt.Sprintf("crosscheck: %s came back", plain(x.Control.ID))
	m.header(fmt.Sprintf("%s came back: %s", x.Control.ID, x.Control.Title))
	who := cmp.Or(mention(s.cfg.Owners[x.Owner]), code(x.Owner))
	m.section(fmt.Sprintf("%s, this is the %s time that *%s* (%s) fails on what you own. It may be worth mending where it comes from. You are told this once.",
		who, ordinal(x.Times), plain(x.Control.Title), plain(x.Control.ID)))
	if x.Control.Why != "" {
		m.section("*Why it matters*\n" + plain(x.Control.Why))
	}
	more := typed(s.command("controls show " + x.Control.ID))
	for _, tool := range tools(x) {
		m.section(fmt.Sprintf("*The fix in %s*\n%s", plain(tool), fence(x.Control.Fix[tool], more, 1800)))
	}
	m.held = 800
	lines := make([]line, len(x.Spells))
	for i, sp := range x.Spells {
		lines[i].text = narrowed(func(width int) string { return spellLine(sp, width) })
	}
	n := m.list("*Your history of it*, the latest first", lines)
	list := s.command("violations list --all --control " + x.Control.ID)
	if word.MatchString(x.Owner) { // what a shell would read otherwise is not offered to be pasted
		list += " --owner " + x.Owner
	}
	if n < len(lines) {
		m.more(fmt.Sprintf("and %d more: %s", len(lines)-n, typed(list)))
	} else {
		m.more("All of it: " + typed(list))
	}
	m.context("An accepted risk is not counted: an exception mutes this", "key "+code(short(key)))
	return m
}

func spellLine(sp audit.Spell, width int) string {
	line := fmt.Sprintf("• %s %s in %s", plain(clip(sp.Type, width)), code(clip(tidy(cmp.Or(sp.Name, sp.Resource)), width)), code(clip(sp.Origin, width)))
	line += " · failed " + sp.Opened.AsOf.UTC().Format("2006-01-02")
	switch {
	case sp.Closed == nil:
		line += ", open"
	default:
		line += fmt.Sprintf(", %s %s", plain(strings.ReplaceAll(string(sp.How), "_", " ")), sp.Closed.AsOf.UTC().Format("2006-01-02"))
	}
	return line
}

// tools are those whose fix an owner needs: of the sources that their resources
// come from, or all where none of those has one. Three at most.
func tools(x audit.Nudge) []string {
	var out []string
	for _, sp := range x.Spells {
		source := audit.SourceOf(sp.Origin)
		for _, tool := range append([]string{source}, alike[source]...) {
			if x.Control.Fix[tool] != "" && !slices.Contains(out, tool) {
				out = append(out, tool)
				break
			}
		}
	}
	if len(out) == 0 {
		out = slices.Sorted(maps.Keys(x.Control.Fix))
	}
	return out[:min(len(out), 3)]
}

// alike are the tools by which the resources of a source are changed.
var alike = map[string][]string{audit.Kubernetes: {"kubectl"}, audit.AWS: {"terraform"}}

// repair makes the message that asks for an approval, or tells how a repair went.
func (s *Sink) repair(r audit.Repair, about, key string) message {
	var m message
	word, mark := states[r.State], ""
	if word == "" {
		word = strings.ReplaceAll(string(r.State), "_", " ")
	}
	if r.State == audit.RepairStuck || r.State == audit.RepairUnknown {
		mark = cmp.Or(mention(s.cfg.Owners[r.Owner]), mention(s.cfg.Alert)) + " :warning: "
	}
	m.fallback = "crosscheck: repair " + plain(word)
	m.header("Repair " + r.Runbook + ": " + word)
	if r.State == audit.RepairRequested {
		mark = strings.TrimSpace(mention(s.cfg.Owners[r.Owner])+" ") + " "
	}
	owner := ""
	if r.Owner != "" {
		owner = ", owner " + code(clip(tidy(r.Owner), 60))
	}
	m.section(strings.TrimSpace(fmt.Sprintf("%s%s (version %s) on %s %s in %s%s\nviolates %s, decision %s", mark, code(r.Runbook), plain(clip(r.Version, 40)),
		plain(clip(r.Type, 60)), code(cmp.Or(r.Name, r.Resource)), code(r.Origin), owner, plain(clip(r.Control, 40)), code(short(r.Decision)))))
	if about != "" {
		m.section(about)
	}
	if r.Reason != "" {
		m.section(plain(r.Reason))
	}
	var steps []string
	for _, st := range []struct {
		word string
		step *audit.RepairStep
	}{{"asked for", r.Requested}, {decidedWord(r), r.Decided}, {actedWord(r), r.Acted}, {"verified", r.Verified}, {"rolled back", r.Undone}, {"settled", r.Settled}} {
		if st.step != nil {
			steps = append(steps, stepLine(st.word, *st.step, st.step == r.Acted))
		}
	}
	if len(steps) > 0 {
		m.section(strings.Join(steps, "\n"))
	}
	if r.State == audit.RepairRequested || r.State == audit.RepairSuggested {
		s.proposal(&m, r)
	}
	m.context("repair "+code(short(r.ID)), "run "+code(short(r.Run)), typed(s.command("repairs show "+short(r.ID))), "key "+code(short(key)))
	return m
}

// about says what whoever approves has to know: what a repair would mend. That it
// cannot be read is said, and keeps nobody from being asked.
func (s *Sink) about(ctx context.Context, r audit.Repair) string {
	if s.cfg.About == nil || r.State != audit.RepairRequested && r.State != audit.RepairSuggested {
		return ""
	}
	more := s.command("decisions show " + short(r.Decision))
	v, err := s.cfg.About(ctx, r)
	if err != nil {
		return "What was found could not be read for this message: " + typed(more)
	}
	return v.words(more)
}

// mostFound is how many violations the message of a repair tells.
const mostFound = 3

// words say what is violated, how bad that is, and what was found.
func (v Violated) words(more string) string {
	if v.Control.ID == "" {
		return ""
	}
	lines := []string{fmt.Sprintf("*%s* · %s", plain(clip(v.Control.Title, 200)), plain(string(v.Control.Severity)))}
	for _, x := range v.Violations[:min(len(v.Violations), mostFound)] {
		lines = append(lines, fmt.Sprintf("• %s, at %s", plain(clip(tidy(x.Message), 300)), code(clip(tidy(x.Path), 120))))
	}
	if n := len(v.Violations) - mostFound; n > 0 {
		lines = append(lines, fmt.Sprintf("and %d more: %s", n, typed(more)))
	}
	return strings.Join(lines, "\n")
}

// proposal says what would be done, and how to have it done.
func (s *Sink) proposal(m *message, r audit.Repair) {
	m.held = 3800
	lines := make([]line, 0, len(r.Parameters))
	for _, name := range slices.Sorted(maps.Keys(r.Parameters)) {
		lines = append(lines, line{text: narrowed(func(width int) string {
			return "• " + code(clip(name, width)) + " = " + code(clip(r.Parameters[name], width))
		})})
	}
	show := typed(s.command("repairs show " + short(r.ID)))
	if n := m.list("*Parameters*, taken from the violation", lines); n < len(lines) {
		m.section(fmt.Sprintf("and %d parameters more: %s", len(lines)-n, show))
	}
	if r.DryRun != "" {
		m.section("*Dry run*\n" + fence(r.DryRun, show, 1200))
	}
	if r.State != audit.RepairRequested {
		return
	}
	if s.cfg.Buttons && repairForm.MatchString(r.ID) {
		approve := slack.NewButtonBlockElement(approveAction, r.ID, label("Approve")).WithStyle(slack.StylePrimary)
		approve.Confirm = slack.NewConfirmationBlockObject(label("Approve this repair?"), label("It changes an audited system."), label("Approve"), label("Not now"))
		deny := slack.NewButtonBlockElement(denyAction, r.ID, label("Deny")).WithStyle(slack.StyleDanger)
		m.put(slack.NewActionBlock("crosscheck_repair", approve, deny))
		return
	}
	m.section("Somebody else than who asked for it approves it by " + typed(s.command("repairs approve "+short(r.ID))) + ", or denies it by " + typed(s.command("repairs deny "+short(r.ID))))
}

func label(text string) *slack.TextBlockObject {
	return &slack.TextBlockObject{Type: slack.PlainTextType, Text: text}
}

// states are what is said of a repair.
var states = map[audit.RepairState]string{
	audit.RepairSuggested: "suggested", audit.RepairRequested: "waits for an approval", audit.RepairUnknown: "begun, and nobody knows how it ended",
	audit.RepairActed: "carried out, not verified yet", audit.RepairVerified: "done and verified", audit.RepairStuck: "could not be undone, somebody must look",
	audit.RepairSettling: "settled by hand, a re-audit is to tell", audit.RepairSettled: "settled by hand",
}

func decidedWord(r audit.Repair) string {
	if r.State == audit.RepairDenied {
		return "denied"
	}
	return "approved"
}

func actedWord(r audit.Repair) string {
	if r.State == audit.RepairActing || r.State == audit.RepairUnknown {
		return "begun"
	}
	return "carried out"
}

// stepLine is one step. The outcome of the act itself is what was judged just before.
func stepLine(word string, st audit.RepairStep, act bool) string {
	line := fmt.Sprintf("• %s %s", word, audit.Stamp(st.At))
	if st.By != "" {
		line += " by " + code(clip(st.By, 60))
	}
	if act && st.Outcome != "" {
		line += "; just before it"
	}
	if st.Outcome != "" {
		line += ": " + plain(strings.ReplaceAll(string(st.Outcome), "_", " "))
	}
	if st.Decision != "" {
		line += ", decision " + code(short(st.Decision))
	}
	return line
}

// below is the thread of the message that asked for a repair, if there is one.
func (s *Sink) below(ctx context.Context, r audit.Repair) (place, error) {
	at := place{channel: s.cfg.Channel}
	if s.cfg.Token == nil || s.cfg.Asked == nil || r.State == audit.RepairRequested {
		return at, nil
	}
	text, err := s.cfg.Asked(ctx, r.ID)
	if err != nil {
		return at, fmt.Errorf("finding the message that asked for repair %s: %w", short(r.ID), err)
	}
	if n := parseNote(text); n.TS != "" {
		return place{channel: cmp.Or(n.Channel, s.cfg.Channel), thread: n.TS}, nil
	}
	return at, nil
}

func ordinal(n int) string {
	switch {
	case n%10 == 1 && n%100 != 11:
		return fmt.Sprint(n, "st")
	case n%10 == 2 && n%100 != 12:
		return fmt.Sprint(n, "nd")
	case n%10 == 3 && n%100 != 13:
		return fmt.Sprint(n, "rd")
	}
	return fmt.Sprint(n, "th")
}

// word is what a shell takes as it is.
var word = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./][A-Za-z0-9_@%+=:,./-]*$`)
