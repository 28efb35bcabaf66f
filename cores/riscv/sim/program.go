package sim

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"warren/cores/riscv/exe"
	"warren/cores/riscv/hot"
	"warren/cores/riscv/isa"
	"warren/cores/riscv/rv"
	"warren/fs/sys"
)

// A program is an executable as cores run it: decoded once, shared by all.
type program struct {
	sum    [32]byte
	raw    []byte
	exe    *exe.Program
	text   []rv.Text
	needs  isa.Set  // what it was compiled for, as far as its code uses that
	other  []string // the same of what is not simulated
	users  int
	heat   atomic.Int64 // instructions that were run
	tohost uint32       // where the program tells its end; 0: nowhere

	laying sync.Mutex // guards laid
	laid   map[uint32]pageSet

	decoding sync.Mutex // guards images
	images   map[isa.Set]*rv.Image

	compiling sync.Mutex              // held while it is compiled
	modules   map[shape][]*hot.Module // the last is the best

	sampling sync.Mutex // guards samples
	samples  []uint32   // where harts were before it was compiled
}

// image is the program's code for cores that have these extensions. It is nil
// if there can be none, which is known when it is first made.
func (p *program) image(has isa.Set) *rv.Image {
	image, _ := p.decode(has)
	return image
}

func (p *program) decode(has isa.Set) (*rv.Image, error) {
	p.decoding.Lock()
	defer p.decoding.Unlock()
	if image := p.images[has]; image != nil {
		return image, nil
	}
	image, err := rv.NewImageFor(p.text, has)
	if err != nil {
		return nil, err
	}
	p.images[has] = image
	return image, nil
}

// prepare checks an executable and decodes it for a core; ENOEXEC if it is none.
func (m *Machine) prepare(image *Image, id int) (*program, error) {
	sum := sha256.Sum256(image.ELF)
	m.mu.Lock()
	p := m.programs[sum]
	m.mu.Unlock()
	if p != nil {
		_, err := p.decode(m.extensions(id))
		return p, err
	}
	p, err := newProgram(sum, image.ELF, m.extensions(id))
	if err != nil && len(image.Args) > 0 {
		err = sys.Errorf(sys.Errno(err), "%s: %v", image.Args[0], err)
	}
	return p, err
}

// sharedProgram is the program that cores have already of those with the same bytes, or
// this one. m.mu is held.
func (m *Machine) sharedProgram(p *program) *program {
	if known := m.programs[p.sum]; known != nil {
		return known
	}
	return p
}

// preparedLocked is prepare with m.mu held.
func (m *Machine) preparedLocked(image *Image, id int) (*program, error) {
	sum := sha256.Sum256(image.ELF)
	if p := m.programs[sum]; p != nil {
		return p, nil
	}
	return newProgram(sum, image.ELF, m.extensions(id))
}

func newProgram(sum [32]byte, raw []byte, has isa.Set) (*program, error) {
	e, err := exe.Parse(raw)
	if err != nil {
		return nil, err
	}
	p := &program{sum: sum, raw: raw, exe: e, images: make(map[isa.Set]*rv.Image)}
	for _, s := range e.Segments {
		if s.Exec {
			p.text = append(p.text, rv.Text{Addr: s.Addr, Bytes: s.Data})
		}
	}
	if _, err := p.decode(has); err != nil {
		return nil, err
	}
	p.need()
	if addr, ok := e.Addr("tohost"); ok {
		p.tohost = addr
	}
	return p, nil
}

// pages are what the program has at first in a program memory of that size, where
// that is not zero throughout.
func (p *program) pages(size uint32) pageSet {
	p.laying.Lock()
	defer p.laying.Unlock()
	if set := p.laid[size]; set != nil {
		return set
	}
	set := make(pageSet)
	for _, s := range p.exe.Segments {
		if !inRange(s.Addr, s.MemSize, PrivateBase, size) {
			continue
		}
		for at, data := s.Addr-PrivateBase, s.Data; len(data) > 0; {
			begin := at % savePage
			page := set[at-begin]
			if page == nil {
				page = make([]byte, savePage)
				set[at-begin] = page
			}
			n := copy(page[begin:], data)
			at, data = at+uint32(n), data[n:]
		}
	}
	if p.laid == nil {
		p.laid = make(map[uint32]pageSet)
	}
	p.laid[size] = set
	return set
}

// constant reports whether a segment is read-only: in each memory, the core's
// private one of some size and SRAM, that is what lies before the first segment
// that the program may write to.
func (p *program) constant(seg exe.Segment, size uint32) bool {
	private := inRange(seg.Addr, seg.MemSize, PrivateBase, size)
	for _, s := range p.exe.Segments {
		if s.Write && s.Addr <= seg.Addr && inRange(s.Addr, s.MemSize, PrivateBase, size) == private {
			return false
		}
	}
	return seg.MemSize > 0
}

// release takes one of a program's users away.
func (m *Machine) release(p *program) {
	if p.users--; p.users > 0 {
		return
	}
	delete(m.programs, p.sum)
	for s, list := range p.modules {
		for _, module := range list {
			if err := module.Close(); err != nil {
				m.opt.Log.Warn("compiled program", "err", err)
			}
		}
		delete(p.modules, s)
	}
}
