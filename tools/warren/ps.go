package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"warren/fs"
	"warren/fs/ninep/client"
)

// psFields names the fields of procs/stat; newer servers may add some.
const psFields = "name state user cores want prov pid started_s cpu_permille command"

func psCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "ps [-o json]",
		Short:             "list the processes of the machine",
		Example:           "warren ps -o json",
		Args:              words(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := format.check(cmd); err != nil {
			return err
		}
		return withServer(cmd, func(ctx context.Context, cl *client.Client) error {
			var table bytes.Buffer
			if err := copyOut(ctx, cl, "procs/stat", &table); err != nil {
				return pathError(ctx, cl, "procs/stat", err)
			}
			rows, err := parseTable(table.String())
			if err != nil {
				return err
			}
			if format.json() {
				return writeJSON(os.Stdout, psRecords(rows))
			}
			return printTable(os.Stdout, rows)
		})
	}
	return cmd
}

// parseTable splits a table of the tree into its fields.
func parseTable(text string) ([][]string, error) {
	var rows [][]string
	for line := range strings.Lines(text) {
		row, err := fs.Words(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// psRecords names the fields for programs: numbers where the field is one,
// null for an absent value.
func psRecords(rows [][]string) []map[string]any {
	records := make([]map[string]any, len(rows))
	for i, row := range rows {
		records[i] = make(map[string]any)
		for j, name := range strings.Fields(psFields) {
			if j < len(row) {
				records[i][name] = psValue(name, row[j])
			}
		}
	}
	return records
}

func psValue(field, value string) any {
	if value == "-" {
		return nil
	}
	switch field {
	case "pid", "started_s", "cpu_permille":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return n
		}
	}
	return value
}

// printTable prints rows in columns under their names.
func printTable(w io.Writer, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	names := strings.Fields(psFields)
	fmt.Fprintln(tw, strings.ToUpper(strings.Join(names, "\t")))
	for _, row := range rows {
		fmt.Fprintln(tw, strings.Join(row[:min(len(row), len(names))], "\t"))
	}
	return tw.Flush()
}
