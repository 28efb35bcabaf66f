package cc

import (
	"slices"
	"strconv"
	"strings"
	"syscall"

	"warren/fs/sys"
)

// A machine is what the compiler must know of one.
type machine struct {
	name      string
	arch, abi string
	sram      uint32   // where a tile's SRAM begins
	text      uint32   // bytes that a role's text has there with -l1
	roles     []string // in the order of their texts
}

// Where texts lie. The first page of SRAM stays free: on machines whose SRAM
// begins at 0, a null pointer is to be no function.
const (
	privateBase = 0x8000_0000
	privateText = 16 << 20 // more than any machine has: the loader knows how much
	pageSize    = 4096
)

// machines are those that warren ships, the default first.
func machines() []machine {
	tensix := []string{"B", "NC", "T0", "T1", "T2"}
	return []machine{
		{"mesh", "rv32imac", "ilp32", 0, 64 << 10, []string{"core"}},
		{"blackhole", "rv32im", "ilp32", 0, 64 << 10, tensix},
		{"wormhole", "rv32im", "ilp32", 0, 64 << 10, tensix},
		{"occamy", "rv32imafd", "ilp32d", 0x1000_0000, 24 << 10, []string{"compute", "dm"}},
	}
}

// machineNamed finds a machine by a spec as serve takes it: what follows "=" or
// "," does not matter here, nor does a host before "+".
func machineNamed(spec string) (machine, error) {
	all := machines()
	if spec == "" {
		return all[0], nil
	}
	name := spec
	if at := strings.LastIndexByte(name, '+'); at >= 0 {
		name = name[at+1:]
	}
	if at := strings.IndexAny(name, "=,"); at >= 0 {
		name = name[:at]
	}
	var names []string
	for _, m := range all {
		if m.name == name {
			return m, nil
		}
		names = append(names, m.name)
	}
	return machine{}, sys.Errorf(syscall.EINVAL, "machine %q: want one of %s", spec, strings.Join(names, " "))
}

// place returns where a program's text begins and how much room it has: in
// private memory, or in the SRAM of the tile, where each role has a place.
func (m machine) place(sram bool, role string) (begin, room uint32, err error) {
	i := 0
	if role != "" {
		i = slices.IndexFunc(m.roles, func(r string) bool { return strings.EqualFold(r, role) })
		if n, err := strconv.Atoi(role); err == nil && n >= 0 && n < len(m.roles) {
			i = n
		}
	}
	switch {
	case i < 0:
		return 0, 0, sys.Errorf(syscall.EINVAL, "role %q: %s has %s", role, m.name, strings.Join(m.roles, " "))
	case !sram:
		return privateBase, privateText, nil
	}
	return m.sram + pageSize + uint32(i)*m.text, m.text, nil
}
