package exe

import (
	"cmp"
	"debug/elf"
	"fmt"
	"slices"
	"sort"
	"strings"
)

type symbol struct {
	addr, size uint32
	name       string
}

// name reads the symbols; a program may have none.
func (p *Program) name(f *file) {
	p.byName = make(map[string]uint32)
	table, link := f.find(func(s section) bool { return s.kind == elf.SHT_SYMTAB })
	list, ok := f.section(link)
	if !ok || len(table)/symbolSize > maxSymbols {
		return
	}
	names := texts(list.data)
	for ; len(table) >= symbolSize; table = table[symbolSize:] {
		p.addSymbol(names.at(uint64(word(table, 0))), symbol{addr: word(table, 4), size: word(table, 8)},
			table[12], elf.SectionIndex(half(table, 14)))
	}
	// Of several at an address the one with a size says most.
	slices.SortStableFunc(p.symbols, func(a, b symbol) int {
		return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(a.size, b.size))
	})
}

func (p *Program) addSymbol(name string, s symbol, info byte, at elf.SectionIndex) {
	kind := elf.ST_TYPE(info)
	if name == "" || at == elf.SHN_UNDEF || kind == elf.STT_FILE || kind == elf.STT_SECTION {
		return
	}
	if _, ok := p.byName[name]; !ok || elf.ST_BIND(info) != elf.STB_LOCAL {
		p.byName[name] = s.addr
	}
	if strings.HasPrefix(name, "$") || strings.HasPrefix(name, ".L") || at == elf.SHN_ABS || kind != elf.STT_FUNC && kind != elf.STT_OBJECT && kind != elf.STT_NOTYPE {
		return // marks of the assembler, and numbers of the linker
	}
	s.name = name
	p.symbols = append(p.symbols, s)
}

// Addr returns the address of a symbol.
func (p *Program) Addr(name string) (uint32, bool) {
	addr, ok := p.byName[name]
	return addr, ok
}

// Name names an address by the symbol that holds it: "main+0x12", "main"; ""
// outside of all segments and where no symbol goes before.
func (p *Program) Name(addr uint32) string {
	i := p.segment(addr)
	if i < 0 {
		return ""
	}
	for n := p.before(addr); n >= 0 && p.symbols[n].addr >= p.Segments[i].Addr; n-- {
		s := &p.symbols[n]
		off := addr - s.addr
		if s.size > 0 && off >= s.size {
			continue // it ends before
		}
		if off == 0 {
			return s.name
		}
		return fmt.Sprintf("%s+0x%x", s.name, off)
	}
	return ""
}

// before is the place of the last symbol that is not behind an address; -1: none.
func (p *Program) before(addr uint32) int {
	return sort.Search(len(p.symbols), func(n int) bool { return p.symbols[n].addr > addr }) - 1
}
