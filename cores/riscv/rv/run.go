package rv

// longest is how many cycles the loop gets at once: it counts in bytes.
const longest = 1 << 40

// Run executes until the budget, in cycles, is used up or something is to be
// done. It does nothing if the budget is not above 0.
func (h *Hart) Run(budget int64) Why {
	h.X[0] = 0
	for budget > 0 {
		start := h.used()
		if s := h.Image.find(h.PC); s != nil {
			if h.fast(s, min(budget, longest)) {
				budget -= int64(h.used() - start)
				continue
			}
		}
		if why := h.one(); why != Budget {
			return why
		}
		budget -= int64(h.used() - start)
	}
	return Budget
}

// Most is Run for those who do not mind where it ends: it executes an instruction at
// least, and ends where a cycle of the budget is left, or earlier, as that saves to
// execute the last one by itself. Two that the loop does as one may take that cycle
// too; a jump is never the first of such. So a budget of one more than there are
// instructions up to a jump is enough for the jump and too little for what follows it.
func (h *Hart) Most(budget int64) Why {
	h.X[0] = 0
	if s := h.Image.find(h.PC); s != nil && h.fast(s, min(budget, longest)) {
		return Budget
	}
	return h.one()
}

// fast runs the loop, and reports whether the budget has changed.
func (h *Hart) fast(s *segment, budget int64) bool {
	first := s.at[(h.PC-s.base)/2]
	if h.PC&1 != 0 || first == nowhere {
		return false
	}
	next, left, extra := h.loop(s, first, budget)
	h.Extra += extra
	h.Instret += uint64(budget-left) - extra
	h.PC = s.pcs[next/8]
	return left != budget
}
