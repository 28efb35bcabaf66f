package sim

import (
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A start is a core whose program memory is to be filled: with its program, if
// that is not there yet, and with what it is started with; nil: it is not started.
type start struct {
	c     *core
	image *Image
}

// fill copies programs into the memories of cores, which are zero, and lays the
// words that they are started with on their stacks. It is most of what it takes
// to start a core, as the host has to find pages for it, so the workers share it.
// m.mu is held.
func (m *Machine) fill(list []start) {
	m.divide(len(list), func(from, to int) {
		for _, s := range list[from:to] {
			s.c.fill()
		}
	})
	m.push(list)
}

// push lays what cores are started with on their stacks. m.mu is held.
func (m *Machine) push(list []start) {
	m.divide(len(list), func(from, to int) {
		var words stackWords
		for _, s := range list[from:to] {
			if s.image != nil {
				words.push(s.c, s.image)
			}
		}
	})
}

// divide has the workers each do a stretch of n pieces of work that no two
// disturb each other in.
func (m *Machine) divide(n int, do func(from, to int)) {
	const few = 64 // are not worth a goroutine
	hands := min(len(m.workers), n/few)
	if hands < 2 {
		do(0, n)
		return
	}
	var all sync.WaitGroup
	for i := range hands {
		all.Go(func() { do(i*n/hands, (i+1)*n/hands) })
	}
	all.Wait()
}

// fill copies the core's program into its memory, which is zero.
func (c *core) fill() {
	mem := c.hart.Win[0].Mem
	for _, s := range c.prog.exe.Segments {
		if inRange(s.Addr, s.MemSize, PrivateBase, uint32(len(mem))) {
			write(mem[s.Addr-PrivateBase:], s.Data)
		}
	}
}

// write copies data to memory that was not touched yet, as a rule. To ask the host for
// all pages at once takes half as long as to have it find one by one that they are
// missing; a host that does not know how (Linux before 5.14) does the latter.
func write(mem, data []byte) {
	if len(data) == 0 {
		return
	}
	at := unsafe.Pointer(unsafe.SliceData(mem))
	before := int(uintptr(at) % uintptr(os.Getpagesize())) // of its first page: an arena begins with one
	pages := unsafe.Slice((*byte)(unsafe.Add(at, -before)), before+len(data))
	_ = unix.Madvise(pages, unix.MADV_POPULATE_WRITE)
	copy(mem, data)
}

// stackWords is arguments and environment as they lie at the end of a program
// memory: the same for all cores that are started alike.
type stackWords struct {
	image *Image
	size  uint32 // of the memory
	data  []byte
}

// push lays a core's on its stack, and points its stack pointer there.
func (s *stackWords) push(c *core, image *Image) {
	mem := c.hart.Win[0].Mem
	if size := uint32(len(mem)); image != s.image || size != s.size {
		*s = stackWords{image, size, layWords(image, size)}
	}
	at := s.size - uint32(len(s.data))
	write(mem[at:], s.data)
	c.hart.X[2] = PrivateBase + at
}

// layWords lays arguments and environment out as Linux does, for the end of a
// program memory of this size.
func layWords(image *Image, size uint32) []byte {
	top := size
	var words []uint32
	place := func(list []string, do func(at uint32, s string)) {
		for _, s := range list {
			top -= uint32(len(s)) + 1
			do(top, s)
		}
	}
	note := func(at uint32, _ string) { words = append(words, PrivateBase+at) }
	words = append(words, uint32(len(image.Args)))
	place(image.Args, note)
	words = append(words, 0)
	place(image.Env, note)
	words = append(words, 0, 0, 0) // the end of the environment, and of the auxiliary vector
	bottom := (top - uint32(len(words))*4) &^ 15
	data := make([]byte, size-bottom)
	for i, word := range words {
		putWord(data[i*4:], word)
	}
	top = size
	lay := func(at uint32, s string) { copy(data[at-bottom:], s) }
	place(image.Args, lay)
	place(image.Env, lay)
	return data
}

func putWord(b []byte, v uint32) {
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}
