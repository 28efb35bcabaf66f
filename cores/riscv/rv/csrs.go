package rv

// ReadCSR returns a CSR as machine mode sees it, for a debugger. Those of
// floating point are there also while it is off.
func (h *Hart) ReadCSR(num uint16) (uint32, bool) {
	v, ok := h.readCSR(uint32(num))
	return v, ok || num >= 1 && num <= 3
}

// WriteCSR sets a CSR as machine mode does, for a debugger; false for one that
// is not there, or only read.
func (h *Hart) WriteCSR(num uint16, v uint32) bool {
	if _, ok := h.ReadCSR(num); !ok || num>>10 == 3 {
		return false
	}
	h.writeCSR(uint32(num), v)
	return true
}
