// Package logx writes the program's messages: a handler of log/slog that prints plain
// lines to standard error, in the manner of a command-line tool, and a limit for lines
// that a guest or the network can cause.
//
// Callers: main, the stages of the process, and the engine. The layers do not log; they
// count.
//
// Imports: the standard library and the system's write call. Nothing of this program.
package logx
