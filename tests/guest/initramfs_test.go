package guest

// The guests' first and only file system: an archive in cpio's "newc" format, which the
// kernel unpacks into a tmpfs. Each entry is a header of hexadecimal numbers, the name and
// the content, the latter two padded to 4 bytes. See the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst.

import (
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"passt/tests/world"
)

// kernelFiles is an unpacked kernel package.
type kernelFiles struct {
	image   string // to boot
	modules string // directory of its modules
}

// findKernel looks for a kernel package unpacked in dir.
func findKernel(dir string) (kernelFiles, error) {
	images, _ := filepath.Glob(dir + "/boot/vmlinuz-*")
	if len(images) == 0 {
		return kernelFiles{}, fmt.Errorf("there is no kernel under %s: run \"make guest-kernel\"", dir)
	}
	image := images[len(images)-1]
	_, version, _ := strings.Cut(filepath.Base(image), "-")
	for _, lib := range []string{"/lib/modules/", "/usr/lib/modules/"} {
		if m := dir + lib + version; isDir(m) {
			return kernelFiles{image, m}, nil
		}
	}
	return kernelFiles{}, fmt.Errorf("there are no modules of %s", image)
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// guestModules are loaded in the guest at the start, after the modules that they need. What a
// kernel has built in, there is no file of.
var guestModules = []string{"virtio_pci", "virtio_console", "virtio_net", "tun", "dummy", "vsock_loopback"}

// guestPrograms are those of this machine that guests have, if they are installed. busybox
// has the rest.
var guestPrograms = []string{"dhclient", "iperf3"}

// makeInitramfs writes the archive.
func makeInitramfs(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	a := &archive{w: bufio.NewWriterSize(f, 1<<20), has: make(map[string]bool)}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, d := range []string{"dev", "proc", "sys", "tmp", "run", "etc", "bin", "var/lib/dhcp", "usr/share/udhcpc"} {
		a.dir(d)
	}
	a.copy("init", self)
	a.add("bin/tool", fs.ModeSymlink|0o777, []byte("/init"))
	a.copy("bin/passt", world.Binary)
	a.add("bin/sh", fs.ModeSymlink|0o777, []byte("busybox"))
	a.program("busybox")
	for _, p := range guestPrograms {
		a.program(p)
	}
	a.add("bin/lease-script", 0o755, []byte(leaseScript))
	a.add("etc/dhclient.conf", 0o644, []byte(dhclientConf))
	a.add("etc/passwd", 0o644, []byte("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"))
	a.add("etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n"))
	var order []string
	for _, m := range guestModules {
		if order, err = moduleOrder(order, m); err != nil {
			return err
		}
	}
	for i, m := range order {
		a.copy(fmt.Sprintf("modules/%02d-%s", i, filepath.Base(m)), m)
	}
	a.add("TRAILER!!!", 0, nil)
	return errors.Join(a.err, a.w.Flush())
}

// archive writes cpio entries. After an error, it does nothing.
type archive struct {
	w   *bufio.Writer
	has map[string]bool
	ino int
	err error
}

// dir adds a directory, and those above it.
func (a *archive) dir(name string) {
	if name == "." || a.has[name] {
		return
	}
	a.add(name, fs.ModeDir|0o755, nil)
}

// add adds an entry; the content of a symbolic link is its target.
func (a *archive) add(name string, mode fs.FileMode, content []byte) {
	if a.err != nil || a.has[name] {
		return
	}
	a.has[name] = true
	a.dir(filepath.Dir(name))
	bits := 0o100000 | uint32(mode.Perm())
	switch {
	case mode.IsDir():
		bits = 0o040000 | uint32(mode.Perm())
	case mode&fs.ModeSymlink != 0:
		bits = 0o120000 | uint32(mode.Perm())
	}
	a.ino++
	// ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
	_, a.err = fmt.Fprintf(a.w, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.ino, bits, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
	a.pad(110, append([]byte(name), 0))
	a.pad(0, content)
}

// pad writes b, and zeros up to a multiple of 4 bytes counted from before bytes ahead of it.
func (a *archive) pad(before int, b []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(append(b[:len(b):len(b)], make([]byte, -(before+len(b))&3)...))
	}
}

// copy adds a file of this machine as an executable.
func (a *archive) copy(name, from string) {
	b, err := os.ReadFile(from)
	if err != nil && a.err == nil {
		a.err = err
	}
	a.add(name, 0o755, b)
}

// program adds an installed program and the libraries that it needs, where it looks for them.
func (a *archive) program(name string) {
	if path, err := exec.LookPath(name); err == nil {
		a.copy("bin/"+name, path)
		a.libraries(path)
	}
}

// libraries adds what an executable or library needs to run.
func (a *archive) libraries(path string) {
	f, err := elf.Open(path)
	if err != nil {
		if a.err == nil {
			a.err = fmt.Errorf("%s: %w", path, err)
		}
		return
	}
	defer f.Close()
	if s := f.Section(".interp"); s != nil {
		if b, err := s.Data(); err == nil {
			loader := strings.TrimRight(string(b), "\x00")
			a.copy(loader[1:], loader)
		}
	}
	libs, _ := f.ImportedLibraries() // none in a static program
	for _, lib := range libs {
		for _, dir := range []string{"/lib/x86_64-linux-gnu/", "/usr/lib/x86_64-linux-gnu/", "/lib64/", "/usr/lib64/", "/lib/"} {
			if _, err := os.Stat(dir + lib); err != nil {
				continue
			}
			if to := "lib/" + lib; !a.has[to] { // every build of the loader looks there
				a.copy(to, dir+lib)
				a.libraries(dir + lib)
			}
			break
		}
	}
}

// moduleOrder appends the file of a module, after those that it needs, to those already there.
func moduleOrder(order []string, name string) ([]string, error) {
	file := ""
	err := filepath.WalkDir(kernel.modules, func(path string, d fs.DirEntry, err error) error {
		base, _, _ := strings.Cut(filepath.Base(path), ".ko")
		if err == nil && !d.IsDir() && strings.ReplaceAll(base, "-", "_") == strings.ReplaceAll(name, "-", "_") {
			file = path
			return fs.SkipAll
		}
		return err
	})
	if err != nil || file == "" {
		return order, err
	}
	if strings.HasSuffix(file, ".xz") {
		plain := filepath.Join(world.Scratch, strings.TrimSuffix(filepath.Base(file), ".xz"))
		b, err := exec.Command("xz", "-dc", file).Output()
		if err != nil {
			return order, fmt.Errorf("xz -dc %s: %w", file, err)
		}
		if err := os.WriteFile(plain, b, 0o644); err != nil {
			return order, err
		}
		file = plain
	}
	for _, f := range order {
		if f == file {
			return order, nil
		}
	}
	needed, err := moduleNeeds(file)
	if err != nil {
		return order, err
	}
	for _, n := range needed {
		if order, err = moduleOrder(order, n); err != nil {
			return order, err
		}
	}
	return append(order, file), nil
}

// moduleNeeds reads the names of the modules that a module's file says it depends on.
func moduleNeeds(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer f.Close()
	s := f.Section(".modinfo")
	if s == nil {
		return nil, fmt.Errorf("%s: no .modinfo", file)
	}
	b, err := s.Data()
	if err != nil {
		return nil, err
	}
	for entry := range strings.SplitSeq(string(b), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok && list != "" {
			return strings.Split(list, ","), nil
		}
	}
	return nil, nil
}
