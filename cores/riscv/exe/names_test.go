package exe

import (
	"bytes"
	"compress/zlib"
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestSymbolsAndLines(t *testing.T) {
	for _, version := range []byte{2, 3, 4, 5} {
		f := withSymbols()
		f.sections[2].data = append(lineUnit(version), lineUnit(version)...) // a second unit that says the same
		p, err := Parse(f.bytes())
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]uint32{"main": 0x8000_0000, "loop": 0x8000_0008, "size": 0x1234} {
			if addr, ok := p.Addr(name); !ok || addr != want {
				t.Errorf("%s is at %#x, %t", name, addr, ok)
			}
		}
		if _, ok := p.Addr(""); ok || len(p.symbols) != 2 {
			t.Errorf("symbols %v", p.symbols)
		}
		if a, b := p.Name(0x8000_0004), p.Name(0x8000_000c); a != "main+0x4" || b != "loop+0x4" {
			t.Errorf("names %s and %s", a, b)
		}
		for addr, want := range map[uint32]line{
			0x8000_0000: {file: "main.c", num: 7}, 0x8000_0002: {file: "main.c", num: 7},
			0x8000_0004: {file: "part.c", num: 9}, 0x8000_0006: {file: "part.c", num: 9},
			0x8000_000a: {}, // in loop, where no row begins
			0x8000_000c: {}, 0x8000_1000: {}, 0: {},
		} {
			if file, num := p.Line(addr); file != want.file || num != want.num {
				t.Errorf("version %d: %#x is line %d of %q, want %d of %q", version, addr, num, file, want.num, want.file)
			}
		}
	}
}

// TestPacked: compressed lines are read if they are whole, and of the size that
// is said, which is bounded.
func TestPacked(t *testing.T) {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	if _, err := w.Write(lineUnit(5)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	for _, c := range []struct {
		name string
		kind elf.CompressionType
		size int
		data []byte
		num  int
	}{
		{"whole", elf.COMPRESS_ZLIB, len(lineUnit(5)), z.Bytes(), 7},
		{"by Zstandard", elf.COMPRESS_ZSTD, len(lineUnit(5)), z.Bytes(), 0},
		{"shorter than said", elf.COMPRESS_ZLIB, len(lineUnit(5)) + 1, z.Bytes(), 0},
		{"longer than said", elf.COMPRESS_ZLIB, len(lineUnit(5)) - 1, z.Bytes(), 0},
		{"too large", elf.COMPRESS_ZLIB, maxFile + 1, z.Bytes(), 0},
		{"cut off", elf.COMPRESS_ZLIB, len(lineUnit(5)), z.Bytes()[:z.Len()-5], 0},
		{"empty", elf.COMPRESS_ZLIB, 0, nil, 0},
	} {
		f := withSymbols()
		head := le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, uint32(c.kind)), uint32(c.size)), 1)
		f.sections[2].flags, f.sections[2].data = elf.SHF_COMPRESSED, append(head, c.data...)
		p, err := Parse(f.bytes())
		if err != nil {
			t.Fatal(err)
		}
		if _, num := p.Line(p.Entry); num != c.num {
			t.Errorf("%s: line %d, want %d", c.name, num, c.num)
		}
	}
}

// Each cut of a sound file, and each byte of it changed, is refused or read.
func TestDamage(t *testing.T) {
	whole := withSymbols().bytes()
	for n := range whole {
		if p, err := Parse(whole[:n]); err == nil {
			p.Line(p.Entry)
		}
		for _, b := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			bad := bytes.Clone(whole)
			bad[n] = b
			if p, err := Parse(bad); err == nil {
				p.Line(p.Entry)
				p.Name(p.Entry)
			}
		}
	}
}

