package gdb

import "testing"

// A script is what a user says to gdb, and what gdb must say.
type script struct {
	name     string
	ranks    []uint32 // of the harts; see debug.c for what they do
	lines    string
	patterns []string
}

func scripts(t *testing.T) []script {
	t.Helper()
	at := func(mark string) string { return "debug.c:" + line(t, mark) }
	const exits = `exited with code 072` // 58
	return []script{
		{
			"break, bt, next, locals, finish",
			[]uint32{0},
			"break length2\ncontinue\nbt\ninfo args\nnext\nnext\ninfo locals\nfinish\ndelete\ncontinue\n",
			[]string{
				`Breakpoint 1, length2 \(p=0x\w+ <origin>\) at .*debug.c:\d+`,
				`#0  length2 .*\n#1  0x8\w+ in recurse \(depth=0\) at .*` + at("deepest") + `\n#2  0x8\w+ in recurse \(depth=1\)(.*\n)+#5  0x8\w+ in main \(rank=0\) at .*` + at("first"),
				`p = 0x8\w+ <origin>`, `a = 9\nb = 16\n`, `Value returned is \$1 = 25`, exits,
			},
		},
		{
			"step, stepi, up, print",
			[]uint32{0},
			"break " + at("deepest") + "\ncontinue\nstep\nstep\nbt 2\nup\nprint *p\nprint p->x + origin.y\nstepi\nnexti\nx/i $pc\n",
			[]string{
				`Breakpoint 1, recurse \(depth=0\)`, `length2 \(p=`, `square \(n=3\)`, `#0  square \(n=3\).*\n#1  0x8\w+ in length2`,
				`\$1 = \{x = 3, y = 4\}`, `\$2 = 7`, `=> 0x8\w+ <square\+1\d>`,
			},
		},
		{
			"tbreak with a condition, advance, hbreak",
			[]uint32{0},
			"tbreak recurse if depth == 1\ncontinue\nprint depth\nadvance " + at("deepest") + "\nprint depth\nhbreak square\ncontinue\ncontinue\ncontinue\n",
			[]string{`Temporary breakpoint 1, recurse \(depth=1\)`, `\$1 = 1\n`, `\$2 = 0\n`, `Hardware assisted breakpoint 2`, `Breakpoint 2, square \(n=3\)`, `Breakpoint 2, square \(n=4\)`, exits},
		},
		{
			"registers, read and set",
			[]uint32{0},
			"break square\ncontinue\ninfo registers pc zero a0\nprint/x $mhartid\nset var $a5 = 0x12345678\nset var $fa0.double = 2.5\nset var $ft0.float = 1.5\n" +
				"set var $fcsr = 0x61\nmaintenance flush register-cache\nprint/x $a5\nprint $fa0.double\nprint $ft0.float\nprint $frm\ninfo registers fflags\nprint $instret > 10\nset var $cycle = 1\n",
			[]string{
				`Breakpoint 1, square`, `pc +0x8\w+.*<square\+\w+>\nzero +0x0.*\na0 +0x3\s`, `\$1 = 0x0\n`,
				`\$2 = 0x12345678\n`, `\$3 = 2.5\n`, `\$4 = 1.5\n`, `\$5 = 3\n`, `fflags\s+0x1\s.*NX:1`, `\$6 = 1\n`, `Could not write register "cycle"; remote failure reply 'E\.register \d+ is only read'`,
			},
		},
		{
			"memory, read and set",
			[]uint32{0},
			"break square\ncontinue\nx/2i $pc\nx/2wx &origin\nset var origin.x = 6\nprint origin\nset var n = 10\nfinish\nx/1bx 0x8000fff0\nx/4bx 0x8000fffe\n",
			[]string{
				`=> 0x8\w+ <square\+\w+>:\s+lw\s`, `<origin>:\s+0x00000003\s+0x00000004`, `\{x = 6, y = 4\}`, `Value returned is \$2 = 100`,
				`0x8000fff0:\s+0x`, `Cannot access memory at address 0x80010000`,
			},
		},
		{
			"floating point",
			[]uint32{0},
			"break scale\ncontinue\nprint by\nprint $fa0.double\nfinish\n",
			[]string{`scale \(by=5\)`, `\$1 = 5\n`, `\$2 = 5\n`, `Value returned is \$3 = 2.5`},
		},
		{
			"calls of functions",
			[]uint32{0},
			"break main\ncontinue\ncall square(11)\nprint square(12) + 1\nprint scale(3.0)\n",
			[]string{`\$1 = 121\n`, `\$2 = 145\n`, `\$3 = 1.5\n`},
		},
		{
			"watch and rwatch",
			[]uint32{0},
			"watch watched\ncontinue\nbt 1\ndelete\nrwatch watched\ncontinue\ncontinue\n",
			[]string{
				`Hardware watchpoint 1: watched`, `Hardware watchpoint 1: watched\n\nOld value = 0\nNew value = 28`, `#0  main \(rank=0\) at .*` + at("load"),
				`Hardware read watchpoint 2: watched\n\nValue = 28`, exits,
			},
		},
		{
			"awatch",
			[]uint32{0},
			"awatch origin.x\ncontinue\ncontinue\n",
			[]string{`Hardware access \(read/write\) watchpoint 1: origin.x\n\nValue = 3`, `length2`, exits},
		},
		{
			"watch a local variable",
			[]uint32{0},
			"break " + at("first") + "\ncontinue\nwatch sum\ncontinue\ncontinue\ncontinue\n",
			[]string{`Hardware watchpoint 2: sum`, `New value = 28\n`, `Old value = 28\nNew value = 56`, `Old value = 56\nNew value = 58`},
		},
		{
			"threads",
			[]uint32{0, 0},
			"break square\ncontinue\ninfo threads\nthread apply all bt 2\nthread 2\nprint/x $mhartid\nset scheduler-locking on\nstepi\ninfo threads\nset scheduler-locking off\ncontinue\ndelete\ncontinue\n",
			[]string{
				`Thread 1 "core 5 \(0,1\) T0" hit Breakpoint 1, square \(n=3\)`,
				`\* 1 +Thread 1 "core 5 \(0,1\) T0" .*square.*\n +2 +Thread 2 "core 6 \(1,1\) T0" .*_start`,
				`Thread 2 \(Thread 2 .*\):\n#0  0x8\w+ in _start`, `Thread 1 \(Thread 1 .*\):\n#0  square \(n=3\).*\n#1  0x8\w+ in length2`,
				`Switching to thread 2`, `\$1 = 0x1\n`, `  1 +Thread 1 .*square \(n=3\).*\n\* 2 +Thread 2 .*0x80000190 in _start`, `hit Breakpoint 1, square`, exits,
			},
		},
		{
			"a thread ends, the other goes on",
			[]uint32{0, 4},
			"continue\ninfo threads\njump *($pc + 2)\n",
			[]string{`Thread 2 "core 6 \(1,1\) T0" received signal SIGTRAP`, `2 +Thread 2`, exits},
		},
		{
			"a fault",
			[]uint32{2},
			"continue\nbt\nmonitor fault\nmonitor nothing\n",
			[]string{
				`received signal SIGSEGV, Segmentation fault.\n.*wild \(\) at .*` + at("a store that faults"), `#0 .*wild.*\n#1 .*main \(rank=2\)`,
				`store access fault at 0x8`, `unknown command "nothing"`,
			},
		},
		{"an illegal instruction", []uint32{3}, "continue\nbt\n", []string{`received signal SIGILL`, `#0 .*main \(rank=3\)`}},
		{"ebreak", []uint32{4}, "continue\nbt\njump *($pc + 2)\n", []string{`received signal SIGTRAP`, `#0 .*main \(rank=4\)`, exits}},
	}
}
