package stage

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"passt/cmd/internal/logx"
	"passt/cmd/internal/userns"
)

// The value of argv[0] in the later stages, which is also what ps shows.
const (
	argSupervisor = "pasta: supervisor"
	argGuests     = "passt: supervisor"
	argUpdate     = "pasta: update"
	argTranslator = "pasta: translator"
	argNamespace  = "pasta: namespace"
	argGuest      = "passt: translator"
)

// Exit statuses of our own. Those of a command that can't be run are a shell's.
const (
	exitFailure       = 1
	exitNotExecutable = 126
	exitNotFound      = 127
)

// Dispatch runs the later stage that this process was started as, and then does not
// return. In the process that the user started it does nothing. It must be the first
// thing that main does.
func Dispatch() {
	var run func(*config, int) int
	switch os.Args[0] {
	case argSupervisor, argGuests:
		run = superviseInBackground
	case argUpdate:
		run = update
	case argTranslator:
		run = translate
	case argNamespace:
		run = enter
	case argGuest:
		run = serveGuest
	default:
		return
	}
	c, peer, err := inherit(os.Args[1:])
	if err != nil {
		fmt.Fprintf(logx.Stderr, "pasta: this name is for internal use: %v\n", err)
		os.Exit(exitFailure)
	}
	os.Exit(run(c, peer))
}

// spawner executes this program again, in namespaces of its choice, with the arguments argv
// and all descriptors that are not closed on exec.
type spawner func(argv []string) (pid int, err error)

// self is this program, whatever became of its path.
const self = "/proc/self/exe"

// forked is a spawner that creates namespaces as attr says.
func forked(attr *syscall.SysProcAttr) spawner {
	return func(argv []string) (int, error) {
		return syscall.ForkExec(self, argv, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: attr})
	}
}

// joined is a spawner that joins a user namespace as attr says.
func joined(attr userns.Attr) spawner {
	return func(argv []string) (int, error) { return userns.Start(self, argv, attr) }
}

// launch starts this program again as the stage that arg names, with the configuration c
// and peer, a socket to talk to us through; both stay open here. Standard input, output
// and error are passed on, and so are all other descriptors without close-on-exec.
func launch(arg string, c *config, peer int, start spawner) (pid int, err error) {
	var passed []int
	defer func() {
		for _, fd := range passed {
			unix.Close(fd)
		}
	}()
	pass := func(fd int) (n int) {
		if fd < 0 || err != nil {
			return -1
		}
		// A duplicate has no close-on-exec. It lives until the other process is started,
		// and nothing else forks meanwhile.
		if n, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD, 3); err == nil {
			passed = append(passed, n)
		}
		return n
	}
	d := *c
	for _, fd := range d.descriptors() {
		*fd = pass(*fd)
	}
	p := pass(peer)
	if err != nil {
		return 0, fmt.Errorf("pass a descriptor on: %w", err)
	}
	m, err := d.seal()
	if err != nil {
		return 0, err
	}
	defer unix.Close(m)
	m = pass(m)
	if err != nil {
		return 0, fmt.Errorf("pass a descriptor on: %w", err)
	}
	return start(append([]string{arg, strconv.Itoa(m), strconv.Itoa(p)}, c.Words...))
}

// inherit is launch's counterpart in the new process. From here on, what was passed is
// closed on exec.
func inherit(args []string) (c *config, peer int, err error) {
	if len(args) < 2 { // what follows is for ps to show
		return nil, -1, fmt.Errorf("%d arguments", len(args))
	}
	m, err := strconv.Atoi(args[0])
	if err != nil {
		return nil, -1, err
	}
	if peer, err = strconv.Atoi(args[1]); err != nil {
		return nil, -1, err
	}
	if c, err = unseal(m); err != nil {
		return nil, -1, err
	}
	unix.Close(m)
	unix.CloseOnExec(peer)
	for _, fd := range c.descriptors() {
		if *fd >= 0 {
			unix.CloseOnExec(*fd)
		}
	}
	return c, peer, nil
}
