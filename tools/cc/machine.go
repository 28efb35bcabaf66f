package cc

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"warren/cores/riscv/spec"
	"warren/fs/sys"
)

// What programs are compiled for that name no machine: all shipped machines run
// it, Tenstorrent's and Snitch's by what their cores have extra, and so does
// qemu-riscv32.
const (
	plainArch = "rv32imac"
	plainABI  = "ilp32"
)

// A target is what the compiler must know of a core.
type target struct {
	arch, abi string
	begin     uint32 // where text begins
	room      uint32 // bytes that it may have
}

// Where texts lie.
const (
	privateText = 256 << 20 // more than any machine has: the loader knows how much
	pageSize    = 4096
	mostText    = 64 << 10 // of a role in SRAM
)

// target finds out what to compile for.
func (c Command) target() (target, error) {
	m, err := machineNamed(c.Machine)
	if err != nil {
		return target{}, err
	}
	kind, index, err := roleNamed(m, c.Role)
	if err != nil {
		return target{}, err
	}
	t := target{plainArch, plainABI, spec.PrivateBase, privateText}
	if c.Machine != "" {
		t.arch, t.abi = archOf(kind.Cores[index].ISA)
	}
	if c.SRAM {
		t.begin, t.room, err = textPlace(m, kind, index)
	}
	return t, err
}

// machineNamed finds a machine by a spec as serve takes it: the last of those
// that "+" joins, a shipped one or a file, without its options. A mesh may be
// of no size here.
func machineNamed(name string) (*spec.Machine, error) {
	name, _, _ = strings.Cut(name[strings.LastIndexByte(name, '+')+1:], ",")
	if strings.ContainsRune(name, '/') {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		return spec.Parse(name, text)
	}
	if name == "" || name == "mesh" {
		name = "mesh=1x1"
	}
	return spec.Shipped(name)
}

// roleNamed returns a core of a role, by its kind of tile and its index there:
// "" is the machine's first, a number counts the machine's roles.
func roleNamed(m *spec.Machine, role string) (*spec.Kind, int, error) {
	roles := m.Roles() // there is one, or Parse had refused
	if role == "" {
		role = roles[0]
	}
	if n, err := strconv.Atoi(role); err == nil && n >= 0 && n < len(roles) {
		role = roles[n]
	}
	for i := range m.Kinds {
		is := func(c spec.Core) bool { return strings.EqualFold(c.Role, role) }
		if at := slices.IndexFunc(m.Kinds[i].Cores, is); at >= 0 {
			return &m.Kinds[i], at, nil
		}
	}
	return nil, 0, sys.Errorf(syscall.EINVAL, "role %q: %s has %s", role, m.Name, strings.Join(roles, " "))
}

// archOf returns the part of an ISA that gcc has libraries for, and the way of
// calls that goes with it.
func archOf(isa string) (arch, abi string) {
	arch, _, _ = strings.Cut(isa, "_")
	letters := strings.TrimPrefix(arch, "rv32")
	switch {
	case strings.ContainsRune(letters, 'd'):
		return arch, "ilp32d"
	case strings.ContainsRune(letters, 'f'):
		return arch, "ilp32f"
	}
	return arch, "ilp32"
}

// textPlace returns where the text of a role lies in the SRAM of its tile. At
// most half of the SRAM is for texts, in equal parts for the roles. The first
// page stays free: on machines whose SRAM begins at 0, a null pointer is to be
// no function.
func textPlace(m *spec.Machine, k *spec.Kind, index int) (begin, room uint32, err error) {
	var roles []string
	for _, c := range k.Cores {
		if !slices.Contains(roles, c.Role) {
			roles = append(roles, c.Role)
		}
	}
	room = min(mostText, k.SRAMSize/2/uint32(len(roles))) &^ (pageSize - 1)
	if room == 0 {
		return 0, 0, sys.Errorf(syscall.EINVAL, "machine %s: the SRAM of a tile of kind %s has no room for texts: compile without -l1", m.Name, k.Name)
	}
	return k.SRAMBase + pageSize + uint32(slices.Index(roles, k.Cores[index].Role))*room, room, nil
}
