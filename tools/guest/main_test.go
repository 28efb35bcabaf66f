package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMebibytes(t *testing.T) {
	for text, want := range map[string]int{"512M": 512, "2G": 2048, "300": 300, "": 0, "1T": 0, "-5M": 0, "G": 0} {
		if n, err := mebibytes(text); n != want || (err != nil) != (want == 0) {
			t.Errorf("%q is %d, %v", text, n, err)
		}
	}
}

// TestCommandLines are those that start nothing.
func TestCommandLines(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("exit 0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {script, script}, {"-mem", "much", script}, {"/no/such/script"}, {"-nonsense"}, {"-smp", "5", "-numa", "2", script}} {
		if status, _ := run(args); status != failed {
			t.Errorf("%q: status %d", args, status)
		}
	}
}
