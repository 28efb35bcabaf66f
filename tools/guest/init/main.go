// Init is the first process of a guest: it mounts what a Linux program
// expects, loads the kernel modules that the image holds, runs /script and
// tells the host how it went. It goes by what package guest put into the
// image, and by nothing else.
//
// Two virtio-serial ports lead to the host. What the script prints goes to
// the port guest.output as it comes. The port guest.control gets lines:
//
//	script      the script begins
//	exit N      it has ended
//
// and the host writes a line "stuck" there when /stuck is to be run, as the
// script has printed nothing for long.
//
// Under the name relay the program is a tool for scripts: see relay.go.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if filepath.Base(os.Args[0]) == "relay" {
		os.Exit(relay(os.Args[1:]))
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init: is for the first process of a guest")
		os.Exit(2)
	}
	// What goes wrong is told on the console, of which the host has the end.
	if err := boot(); err != nil {
		fmt.Println("guest:", err)
	}
	unix.Sync()
	time.Sleep(10 * time.Millisecond) // the console's last line is on its way
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Println("guest: power off:", err)
}

// boot makes a system of the image and runs the script in it.
func boot() error {
	for _, step := range []func() error{mountAll, loadModules, loopback, setHostname} {
		if err := step(); err != nil {
			return err
		}
	}
	control, err := openPort("guest.control")
	if err != nil {
		return err
	}
	output, err := openPort("guest.output")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(control, "script"); err != nil {
		return err
	}
	status, err := runScript(control, output)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(control, "exit", status)
	return err
}
