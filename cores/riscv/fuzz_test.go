package riscv

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// FuzzFiles turns its input into operations on the files of a simulated machine,
// good ones and bad ones, and checks after each what must always be so.
func FuzzFiles(f *testing.F) {
	random := rand.New(rand.NewPCG(4, 33))
	for kind := range byte(4) {
		f.Add(kind, randomScript(random))
	}
	f.Fuzz(func(t *testing.T, kind byte, script []byte) { playKind(t, kind, script) })
}

// TestFilesRandomly plays random scripts, the same ones each time.
func TestFilesRandomly(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 32))
	n := 100
	if raced { // which takes eight times as long
		n = 24
	}
	for i := range n {
		playKind(t, byte(i), randomScript(random))
	}
}

// randomScript is of a few of the operations, which gets further than a few of each.
func randomScript(random *rand.Rand) []byte {
	ops := make([]byte, 4+random.IntN(16))
	for i := range ops {
		ops[i] = byte(random.IntN(len(operations)))
	}
	script := make([]byte, 4*(10+random.IntN(mostSteps-10)))
	for i := range script {
		if script[i] = byte(random.Uint32()); i%4 == 0 {
			script[i] = ops[random.IntN(len(ops))]
		}
	}
	for i := range 4 { // something is there
		script[4*i] = byte(random.IntN(8))
	}
	return script
}

// playKind plays a script on one of two machines, while things run, or, twice,
// at rest: then it must not matter how many workers there are, nor whether
// programs are compiled.
func playKind(t *testing.T, kind byte, script []byte) {
	t.Helper()
	twin, still := kind&1 != 0, kind&2 != 0
	dir := filepath.Join(t.TempDir(), "play") // its name is seen by programs
	if !still {
		playFiles(t, dir, script, twin, still, 1+int(kind>>2&1))
		return
	}
	one := playFiles(t, dir, script, twin, still, 1)
	if two := playFiles(t, dir, script, twin, still, 2); two != one {
		t.Fatalf("it depends on the number of workers, or the tier:\n%s\nafter\n%s", differ(one, two), one)
	}
}
