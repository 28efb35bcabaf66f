//go:build !race

package export

// raced says that the race detector is on.
const raced = false
