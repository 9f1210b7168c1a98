// Package logx writes the program's messages: a handler of log/slog that prints plain
// lines in the manner of a command-line tool, places for them to go to (standard error, a
// file of limited size, the system's log), and a limit for lines that a guest or the network
// can cause.
//
// Callers: main, the stages of the process, and the engine. The layers do not log; they
// count.
//
// A file or the system's log is opened by a descriptor in one stage of the process and
// written to in another one, which can't open anything any more.
//
// Imports: the standard library and the system's calls. Nothing of this program.
package logx
