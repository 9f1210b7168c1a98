package policy

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
)

// Where a filter finds things (struct seccomp_data).
const (
	offNumber = 0
	offArch   = 4
)

// firstX32 is the first number of the calls that 64-bit x86 has a second time, with 32-bit
// pointers.
const firstX32 = 0x40000000

// A span is the system calls from the number first up to the next span. They have the same
// end: an action, or that of a choice.
type span struct {
	first  uint32
	action seccomp.Action
	choice *choice // nil if action says it
}

// listed are the calls of a that are on a list, in the order of their numbers.
func listed(a *arch.Info) ([]span, error) {
	var out []span
	var err error
	add := func(name string, s span) {
		n, ok := a.SyscallNames[name]
		if !ok {
			return // that each name is known somewhere is for the test
		}
		s.first = uint32(n)
		if slices.ContainsFunc(out, func(o span) bool { return o.first == s.first }) {
			err = fmt.Errorf("%s is listed twice", name)
		}
		out = append(out, s)
	}
	for _, n := range allowed {
		add(n, span{action: allow})
	}
	for _, n := range fatal {
		add(n, span{action: kill})
	}
	for i := range choices {
		add(choices[i].name, span{choice: &choices[i]})
	}
	slices.SortFunc(out, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	return out, err
}

// spans are all numbers of system calls there are.
func spans(a *arch.Info) ([]span, error) {
	calls, err := listed(a)
	if err != nil {
		return nil, err
	}
	out := []span{{action: unknown}}
	add := func(s span) {
		last := &out[len(out)-1]
		switch {
		case last.first == s.first: // an empty one
			*last = s
		case s.choice != nil || last.choice != nil || s.action != last.action:
			out = append(out, s)
		}
	}
	for _, c := range calls {
		add(c)
		add(span{first: c.first + 1, action: unknown})
	}
	if a.ID == arch.X86_64.ID {
		add(span{first: firstX32, action: kill})
	}
	return out, nil
}

// Program makes the filter of a: a binary search for the call's number, and at its end, if
// need be, a look at the arguments.
func Program(a *arch.Info) ([]bpf.RawInstruction, error) {
	all, err := spans(a)
	if err != nil {
		return nil, err
	}
	body, err := search(all)
	if err != nil {
		return nil, err
	}
	// We have no code of another architecture, such as the 32-bit calls of a 64-bit machine.
	head := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(a.ID), SkipTrue: 1},
		bpf.RetConstant{Val: uint32(kill)},
		bpf.LoadAbsolute{Off: offNumber, Size: 4},
	}
	return bpf.Assemble(slices.Concat(head, body))
}

// search finds the span of the number in the accumulator. The library could place the jumps,
// but gets those over more than 255 instructions wrong where there are several.
func search(s []span) ([]bpf.Instruction, error) {
	if len(s) == 1 {
		return end(&s[0])
	}
	mid := len(s) / 2
	lower, err := search(s[:mid])
	if err != nil {
		return nil, err
	}
	upper, err := search(s[mid:])
	if err != nil {
		return nil, err
	}
	first := s[mid].first
	jump := []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: first, SkipTrue: uint8(len(lower))}}
	if len(lower) > math.MaxUint8 {
		jump = []bpf.Instruction{
			bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: first, SkipFalse: 1},
			bpf.Jump{Skip: uint32(len(lower))},
		}
	}
	return slices.Concat(jump, lower, upper), nil
}

// end is the end of the calls of s.
func end(s *span) ([]bpf.Instruction, error) {
	if s.choice == nil {
		return []bpf.Instruction{bpf.RetConstant{Val: uint32(s.action)}}, nil
	}
	p := seccomp.NewProgram()
	then, otherwise := p.NewLabel(), p.NewLabel()
	// Conditions that don't hold are no match to the library, and would let it compare the
	// numbers of further calls with the argument that it has loaded. Here, only returns follow.
	seccomp.SyscallWithConditions{Num: s.first, Conditions: s.choice.when}.Assemble(&p, false, then, otherwise)
	p.SetLabel(then)
	p.Ret(s.choice.then)
	p.SetLabel(otherwise)
	p.Ret(s.choice.otherwise)
	return p.Assemble()
}
