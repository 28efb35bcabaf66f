package main

import (
	"bytes"
	"os"
	"testing"
)

func TestFastIsUpToDate(t *testing.T) {
	want, err := source()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("../fast.go"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("run go generate in cores/riscv/rv (%v)", err)
	}
}
