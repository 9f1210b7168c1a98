package stage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// command is a program to execute, looked up already.
type command struct {
	Name string   // as the user wrote it, for messages
	Path string   // the file to execute
	Args []string // argv, Args[0] included
}

// exitError is an error with the exit status that it calls for.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// statusOf is the exit status that err calls for.
func statusOf(err error) int {
	if e := (*exitError)(nil); errors.As(err, &e) {
		return e.code
	}
	return exitFailure
}

func cantExecute(name string, err error) error {
	code := exitNotExecutable
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		code = exitNotFound
	}
	return &exitError{code, fmt.Errorf("can't execute %s: %w", name, err)}
}

// findCommand looks words up as execvp(3) does. With no words, it is the user's shell, as
// a login shell.
func findCommand(words []string) (command, error) {
	if len(words) == 0 {
		sh := os.Getenv("SHELL")
		if sh == "" {
			sh = "/bin/sh"
		}
		c, err := findCommand([]string{sh})
		c.Args = []string{"-" + filepath.Base(sh)}
		return c, err
	}
	c := command{Name: words[0], Args: words}
	if strings.Contains(c.Name, "/") {
		c.Path = c.Name
		if err := executable(c.Path); err != nil {
			return c, cantExecute(c.Name, err)
		}
		return c, nil
	}
	path, ok := os.LookupEnv("PATH")
	if !ok {
		path = "/bin:/usr/bin"
	}
	var found error = unix.ENOENT
	for _, dir := range filepath.SplitList(path) {
		if c.Name == "" {
			break
		}
		if dir == "" {
			dir = "."
		}
		// Not filepath.Join, which would turn ./x into a bare x.
		c.Path = dir + "/" + c.Name
		err := executable(c.Path)
		if err == nil {
			return c, nil
		}
		// A folder that we may not search says nothing of what is in it.
		if errors.Is(err, unix.EACCES) && unix.Access(c.Path, unix.F_OK) == nil {
			found = err // better than "not found", unless there is another one further on
		}
	}
	return c, cantExecute(c.Name, found)
}

// executable says why the file at path can't be executed, or nil.
func executable(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return unix.EACCES
	}
	return unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS)
}

// exec turns this process into the command, with the environment and resource limits
// that the user gave us. It returns only if that fails.
func (c command) exec() error {
	err := syscall.Exec(c.Path, c.Args, os.Environ())
	if errors.Is(err, unix.ENOEXEC) {
		// A script without an interpreter line is one for the shell, as for execvp(3).
		args := append([]string{"sh", c.Path}, c.Args[1:]...)
		err = syscall.Exec("/bin/sh", args, os.Environ())
	}
	return cantExecute(c.Name, err)
}
