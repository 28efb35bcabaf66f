package bench9

import (
	"context"
	"time"
)

// A Row is one work, done by several servers in turn: times per second.
type Row struct {
	Work   string
	Flight int
	Rates  []float64 // of each target, the best of the rounds
}

// Compare lets the targets do each work in turn, rounds times for d each, with
// each number of chains in flight; so that what disturbs one disturbs all.
func Compare(ctx context.Context, targets []Target, flights []int, rounds int, d time.Duration) ([]Row, error) {
	var rows []Row
	for _, w := range Works() {
		for _, flight := range flights {
			row := Row{Work: w.Name, Flight: flight, Rates: make([]float64, len(targets))}
			for range rounds {
				for i, t := range targets {
					rate, err := Run(ctx, t, w, flight, d)
					if err != nil {
						return nil, err
					}
					row.Rates[i] = max(row.Rates[i], rate)
				}
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}
