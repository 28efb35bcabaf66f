package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// nextCluster has each cluster fetch what the next one has.
const nextCluster = `#include <snrt.h>
#include <stdio.h>

int main(void)
{
	uint32_t *mine = (uint32_t *)snrt_l1_alloc(8), *his = (uint32_t *)snrt_l1_alloc(8);
	uint32_t next = (snrt_cluster_idx() + 1) % snrt_cluster_num();
	if (snrt_is_dm_core())
		*mine = 100 + snrt_cluster_idx();
	snrt_global_barrier();
	if (!snrt_is_dm_core())
		return 0;
	snrt_dma_start_1d(his, snrt_remote_l1_ptr(mine, snrt_cluster_idx(), next), 4);
	snrt_dma_wait_all();
	printf("%u of %u has %u at %u,%u\n", (unsigned)snrt_cluster_idx(), (unsigned)snrt_cluster_num(), (unsigned)*his, (unsigned)warren_x(), (unsigned)warren_y());
	return 0;
}
`

// TestClusterNumbers: tiles are numbered as a description has them, and a number leads to its
// tile: also where that is not row by row, places are empty, or SRAM lies elsewhere.
func TestClusterNumbers(t *testing.T) {
	elf := buildText(t, nextCluster)
	kind := func(name, sram string) string {
		return "kind " + name + "\ncore compute rv32imac_zicsr\ncore dm rv32imac_zicsr\nsram " + sram + " 128K\nprivate 256K\nbarrier csr\n"
	}
	for name, c := range map[string]struct {
		text   string
		places []string // of the tiles, by number
	}{
		"in order":      {"grid 2 2\n" + kind("cl", "0x10000000") + "tiles cl x=0-1,y=0-1\n", []string{"0,0", "1,0", "0,1", "1,1"}},
		"columns":       {"grid 2 2\nnetwork torus\n" + kind("cl", "0x10000000") + "tiles cl x=1,y=0-1\ntiles cl x=0,y=0-1\n", []string{"1,0", "1,1", "0,0", "0,1"}},
		"empty places":  {"grid 4 2\n" + kind("cl", "0x10000000") + "tiles cl x=1-2,y=0-1\n", []string{"1,0", "2,0", "1,1", "2,1"}},
		"several kinds": {"grid 2 1\n" + kind("a", "0x10000000") + "tiles a x=1,y=0\n" + kind("b", "0x11000000") + "tiles b x=0,y=0\n", []string{"1,0", "0,0"}},
	} {
		m := bringFile(t, "machine my\n"+c.text, Options{})
		out := new(output)
		if e := ended(t, launch(t, m, elf, 2*len(c.places), out)); e != (Exit{}) {
			t.Errorf("%s: %+v\n%s", name, e, out)
		}
		var want []string
		for i, at := range c.places {
			want = append(want, fmt.Sprintf("%d of %d has %d at %s", i, len(c.places), 100+(i+1)%len(c.places), at))
		}
		got := lines(out.String())
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s", name, strings.Join(got, "\n"))
		}
	}
}

// TestTransfersThatFail: a transfer of a runtime that cannot be done says which, and why.
func TestTransfersThatFail(t *testing.T) {
	for body, want := range map[string]string{
		"snrt_dma_start_1d((void *)0x12345678, x, 4);":                                         "snrt_dma_start: 4 bytes from 0x8000\tto 0x12345678: Bad address",
		"snrt_dma_start_1d((void *)0x20000000, (void *)0x20040000, 4);":                        "snrt_dma_start: 4 bytes from 0x20040000 to 0x20000000: of another cluster, both",
		"snrt_dma_start_1d(x, snrt_remote_l1_ptr((void *)0x10000000, 0, 1), 4); puts(\"ok\");": "ok",
	} {
		m := bring(t, "occamy", Options{})
		out := new(output)
		e := ended(t, launch(t, m, buildText(t, "#include <snrt.h>\nint x[4];\nint main(void)\n{\n\t"+body+"\n}\n"), 1, out))
		before, after, _ := strings.Cut(want, "\t")
		if text := out.String(); !strings.HasPrefix(text, before) || !strings.Contains(text, after) {
			t.Errorf("%s: %s", body, text)
		}
		if failed := want != "ok"; failed != (e.Code == 128+int(syscall.SIGABRT)) {
			t.Errorf("%s: %+v", body, e)
		}
	}
	for _, c := range []struct{ call, want string }{
		{"noc_async_read(get_noc_addr(200, 1, 0x40), 0x80, 32)", "noc_async_read: 32 bytes at 0x40 of tile (200,1), and at 0x80 here: "},
		{"noc_async_write(0x80, get_noc_addr(1, 0, 0xfffffff0), 32)", "noc_async_write: 32 bytes at 0xfffffff0 of tile (1,0), and at 0x80 here: "},
		{"noc_async_write_multicast(0x80, get_noc_multicast_addr(0, 1, 2, 3, 0xfffffff0), 32, 11)", "noc_async_write_multicast: 32 bytes at 0xfffffff0 of tile (0,1) to (2,3), and at 0x80 here: "},
		{"get_arg_val<uint32_t>(3)", "runtime argument 3: there are 0"},
		{"get_common_arg_val<uint32_t>(1)", "common runtime argument 1: there are 0"},
	} {
		file := filepath.Join(t.TempDir(), "k.cpp")
		if err := os.WriteFile(file, []byte("#include \"dataflow_api.h\"\nvoid kernel_main()\n{\n\t"+c.call+";\n}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out := new(output)
		e := ended(t, launch(t, bring(t, "blackhole", Options{}), buildFile(t, file), 1, out))
		if !strings.HasPrefix(out.String(), c.want) || e.Code != 128+int(syscall.SIGABRT) {
			t.Errorf("%s: %s%+v", c.call, out, e)
		}
	}
}
