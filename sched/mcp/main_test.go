package mcp_test

import (
	"testing"

	"go.uber.org/goleak"
)

// No test leaves a goroutine behind: not a pump, a watcher, or a wait.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
