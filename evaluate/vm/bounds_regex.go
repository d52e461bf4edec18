package vm

import (
	"math"
	"regexp"
	"regexp/syntax"
	"strings"
)

// programBytes is about what one instruction of a compiled expression takes.
const programBytes = 128

// longest is the length of expressions that are looked at: Go's parser takes time
// that grows with the square of what is nested.
const longest = 1 << 16

// parsable ends the call if an expression is too long to look at.
func (m *Machine) parsable(pattern string) bool {
	if len(pattern) > longest {
		m.fail(ErrBytes)
		return false
	}
	return m.afford(times(len(pattern), len(pattern)) >> 12)
}

// programSize is about how many instructions an expression has; what is none has
// none, and OPA's builtin ends in an error.
func programSize(pattern string) int {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return len(pattern)
	}
	return instructions(re)
}

func instructions(re *syntax.Regexp) int {
	n := 2 + len(re.Rune)
	for _, sub := range re.Sub {
		n += instructions(sub)
	}
	if re.Op == syntax.OpRepeat {
		n = times(n, max(re.Min, re.Max, 1)+1)
	}
	return min(n, math.MaxInt>>8)
}

// matching is how many steps a search of a text may take: every instruction may be
// live at every byte, for some 5 ns.
func matching(program, text int) int { return 1 + times(program, text)>>3 }

func expressionOf(pattern, text int) bound {
	return func(m *Machine, a []*Value) { m.expression(a[pattern].s, a[text].s) }
}

// expression is the bound of compiling and running one, and of an array of all
// that it finds.
func (m *Machine) expression(pattern, text string) bool {
	if !m.parsable(pattern) {
		return false
	}
	size := programSize(pattern)
	return m.room(times(size, programBytes)) && m.afford(size) &&
		m.room(times(len(text)+1, 64*(1+strings.Count(pattern, "(")))) && m.afford(matching(size, len(text)))
}

// searchesOf is for what searches a text from each match on, until there are as
// many as an argument says, if one does.
func searchesOf(pattern, text, number int) bound {
	return func(m *Machine, a []*Value) {
		most := math.MaxInt
		if number >= 0 {
			if n := bigInt(a[number]); n != nil && n.Sign() >= 0 {
				most = clamped(n)
			}
		}
		m.searches(a[pattern].s, a[text].s, most)
	}
}

// searches is the bound of finding one match after another. Mostly each search ends
// where its match does, or soon after; one that may go on to the end of the text
// each time takes the square of it. Of such the matches are counted first, twice as
// many each time, for as long as that can be afforded.
func (m *Machine) searches(pattern, text string, most int) bool {
	if !m.expression(pattern, text) {
		return false
	}
	e, ok := m.compiled(pattern)
	if !ok {
		return m.err == nil
	}
	each := matching(e.size, len(text))
	if !e.overruns {
		return m.afford(times(each, e.vain))
	}
	for n := 8; ; n *= 2 {
		if !m.afford(times(each, n)) {
			return false
		}
		if found := len(e.FindAllStringIndex(text, n)); found < n || n >= most {
			return m.afford(times(each, found))
		}
	}
}

// regexReplaced: the replacement comes once for each match, and what it takes of a
// match is at most the text.
func regexReplaced(m *Machine, a []*Value) {
	text, value := len(a[0].s), a[2].s
	if m.searches(a[1].s, a[0].s, math.MaxInt) {
		m.room(text + times(text+1, len(value)) + times(strings.Count(value, "$"), text))
	}
}

// expressions are those that a machine has compiled.
type expressions map[string]*expression

type expression struct {
	*regexp.Regexp
	size     int // of its program
	overruns bool
	vain     int
}

// manyExpressions is how many a machine keeps: those of a library are fewer, and
// documents may hold any number.
const manyExpressions = 512

// compiled is an expression, once it could be afforded. ok is false if it is none,
// or could not.
func (m *Machine) compiled(pattern string) (e *expression, ok bool) {
	if e := m.expressions[pattern]; e != nil {
		return e, true
	}
	if !m.parsable(pattern) {
		return nil, false
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, false
	}
	size := instructions(tree)
	if !m.room(times(size, programBytes)) {
		return nil, false
	}
	m.step(size)
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, false
	}
	if m.expressions == nil || len(m.expressions) >= manyExpressions {
		m.expressions = expressions{}
	}
	e = &expression{Regexp: re, size: size}
	e.overruns, e.vain = overruns(tree)
	m.expressions[strings.Clone(pattern)] = e
	return e, true
}

// mostInVain is how many characters a search may go over in vain after each match
// without its being one that overruns.
const mostInVain = 64

// overruns tells whether a search with an expression may go on long after what it
// finds, as one for x*y|x does, which looks for the y that comes after many x before
// it is content with one. Else vain is how many characters it goes over at most.
func overruns(re *syntax.Regexp) (yes bool, vain int) {
	spare := mostInVain
	yes = overrun(re, false, true, &spare)
	return yes, mostInVain - spare
}

// overrun is overruns of a part: where something has to follow what is repeated or
// left out by choice, or a repetition that is not of single characters, so that a
// search which began earlier may still be under way in it when a later one has found
// something. choice says that there is another way, last that nothing has to follow,
// spare how many characters may still be begun in vain.
func overrun(re *syntax.Regexp, choice, last bool, spare *int) bool {
	switch re.Op {
	case syntax.OpAlternate:
		choice = true
	case syntax.OpQuest, syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		least, most := lengths(re)
		if least == most && !choice {
			return false
		}
		if most <= *spare {
			*spare -= most
			return false
		}
		if _, most := lengths(re.Sub[0]); !last && (choice || most > 1 || re.Op == syntax.OpQuest) {
			return true
		}
		choice = true
	case syntax.OpConcat:
		for i := len(re.Sub) - 1; i >= 0; i-- {
			if overrun(re.Sub[i], choice, last, spare) {
				return true
			}
			last = last && mayBeEmpty(re.Sub[i])
		}
		return false
	}
	for _, sub := range re.Sub {
		if overrun(sub, choice, last, spare) {
			return true
		}
	}
	return false
}

// lengths are how many characters an expression matches at least and at most.
func lengths(re *syntax.Regexp) (least, most int) {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune), len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1, 1
	case syntax.OpCapture:
		return lengths(re.Sub[0])
	case syntax.OpQuest:
		_, most = lengths(re.Sub[0])
		return 0, most
	case syntax.OpStar:
		return 0, math.MaxInt
	case syntax.OpPlus:
		least, _ = lengths(re.Sub[0])
		return least, math.MaxInt
	case syntax.OpRepeat:
		least, most = lengths(re.Sub[0])
		if re.Max < 0 {
			return times(least, re.Min), math.MaxInt
		}
		return times(least, re.Min), times(most, re.Max)
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			l, m := lengths(sub)
			least, most = min(least+l, math.MaxInt>>1), min(most, math.MaxInt-m)+m
		}
	case syntax.OpAlternate:
		least = math.MaxInt
		for _, sub := range re.Sub {
			l, m := lengths(sub)
			least, most = min(least, l), max(most, m)
		}
	}
	return least, most
}

// mayBeEmpty tells whether an expression matches nothing at all, anywhere.
func mayBeEmpty(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpStar, syntax.OpQuest:
		return true
	case syntax.OpRepeat:
		return re.Min == 0 || mayBeEmpty(re.Sub[0])
	case syntax.OpCapture, syntax.OpPlus:
		return mayBeEmpty(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if !mayBeEmpty(sub) {
				return false
			}
		}
		return true
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if mayBeEmpty(sub) {
				return true
			}
		}
	}
	return false
}
