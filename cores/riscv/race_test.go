//go:build race

package riscv

// raced says that the race detector is on.
const raced = true
