package spec

import (
	"slices"
	"strings"
)

// extensions are the named ones that an ISA string may have.
func extensions() []string {
	return strings.Fields("zicsr zicntr zifencei zaamo zalrsc zba zbb")
}

// checkISA says what is wrong with an ISA string such as rv32imac_zba; "":
// nothing. It knows what is simulated.
func checkISA(isa string) string {
	words := strings.Split(isa, "_")
	letters, ok := strings.CutPrefix(words[0], "rv32i")
	if !ok {
		return "want rv32i and then some of mafdc, such as rv32imac_zba_zbb; 64-bit cores are not simulated"
	}
	order := -1
	for _, c := range letters {
		at := strings.IndexRune("mafdc", c)
		if at < 0 {
			return "no extension " + string(c) + " (want some of m a f d c, in this order)"
		}
		if at <= order {
			return "extension " + string(c) + " is not in its place (want some of m a f d c, in this order)"
		}
		order = at
	}
	if strings.Contains(letters, "d") && !strings.Contains(letters, "f") {
		return "extension d needs f"
	}
	for i, w := range words[1:] {
		if !slices.Contains(extensions(), w) {
			return "no extension " + w + " (want some of " + strings.Join(extensions(), " ") + ")"
		}
		if slices.Contains(words[1:i+1], w) {
			return "extension " + w + " twice"
		}
	}
	return ""
}
