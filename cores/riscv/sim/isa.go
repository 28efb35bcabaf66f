package sim

import (
	"strings"
	"syscall"

	"warren/cores/riscv/isa"
	"warren/cores/riscv/rv"
	"warren/fs/sys"
)

// extensions is what a core has.
func (m *Machine) extensions(id int) isa.Set { return m.spec.CoreKind(id).Has }

// need finds out what a core must have for the program: what the file was
// compiled for, if there are instructions of it. Compilers are often told of
// more than they use.
func (p *program) need() {
	var code []rv.Text
	for _, c := range p.exe.Code() {
		code = append(code, rv.Text{Addr: c.Addr, Bytes: c.Data})
	}
	uses, other := rv.Uses(code)
	p.needs = p.exe.Built.Has & uses
	if other {
		p.other = p.exe.Built.Other
	}
}

// lacking says why a core cannot run a program that was compiled for what the
// core does not have.
func (m *Machine) lacking(c *core, p *program, name string) error {
	missing := strings.Fields((p.needs &^ m.extensions(int(c.id))).String())
	missing = append(missing, p.other...)
	if len(missing) == 0 {
		return nil
	}
	return sys.Errorf(syscall.ENOEXEC, "%s is for cores that have %s, and %s has not: it is %s (build it with warren cc -m MACHINE)",
		name, strings.Join(missing, " "), m.coreName(c.id), m.isaText(int(c.id)))
}

// isaText says what a core has, for people.
func (m *Machine) isaText(id int) string {
	text := m.spec.CoreKind(id).ISA
	if m.spec.Extra != 0 {
		text += " and extra " + m.extraText()
	}
	return text
}

// extraText is what cores have beyond their ISAs: "a,c".
func (m *Machine) extraText() string {
	return word(strings.ReplaceAll(strings.ToLower(m.spec.Extra.String()), " ", ","))
}

// illegalText says which extension an instruction is of that a core does not
// have; "" if that is not what is wrong with it.
func (m *Machine) illegalText(c *core, word uint32) string {
	need, _ := rv.Needs(word)
	missing := need & c.hart.Image.Lacks()
	if missing == 0 {
		return ""
	}
	return " (of " + missing.String() + ", which " + m.isaText(int(c.id)) + " does not have)"
}
