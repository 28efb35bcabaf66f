package bench9

import (
	"context"
	"slices"
	"time"
)

// A Row is one work, done by several servers in turn: times per second.
type Row struct {
	Work   string
	Flight int
	Rates  []float64 // of each target, the median of the rounds
}

// Compare lets the targets do each work in turn, rounds times for d each, with
// each number of chains in flight; so that what disturbs one disturbs all.
func Compare(ctx context.Context, targets []Target, flights []int, rounds int, d time.Duration) ([]Row, error) {
	var rows []Row
	for _, w := range Works() {
		for _, flight := range flights {
			all := make([][]float64, len(targets))
			for range rounds {
				for i, t := range targets {
					rate, err := Run(ctx, t, w, flight, d)
					if err != nil {
						return nil, err
					}
					all[i] = append(all[i], rate)
				}
			}
			row := Row{Work: w.Name, Flight: flight}
			for _, rates := range all {
				row.Rates = append(row.Rates, Median(rates))
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// Median returns the median; it sorts xs.
func Median(xs []float64) float64 {
	slices.Sort(xs)
	return xs[len(xs)/2]
}
