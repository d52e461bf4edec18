package slack

import (
	"encoding/json"
	"strings"

	"github.com/slack-go/slack"
)

// Slack's limits on one message. That on all blocks together is not documented:
// somewhat over 13,000 characters are refused.
const (
	maxBlocks = 50
	maxText   = 3000
	maxHeader = 150
	maxTotal  = 12000
)

// message is what is sent: blocks within Slack's limits, and the sentence that
// notifications show.
type message struct {
	fallback string
	blocks   []slack.Block
	used     int // characters of the blocks as JSON: more than Slack may count
	held     int // kept free for what must come last
}

// room tells whether blocks of so many characters still fit.
func (m *message) room(cost int) bool {
	return len(m.blocks) < maxBlocks-8 && m.used+cost <= maxTotal-m.held
}

func (m *message) put(b slack.Block) {
	m.used += cost(b)
	m.blocks = append(m.blocks, b)
}

// header adds a heading, which has no markup.
func (m *message) header(text string) {
	text = tidy(text)
	if size(text) > maxHeader {
		r := []rune(text)
		r = r[:min(len(r), maxHeader)]
		for size(string(r)) > maxHeader-1 {
			r = r[:len(r)-1]
		}
		text = string(r) + "…" // what it shortens is said in full below it
	}
	off := false
	m.put(slack.NewHeaderBlock(&slack.TextBlockObject{Type: slack.PlainTextType, Text: text, Emoji: &off}))
}

// section adds markup of ours, with what others wrote escaped.
func (m *message) section(text string) { m.put(slack.NewSectionBlock(markup(text), nil, nil)) }

// context adds small print.
func (m *message) context(texts ...string) {
	m.put(slack.NewContextBlock("", markup(strings.Join(texts, "  ·  "))))
}

// markup leaves plain URLs and names of channels alone: only what we mark up is so.
func markup(text string) *slack.TextBlockObject {
	return &slack.TextBlockObject{Type: slack.MarkdownType, Text: text, Verbatim: true}
}

func cost(v any) int {
	b, err := json.Marshal(v)
	if err != nil {
		return maxTotal // blocks always render
	}
	return size(string(b)) + 1
}

// listCost bounds what a section costs beside its text, and its last line.
const listCost = 700

// line is one of a list. Those of a group follow each other, below its name.
type line struct{ group, text string }

// list adds a heading and as many lines as fit, and tells how many. One that is
// begun has room for a last line that says what was left out.
func (m *message) list(heading string, lines []line) (n int) {
	text, group := heading, ""
	spent := cost(heading) + listCost
	for _, l := range lines {
		next := l.text
		if l.group != group {
			next = l.group + "\n" + l.text
		}
		add := cost(next) + 2
		if !m.room(spent + add) {
			break
		}
		if size(text)+1+size(next) > maxText-listCost/2 {
			m.section(text)
			text, spent = next, listCost+add
		} else {
			text, spent = text+"\n"+next, spent+add
		}
		group = l.group
		n++
	}
	if n > 0 {
		m.section(text)
	}
	return n
}

// more adds a line to the last section of a list.
func (m *message) more(line string) {
	last, ok := m.blocks[len(m.blocks)-1].(*slack.SectionBlock)
	if !ok || size(last.Text.Text)+1+size(line) > maxText {
		m.section(line)
		return
	}
	m.used += cost(line)
	last.Text.Text += "\n" + line
}
