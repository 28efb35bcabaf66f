package cores

// Apart is the Distance of two cores of a machine, given what NUMA says of
// their nodes (10 for the same, more for others).
func Apart(a, b Info, numa int) int {
	switch {
	case a.ID == b.ID:
		return 0
	case a.Node != b.Node:
		return max(numa, 11)
	case a.Core == b.Core && a.Core >= 0:
		return 1
	case a.LLC == b.LLC && a.LLC >= 0:
		return 2
	case a.Socket == b.Socket && a.Socket >= 0:
		return 3
	}
	return 10
}
