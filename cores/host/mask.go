package host

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxCPU bounds the CPU numbers that a mask can hold: the kernel's own
// NR_CPUS is at most 8192.
const maxCPU = 8192

// A mask is a set of CPUs as the kernel wants it.
type mask [maxCPU / 64]uint64

func (m *mask) add(cpu int) {
	if cpu >= 0 && cpu < maxCPU {
		m[cpu/64] |= 1 << (cpu % 64)
	}
}

func (m *mask) has(cpu int) bool {
	return cpu >= 0 && cpu < maxCPU && m[cpu/64]&(1<<(cpu%64)) != 0
}

// affinity reads where a thread may run; 0 is the calling thread.
func affinity(tid int) (mask, error) {
	var m mask
	_, _, e := unix.RawSyscall(unix.SYS_SCHED_GETAFFINITY, uintptr(tid), unsafe.Sizeof(m), uintptr(unsafe.Pointer(&m)))
	if e != 0 {
		return m, e
	}
	return m, nil
}

// setAffinity says where a thread may run; 0 is the calling thread.
func setAffinity(tid int, m *mask) error {
	_, _, e := unix.Syscall(unix.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(*m), uintptr(unsafe.Pointer(m)))
	if e != 0 {
		return syscall.Errno(e)
	}
	return nil
}
