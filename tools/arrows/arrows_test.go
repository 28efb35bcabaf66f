// Package arrows holds the house to its plan: which package may import which,
// and what lies at the top of the repository. Names (fs) are one column,
// machines (cores, kern, sched) the other; imports go down, and only fs/tree
// and the tools see both.
package arrows

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "warren/"

// A rule says what a package may import of ours. A name that ends in "/..."
// stands for all packages below it as well.
type rule struct {
	pkg string
	may []string
}

// rules are looked at in order; the first that fits a package holds.
var rules = []rule{
	{"fs/sys", nil},
	{"fs", []string{"fs/sys"}},
	{"fs/ninep", []string{"fs", "fs/sys"}},
	{"fs/ninep/bench9", []string{"fs", "fs/sys", "fs/ninep"}},
	{"fs/ninep/client", []string{"fs", "fs/sys", "fs/ninep"}},
	{"fs/ninep/keys", []string{"fs", "fs/sys"}},
	{"fs/export", []string{"fs/sys", "fs/ninep"}},
	{"fs/ninep/bench9", []string{"fs", "fs/sys", "fs/ninep", "fs/ninep/client"}},
	{"fs/export", []string{"fs", "fs/sys", "fs/ninep"}},
	{"fs/fstest", []string{"fs", "fs/sys"}},
	{"fs/post", []string{"fs", "fs/sys", "fs/ninep", "fs/ninep/client"}},
	{"fs/tree", []string{"fs", "fs/sys", "fs/post", "cores", "kern/...", "sched/..."}},

	{"cores", []string{"fs/sys"}},
	{"cores/riscv/gdb", []string{"fs/sys"}},
	{"cores/riscv/isa", []string{"fs/sys"}},
	{"cores/riscv/rv/...", []string{"fs/sys", "cores/riscv/isa", "cores/riscv/rv/..."}},
	{"cores/riscv/hot", []string{"fs/sys", "cores/riscv/isa", "cores/riscv/rv/..."}},
	{"cores/riscv/exe", []string{"fs/sys", "cores/riscv/isa"}},
	{"cores/riscv/spec", []string{"fs/sys", "cores/riscv/isa"}},
	{"cores/riscv/sim", []string{"fs/sys", "cores/riscv/..."}},
	{"cores/riscv", []string{"fs/sys", "cores", "cores/riscv/..."}},
	{"cores/...", []string{"fs/sys", "cores/..."}},
	{"kern/feed", []string{"fs/sys"}},
	{"kern/chans", []string{"fs/sys", "kern/feed"}},
	{"kern", []string{"fs/sys", "cores", "kern/feed", "kern/chans"}},
	{"sched/policy", []string{"fs/sys"}},
	{"sched", []string{"fs/sys", "cores", "kern", "kern/feed", "sched/policy"}},
	{"sched/mcp", []string{"fs/sys", "cores", "kern/...", "sched"}},

	{"mnt/fuse/benchfuse", []string{"fs", "fs/sys", "mnt/fuse"}},
	{"mnt/fuse/benchfuse", []string{"fs", "fs/sys", "mnt/fuse"}},
	{"mnt/...", []string{"fs", "fs/sys"}},
	{"testdata/...", nil},
	{"tools/...", []string{"cores/...", "fs/...", "kern/...", "mnt/...", "sched/...", "testdata/...", "tools/..."}},
}

func fits(pattern, pkg string) bool {
	if above, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == above || strings.HasPrefix(pkg, above+"/")
	}
	return pkg == pattern
}

// check returns what the rules have against a package that imports these.
func check(pkg string, imports []string) []string {
	i := slices.IndexFunc(rules, func(r rule) bool { return fits(r.pkg, pkg) })
	if i < 0 {
		return []string{pkg + " has no place in the plan"}
	}
	var wrong []string
	for _, path := range imports {
		to, ours := strings.CutPrefix(path, module)
		if ours && !slices.ContainsFunc(rules[i].may, func(p string) bool { return fits(p, to) }) {
			wrong = append(wrong, pkg+" must not import "+to)
		}
	}
	return wrong
}

func TestImportsGoDown(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = repository(t)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; seen++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, wrong := range check(strings.TrimPrefix(p.ImportPath, module), p.Imports) {
			t.Error(wrong)
		}
	}
	if seen < 10 {
		t.Errorf("only %d packages were found", seen)
	}
}

func TestRulesRefuse(t *testing.T) {
	for _, arrow := range [][2]string{
		{"fs", "kern"},
		{"fs/ninep", "cores"},
		{"cores/host", "sched"},
		{"kern/chans", "fs"},
		{"sched/policy", "cores"},
		{"mnt/fuse", "kern/chans"},
		{"kern", "sched"},
		{"util", "fs"},
	} {
		if check(arrow[0], []string{"errors", module + arrow[1]}) == nil {
			t.Errorf("%s may import %s", arrow[0], arrow[1])
		}
	}
}

func TestTopOfTheRepository(t *testing.T) {
	folders := []string{"cores", "fs", "kern", "mnt", "sched", "testdata", "tools"}
	files := []string{"LICENSE", "README.md", "go.mod", "go.sum"}
	entries, err := os.ReadDir(repository(t))
	if err != nil {
		t.Fatal(err)
	}
	var missing []string
	missing = append(append(missing, folders...), files...)
	for _, e := range entries {
		name, may := e.Name(), files
		if e.IsDir() {
			may = folders
		}
		if !ignored(name) && !slices.Contains(may, name) {
			t.Errorf("%s does not belong at the top", name)
		}
		missing = slices.DeleteFunc(missing, func(m string) bool { return m == name })
	}
	if len(missing) > 0 {
		t.Errorf("missing at the top: %s", strings.Join(missing, " "))
	}
}

// ignored reports whether the repository does not keep a file of this name.
func ignored(name string) bool {
	return name[0] == '.' || name == "warren" || slices.Contains([]string{".test", ".prof", ".out"}, filepath.Ext(name))
}

// repository returns the folder that has go.mod.
func repository(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}
