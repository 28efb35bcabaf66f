package ninep

import (
	"strings"
	"testing"

	"warren/fs/sys"
)

// TestEveryAct holds the manual's table to the protocol's, and each refusal in
// it to what the server does.
func TestEveryAct(t *testing.T) {
	for ty := range Type(len(layouts)) {
		isRequest := layouts[ty].name != "" && ty%2 == 0
		if a := acts[ty]; isRequest != (a.does != "") || a.refuse != nil && !isRequest {
			t.Errorf("%v: request %v, act %+v", ty, isRequest, a)
		}
	}
	tr := newTreeOf(1)
	k := newTalker(t, serveTree(t, tr, new(Server), Identity{User: glenda}), DotL)
	for k.d = Classic; k.d <= DotL; k.d++ {
		k.attach(8192)
		k.open(1, ModeRead, "sub")
		for ty, a := range acts {
			if a.refuse == nil || !Type(ty).In(k.d) {
				continue
			}
			m := k.call(Msg{Type: Type(ty), Tag: 1, Afid: 2, Fid: 1, Newfid: 0, Name: "deep", Target: "new"})
			text, errno := a.refuse.Error(), uint32(sys.Errno(a.refuse))
			if m.Type != Rlerror && m.Ename != text || k.d != Classic && m.Errno != errno {
				t.Errorf("%v: %v is answered %v, want %d %q", k.d, Type(ty), m, errno, text)
			}
		}
	}
}

// TestEveryMessageHasATranscript looks for each request, in each dialect that
// has it, and for its answer: an error, if the server always refuses it.
func TestEveryMessageHasATranscript(t *testing.T) {
	type said struct {
		d    Dialect
		name string
	}
	seen := make(map[said]bool)
	for _, script := range transcripts(t) {
		d := Classic
		for line := range strings.SplitSeq(script.text, "\n") {
			w := words(line)
			if len(w) < 2 || w[0] != ">" && w[0] != "<" {
				continue
			}
			seen[said{d, w[1]}] = true
			if version, ok := strings.CutPrefix(w[len(w)-1], "version="); ok && w[1] == "Tversion" {
				d, _ = dialectOf(strings.Trim(version, `"`))
				seen[said{d, "Tversion"}], seen[said{d, "Rversion"}] = true, true
			}
		}
	}
	for d := Classic; d <= DotL; d++ {
		for _, m := range Messages() {
			answer := "R" + m.Name[1:]
			switch {
			case !strings.Contains(strings.Join(m.Dialects, " ")+" ", d.String()+" "):
			case !seen[said{d, m.Name}]:
				t.Errorf("%v: no transcript has %s", d, m.Name)
			case m.Refused == "" && !seen[said{d, answer}]:
				t.Errorf("%v: no transcript has %s", d, answer)
			}
		}
	}
}
