package ninep

import (
	"fmt"
	"strconv"
	"strings"
)

// String returns the message as text: its type, and name=value for the tag
// and each field that its type has in any dialect. That is what transcripts
// and the log are written in.
func (m *Msg) String() string {
	b := []byte(m.Type.String())
	b = append(b, " tag="...)
	b = appendText(b, &m.Tag)
	if int(m.Type) >= len(layouts) {
		return string(b)
	}
	for i := range layouts[m.Type].fields {
		f := &layouts[m.Type].fields[i]
		b = append(append(append(b, ' '), f.name...), '=')
		b = appendText(b, f.at(m))
	}
	return string(b)
}

// appendText appends a field's value. All ones, which stand for nothing, are "~".
func appendText(b []byte, p any) []byte {
	switch v := p.(type) {
	case *uint8:
		return strconv.AppendUint(b, uint64(*v), 10)
	case *uint16:
		return appendNumber(b, uint64(*v), uint64(NoTag))
	case *uint32:
		return appendNumber(b, uint64(*v), uint64(NoFid))
	case *missing:
		return strconv.AppendUint(b, uint64(*v), 10)
	case *uint64:
		return appendNumber(b, *v, 1<<64-1)
	case *string:
		return strconv.AppendQuote(b, *v)
	case *[]byte:
		return strconv.AppendQuote(b, string(*v))
	case *[]string:
		b = append(b, '[')
		for i, name := range *v {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendQuote(b, name)
		}
		return append(b, ']')
	case *[]Qid:
		b = append(b, '[')
		for i := range *v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendQid(b, &(*v)[i])
		}
		return append(b, ']')
	case *Qid:
		return appendQid(b, v)
	}
	return append(b, strings.ReplaceAll(fmt.Sprintf("%+v", p), " ", ",")...)
}

func appendNumber(b []byte, v, none uint64) []byte {
	if v == none {
		return append(b, '~')
	}
	return strconv.AppendUint(b, v, 10)
}

// appendQid appends path.version and the type: d for a directory, a for append only.
func appendQid(b []byte, q *Qid) []byte {
	b = strconv.AppendUint(b, q.Path, 10)
	b = strconv.AppendUint(append(b, '.'), uint64(q.Vers), 10)
	switch {
	case q.Type&0x80 != 0:
		b = append(b, 'd')
	case q.Type&0x40 != 0:
		b = append(b, 'a')
	}
	return b
}
