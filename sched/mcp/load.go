package mcp

import (
	"time"

	"warren/cores"
)

// load is what a program used lately: the two last samples that readers took
// and that are far enough apart.
type load struct {
	at, before     time.Time
	used, usedThen time.Duration
}

// loadPeriod is the least time that a load is measured over.
const loadPeriod = time.Second

// measure takes a sample of what the program has used and returns its load, in
// permille of one core, over the last period, or since its start if that is sooner.
func (p *Proc) measure(u cores.Usage) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, used, l := time.Now(), u.User+u.Sys, &p.load
	if l.at.IsZero() {
		l.at, l.before = p.started, p.started
	}
	if now.Sub(l.at) >= loadPeriod {
		l.before, l.usedThen = l.at, l.used
		l.at, l.used = now, used
	}
	if span := now.Sub(l.before); span > 0 {
		return int((used - l.usedThen) * 1000 / span)
	}
	return 0
}
