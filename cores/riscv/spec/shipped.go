package spec

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"warren/fs/sys"
)

//go:embed machines/*.machine
var machines embed.FS

// mesh describes a plain grid: its width and height, and the last x and y.
const mesh = `# A plain grid of tiles with one core each, of no particular make.
machine mesh=%[1]dx%[2]d
grid %[1]d %[2]d
network mesh
clock 1000
overhead 10
hop 9
flit 64

kind mesh
core core rv32imafdc_zicsr_zicntr_zifencei_zba_zbb_zbs
sram 0 128K
private 1M
tiles mesh x=0-%[3]d,y=0-%[4]d
`

// Names lists the shipped machines, as Shipped takes them.
func Names() []string { return []string{"blackhole", "wormhole", "occamy", "mesh=WxH"} }

// Shipped returns the machine of this name, or the grid "mesh=WxH" of that width
// and height. EINVAL if there is none.
func Shipped(name string) (*Machine, error) {
	if size, ok := strings.CutPrefix(name, "mesh="); ok {
		return newMesh(size)
	}
	if text, err := machines.ReadFile("machines/" + name + ".machine"); err == nil {
		return Parse(name+".machine", text)
	}
	return nil, sys.Errorf(syscall.EINVAL,
		"no machine %q: want one of %s, or a file's path, such as ./my.machine", name, strings.Join(Names(), " "))
}

func newMesh(size string) (*Machine, error) {
	ws, hs, _ := strings.Cut(size, "x")
	w, werr := strconv.ParseUint(ws, 10, 16)
	h, herr := strconv.ParseUint(hs, 10, 16)
	if werr != nil || herr != nil || w == 0 || h == 0 {
		return nil, sys.Errorf(syscall.EINVAL, "bad machine mesh=%s (want width and height, such as mesh=32x32)", size)
	}
	if w > maxSide || h > maxSide || w*h > maxTiles {
		return nil, sys.Errorf(syscall.EINVAL,
			"machine mesh=%s is too large: at most %d wide and high, and %d tiles", size, maxSide, maxTiles)
	}
	return Parse("mesh.machine", fmt.Appendf(nil, mesh, w, h, w-1, h-1))
}
