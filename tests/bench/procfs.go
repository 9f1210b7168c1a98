package main

// What /proc tells about processes (proc_pid_stat(5), proc_pid_smaps(5)).

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// tick is the unit of CPU time in /proc, in seconds: USER_HZ is 100 on all of Linux's ports.
const tick = 0.01

// stat is what /proc/PID/stat says.
type stat struct {
	pid, parent int
	comm        string  // name of the program, at most 15 bytes
	cpu         float64 // user and system time of the process, in seconds
}

// parseStat parses the contents of /proc/PID/stat. The name may contain anything, so it ends
// at the last parenthesis.
func parseStat(b []byte) (s stat, err error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return s, errors.New("no name in parentheses")
	}
	s.comm = string(b[open+1 : end])
	fields := strings.Fields(string(b[end+1:])) // from the third one, the state, on
	if len(fields) < 13 {
		return s, fmt.Errorf("only %d fields", len(fields)+2)
	}
	var user, system int
	for at, to := range map[int]*int{1: &s.parent, 11: &user, 12: &system} {
		if *to, err = strconv.Atoi(fields[at]); err != nil {
			return s, fmt.Errorf("field %d: %w", at+3, err)
		}
	}
	s.cpu = float64(user+system) * tick
	s.pid, err = strconv.Atoi(string(bytes.TrimSpace(b[:open])))
	return s, err
}

// parsePSS finds the proportional set size in the contents of /proc/PID/smaps_rollup, in MiB.
func parsePSS(b []byte) (float64, error) {
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			return float64(kib) / 1024, err
		}
	}
	return 0, errors.New("no line with Pss")
}

// processes is a snapshot of all of them, by PID.
type processes map[int]stat

func readProcesses() processes {
	all := make(processes)
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			continue // it has ended meanwhile
		}
		if s, err := parseStat(b); err == nil {
			all[s.pid] = s
		}
	}
	return all
}

// tree is the process root and its descendants.
func (all processes) tree(root int) (out []stat) {
	if s, ok := all[root]; ok {
		out = append(out, s)
	}
	for _, s := range all {
		if s.parent == root && s.pid != root {
			out = append(out, all.tree(s.pid)...)
		}
	}
	return out
}

// translator is the tree of root without the command that keeps a namespace open.
func (all processes) translator(root int) (out []stat) {
	for _, s := range all.tree(root) {
		if s.comm != holder {
			out = append(out, s)
		}
	}
	return out
}

// cpuOf is the CPU time of the translator root, in seconds.
func cpuOf(root int) (sum float64) {
	for _, s := range readProcesses().translator(root) {
		sum += s.cpu
	}
	return sum
}

// memoryOf is the proportional set size of the translator root, in MiB.
func memoryOf(root int) (sum float64, err error) {
	for _, s := range readProcesses().translator(root) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", s.pid))
		if err != nil {
			return 0, err
		}
		mib, err := parsePSS(b)
		if err != nil {
			return 0, fmt.Errorf("memory of %s: %w", s.comm, err)
		}
		sum += mib
	}
	return sum, nil
}