// Names that lie over one another are no reason to hold each: a file of 4 MiB
// could ask for terabytes.
func TestOverlappingNamesAreBounded(t *testing.T) {
	const n = 1 << 17
	f := sound()
	var table []byte
	long := append(bytes.Repeat([]byte{'a'}, 1<<20), 0)
	for i := range n {
		table = binary.LittleEndian.AppendUint32(table, uint32(i%1024))
		table = append(append(table, make([]byte, 8)...), elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), 0, 1, 0)
	}
	f.sections = []draftSection{
		{name: ".symtab", kind: elf.SHT_SYMTAB, link: 2, data: table},
		{name: ".strtab", kind: elf.SHT_STRTAB, data: long},
	}
	for i := range 1000 {
		f.sections = append(f.sections, draftSection{name: string(long[:i]), kind: elf.SHT_PROGBITS})
	}
	raw := f.bytes()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p, err := Parse(raw)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
		t.Errorf("a file of %d KiB with %d symbols takes %d MiB", len(raw)>>10, len(p.symbols), took>>20)
	}
}

const source = `
int table[100];
static int square(int n) { return n * n; }
int sum(int n) {
	int s = 0;
	for (int i = 0; i < n; i++)
		s += square(i) / (table[i % 100] + 1);
	return s;
}
void _start(void) {
	table[3] = sum(table[1]);
	for (;;)
		;
}
`

// What gcc makes is read as debug/elf and debug/dwarf read it.
func TestAgreesWithTheLibrary(t *testing.T) {
	gcc, err := exec.LookPath("riscv64-unknown-elf-gcc")
	if err != nil {
		t.Skip("no riscv64-unknown-elf-gcc here")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.c"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []string{"-O2 -gdwarf-5", "-O2 -gdwarf-4", "-O0 -gdwarf-3 -gstrict-dwarf", "-Os -gdwarf-2 -gstrict-dwarf", "-O2 -gdwarf-5 -gz", "-O2 -gdwarf-4 -gz=zlib-gnu", "-O2 -gdwarf-4 -gz=zlib"} {
		out := filepath.Join(dir, "out")
		args := append(strings.Fields("-march=rv32imac -mabi=ilp32 -nostdlib -static -Wl,-Ttext=0x80000000 -o out main.c"), strings.Fields(flags)...)
		cmd := exec.CommandContext(t.Context(), gcc, args...)
		cmd.Dir = dir
		if msg, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", flags, err, msg)
		}
		raw, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Parse(raw)
		if err != nil {
			t.Fatalf("%s: %v", flags, err)
		}
		f, err := elf.NewFile(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		sameSymbols(t, p, f)
		sameLines(t, flags, p, f)
	}
}

func sameSymbols(t *testing.T, p *Program, f *elf.File) {
	t.Helper()
	list, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sum", "table", "_start"} {
		addr, ok := p.Addr(name)
		if !ok || p.Name(addr) != name || p.Name(addr+2) != name+"+0x2" {
			t.Errorf("%s is at %#x, which is %s", name, addr, p.Name(addr))
		}
		for _, s := range list {
			if s.Name == name && uint32(s.Value) != addr {
				t.Errorf("%s is at %#x, want %#x", name, addr, s.Value)
			}
		}
	}
}

func sameLines(t *testing.T, flags string, p *Program, f *elf.File) {
	t.Helper()
	d, err := f.DWARF()
	if err != nil {
		t.Fatal(err)
	}
	unit, err := d.Reader().Next()
	if err != nil {
		t.Fatal(err)
	}
	r, err := d.LineReader(unit)
	if err != nil {
		t.Fatal(err)
	}
	want := map[uint32]line{} // the last row of an address counts
	for {
		var e dwarf.LineEntry
		if r.Next(&e) != nil {
			break
		}
		if !e.EndSequence {
			want[uint32(e.Address)] = line{file: filepath.Base(e.File.Name), num: e.Line}
		}
	}
	if len(want) < 10 {
		t.Fatalf("%s: only %d rows", flags, len(want))
	}
	for addr, w := range want {
		if file, num := p.Line(addr); file != w.file || num != w.num {
			t.Errorf("%s: %#x is %s:%d, want %s:%d", flags, addr, file, num, w.file, w.num)
		}
	}
}
