package client_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if a client or its server has left a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
