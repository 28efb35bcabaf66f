package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript" // shell-like scripts as tests, kept by a Go maintainer
)

// TestMain lets the test binary be the program: under the name warren, which
// scripts find on their PATH and program links to.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"warren": main})
}
