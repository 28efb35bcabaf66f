package fs

import (
	"strings"
	"syscall"

	"warren/fs/sys"
)

// checkUsage checks the words after a verb against its usage; see Verb.Args.
func checkUsage(verb, usage string, words []string) error {
	var first error
	for form := range strings.SplitSeq(usage, " | ") {
		err := checkForm(verb, strings.Fields(form), words)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	if strings.Contains(usage, " | ") {
		return wrongArgs(verb, usage)
	}
	return first
}

func wrongArgs(verb, usage string) error {
	if usage == "" {
		return sys.Errorf(syscall.EINVAL, "%s: takes no arguments", verb)
	}
	return sys.Errorf(syscall.EINVAL, "%s: wrong arguments (usage: %s %s)", verb, verb, usage)
}

func checkForm(verb string, form, words []string) error {
	least, most := 0, len(form)
	for _, token := range form {
		if token[0] != '[' {
			least++
		}
		if strings.Contains(token, "...") {
			most = len(words)
		}
	}
	if len(words) < least || len(words) > max(most, least) {
		return wrongArgs(verb, strings.Join(form, " "))
	}
	for i, word := range words {
		if i >= len(form) {
			break
		}
		if err := checkWord(verb, strings.Trim(form[i], "[]"), word); err != nil {
			return err
		}
	}
	return nil
}

// checkWord checks a word against a token of the usage, if that is literal.
func checkWord(verb, token, word string) error {
	if token != strings.ToLower(token) || strings.Contains(token, "...") {
		return nil
	}
	choices := strings.Split(token, "|")
	for _, choice := range choices {
		if word == choice {
			return nil
		}
	}
	if near := nearest(word, choices); near != "" {
		return sys.Errorf(syscall.EINVAL, "%s: want %s, not %q (%s?)", verb, token, clip(word), near)
	}
	return sys.Errorf(syscall.EINVAL, "%s: want %s, not %q", verb, token, clip(word))
}

// nearest returns the name that word is probably meant to be: at most two
// letters away, and nearer than half its length.
func nearest(word string, names []string) string {
	best, at := "", 3
	for _, name := range names {
		if d := distance(word, name); d < at && 2*d <= len(name) {
			best, at = name, d
		}
	}
	return best
}

// distance is how many letters must be put in, left out, changed or swapped
// with the next to make b of a (optimal string alignment).
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
