package fs

import (
	"strings"
	"syscall"

	"warren/fs/sys"
)

// Quote returns a word as a command has it: in single quotes, with quotes
// doubled, as in rc(1), if it is empty or holds anything that would end a word.
// Words takes it apart again, to the byte.
func Quote(word string) string { return string(appendQuoted(nil, word, false)) }

// AppendQuoted appends a word as a record has it: as Quote does, but with
// blanks for newlines, which would end the record.
func AppendQuoted(b []byte, word string) []byte { return appendQuoted(b, word, true) }

func appendQuoted(b []byte, word string, record bool) []byte {
	if word != "" && !strings.ContainsAny(word, " \t\r\n'#") {
		return append(b, word...)
	}
	b = append(b, '\'')
	for i := range len(word) {
		switch ch := word[i]; {
		case ch == '\'':
			b = append(b, '\'', '\'')
		case record && (ch == '\n' || ch == '\r'):
			b = append(b, ' ')
		default:
			b = append(b, ch)
		}
	}
	return append(b, '\'')
}

// Words splits a line into words at blanks; a part in single quotes is taken
// as it is, two quotes inside are one.
func Words(line string) ([]string, error) {
	var words []string
	for i := 0; i < len(line); {
		if isBlank(line[i]) {
			i++
			continue
		}
		word, n, err := firstWord(line[i:])
		if err != nil {
			return nil, err
		}
		words = append(words, word)
		i += n
	}
	return words, nil
}

// firstWord returns the word that line begins with and its length in line.
func firstWord(line string) (string, int, error) {
	var b strings.Builder
	quoted := false
	i := 0
	for ; i < len(line); i++ {
		ch := line[i]
		switch {
		case ch == '\'' && quoted && i+1 < len(line) && line[i+1] == '\'':
			b.WriteByte('\'')
			i++
		case ch == '\'':
			quoted = !quoted
		case isBlank(ch) && !quoted:
			return b.String(), i, nil
		default:
			b.WriteByte(ch)
		}
	}
	if quoted {
		return "", 0, sys.Errorf(syscall.EINVAL, "a quote is open: %s", line)
	}
	return b.String(), i, nil
}

func isBlank(ch byte) bool { return ch == ' ' || ch == '\t' || ch == '\r' }
