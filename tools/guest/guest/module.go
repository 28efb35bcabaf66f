package guest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A module is a kernel module's code, decompressed.
type module struct {
	name string
	code []byte
}

// defaultModules are what every guest gets: ports to the host, 9P, FUSE,
// sockets between machines.
var defaultModules = []string{
	"virtio_pci", "virtio_console",
	"9pnet_fd", "9pnet_virtio", "9p",
	"fuse", "virtiofs",
	"vsock", "vsock_loopback",
}

// A moduleSet finds modules by name and puts them in order. Names have
// underscores where files may have dashes.
type moduleSet struct {
	files   map[string]string // by name
	builtin map[string]bool
	done    map[string]bool
	order   []module
}

// modules returns the named modules with all that they need, in the order in
// which they can be loaded. The dependencies are read from the modules, as
// modules.dep is made only where a kernel is installed.
func (k kernel) loadOrder(names []string) ([]module, error) {
	s := moduleSet{files: map[string]string{}, builtin: map[string]bool{}, done: map[string]bool{}}
	err := filepath.WalkDir(filepath.Join(k.modules, "kernel"), func(file string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if name, ok := moduleName(file); ok {
				s.files[name] = file
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	list, err := os.ReadFile(filepath.Join(k.modules, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(list)) {
		if name, ok := moduleName(strings.TrimSpace(line)); ok {
			s.builtin[name] = true
		}
	}
	for _, name := range names {
		if err := s.add(strings.ReplaceAll(name, "-", "_")); err != nil {
			return nil, err
		}
	}
	return s.order, nil
}

// moduleName is a module's of its file: its base up to .ko, .ko.xz, .ko.zst.
func moduleName(file string) (string, bool) {
	name, rest, ok := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_"), ok && (rest == "" || strings.HasPrefix(rest, "."))
}

// add appends a module, after what it depends on.
func (s *moduleSet) add(name string) error {
	if s.done[name] || s.builtin[name] {
		return nil
	}
	s.done[name] = true
	file, ok := s.files[name]
	if !ok {
		return fmt.Errorf("the kernel has no module %s", name)
	}
	code, err := readModule(file)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	needs, err := dependencies(code)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, need := range needs {
		if err := s.add(need); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	s.order = append(s.order, module{name, code})
	return nil
}

func readModule(file string) ([]byte, error) {
	switch filepath.Ext(file) {
	case ".xz":
		return exec.Command("xz", "-dc", file).Output()
	case ".zst":
		return exec.Command("zstd", "-dc", file).Output()
	}
	return os.ReadFile(file)
}

// dependencies reads the line "depends=a,b" of a module's section .modinfo.
func dependencies(code []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(code))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("not a kernel module: it has no section .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for entry := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := strings.CutPrefix(string(entry), "depends="); ok {
			return strings.FieldsFunc(list, func(r rune) bool { return r == ',' }), nil
		}
	}
	return nil, nil
}
