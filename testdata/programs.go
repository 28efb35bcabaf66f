// Package testdata is the programs for simulated machines, as a tree of C sources
// below riscv: those of the tests, of the benchmarks and of the manual.
package testdata

import "embed"

// Programs has the sources.
//
//go:embed riscv
var Programs embed.FS
