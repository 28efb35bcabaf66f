package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// healthy is the files of a host that lacks nothing but isolation.
func healthy() map[string]string {
	return map[string]string{
		"dev/fuse":                                  "",
		"etc/fuse.conf":                             "# user_allow_other\nuser_allow_other\n",
		"proc/filesystems":                          "nodev\tfuse\nnodev\t9p\n",
		"proc/self/cgroup":                          "0::/warren.service\n",
		"proc/self/mountinfo":                       "27 1 254:0 / / rw - ext4 /dev/vda rw\n41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
		"proc/sys/kernel/osrelease":                 "6.12.1-amd64\n",
		"run/keep":                                  "",
		"var/lib/keep":                              "",
		"sys/devices/system/cpu/isolated":           "\n",
		"sys/devices/system/cpu/nohz_full":          "(null)\n",
		"sys/devices/system/cpu/online":             "0-1\n",
		"sys/devices/system/cpu/present":            "0-1\n",
		"sys/devices/system/node/online":            "0\n",
		"sys/fs/cgroup/cgroup.controllers":          "cpuset cpu memory\n",
		"sys/fs/cgroup/warren.service/cgroup.procs": "",
	}
}

// patientOf lays files out as the root of a host.
func patientOf(t *testing.T, files map[string]string) *patient {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &patient{
		root: root, socket: "/run/warren.sock", state: "/var/lib/warren",
		find:     func(name string) (string, error) { return "/usr/bin/" + name, nil },
		pidfd:    func() error { return nil },
		openable: func(string) error { return nil },
		compiles: func() error { return nil },
	}
}

func TestDoctorOfAHealthyHost(t *testing.T) {
	for _, f := range patientOf(t, healthy()).examine() {
		if f.Verdict != verdictOK || f.Mend != "" || f.Found == "" {
			t.Errorf("%+v", f)
		}
	}
}

func TestDoctorFindsAndMends(t *testing.T) {
	for _, test := range []struct {
		name    string
		hurt    func(files map[string]string)
		change  func(p *patient)
		what    string
		verdict string
		mend    string // begins so
	}{
		{
			"old kernel", func(f map[string]string) { f["proc/sys/kernel/osrelease"] = "5.10.0-8\n" }, nil,
			"kernel", verdictWarn, "apt-get install -y linux-image-amd64",
		},
		{
			"no pidfd", nil, func(p *patient) { p.pidfd = func() error { return syscall.ENOSYS } },
			"kernel", verdictFail, "apt-get install -y linux-image-amd64",
		},
		{"no root", nil, func(p *patient) { p.euid = 1000 }, "permissions", verdictWarn, "sudo warren serve"},
		{
			"no cores", func(f map[string]string) { delete(f, "sys/devices/system/cpu/present") }, nil,
			"cores", verdictFail, "mount -t sysfs",
		},
		{
			"offline", func(f map[string]string) { f["sys/devices/system/cpu/online"] = "0\n" }, nil,
			"cores", verdictWarn, "warren write cores/ctl online 1",
		},
		{
			"no v2", func(f map[string]string) { f["proc/self/mountinfo"] = "27 1 254:0 / / rw - ext4 /dev/vda rw\n" }, nil,
			"cgroups", verdictWarn, "mkdir -p /sys/fs/cgroup/unified",
		},
		{
			"cgroup of others", func(f map[string]string) { delete(f, "sys/fs/cgroup/warren.service/cgroup.procs") },
			func(p *patient) { p.euid = 1000 }, "cgroups", verdictWarn, "systemd-run --user --scope -p Delegate=yes",
		},
		{
			"cpuset on v1", func(f map[string]string) { f["sys/fs/cgroup/cgroup.controllers"] = "hugetlb\n" }, nil,
			"cpuset", verdictWarn, "sed -i",
		},
		{"no fuse", func(f map[string]string) { delete(f, "dev/fuse") }, nil, "fuse", verdictWarn, "modprobe fuse"},
		{
			"fuse of others", nil, func(p *patient) { p.openable = func(string) error { return syscall.EACCES } },
			"fuse", verdictWarn, "chmod 0666 /dev/fuse",
		},
		{
			"no fusermount", nil, func(p *patient) { p.find = func(string) (string, error) { return "", errors.New("no") } },
			"fusermount3", verdictWarn, "apt-get install -y fuse3",
		},
		{
			"commented out", func(f map[string]string) { f["etc/fuse.conf"] = "#user_allow_other\n" },
			func(p *patient) { p.euid = 1000 }, "allow_other", verdictWarn, "echo user_allow_other >>/etc/fuse.conf",
		},
		{
			"no compiler", nil, func(p *patient) { p.compiles = func() error { return errors.New("no gcc: as root, x") } },
			"riscv", verdictWarn, "apt-get install -y gcc-riscv64-unknown-elf",
		},
		{"no 9p", func(f map[string]string) { delete(f, "proc/filesystems") }, nil, "9p", verdictOK, ""},
		{
			"closed run", nil, func(p *patient) { p.openable = func(string) error { return syscall.EROFS } },
			"socket", verdictFail, "install -d -o 0 /run",
		},
		{
			"closed state", nil, func(p *patient) { p.openable = func(string) error { return syscall.EROFS } },
			"state", verdictFail, "install -d -o 0 /var/lib/warren",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := healthy()
			if test.hurt != nil {
				test.hurt(files)
			}
			p := patientOf(t, files)
			if test.change != nil {
				test.change(p)
			}
			for _, f := range p.examine() {
				if f.What != test.what {
					continue
				}
				if f.Verdict != test.verdict || !strings.HasPrefix(f.Mend, test.mend) || f.Effect == "" {
					t.Errorf("%+v, want %s and mend %q", f, test.verdict, test.mend)
				}
				return
			}
			t.Errorf("no check %q", test.what)
		})
	}
}

func TestDoctorPrints(t *testing.T) {
	findings := []finding{
		good("kernel", "Linux 6"),
		{verdictFail, "cores", "none", "nothing runs", "buy some"},
	}
	var text, js bytes.Buffer
	if err := printFindings(&text, findings, false); err != nil {
		t.Fatal(err)
	}
	want := "ok   kernel: Linux 6\nFAIL cores: none; nothing runs\n     mend: buy some\n"
	if text.String() != want {
		t.Errorf("%q, want %q", text.String(), want)
	}
	if err := printFindings(&js, findings, true); err != nil {
		t.Fatal(err)
	}
	var back []finding
	if err := json.Unmarshal(js.Bytes(), &back); err != nil || len(back) != 2 || back[1] != findings[1] {
		t.Errorf("%s: %v", js.String(), err)
	}
}

// On the host of the tests doctor says something of everything, and fails on
// nothing that these tests do without.
func TestDoctorHere(t *testing.T) {
	findings := thisPatient().examine()
	for _, f := range findings {
		if f.Found == "" || f.Verdict != verdictOK && f.Effect == "" {
			t.Errorf("%+v", f)
		}
	}
	if findings[0].What != "kernel" || findings[0].Verdict == verdictFail {
		t.Errorf("%+v", findings[0])
	}
}
