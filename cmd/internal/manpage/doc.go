// Package manpage writes the manual pages of passt, pasta, qrap and passt's subcommands, in
// the man(7) macros. The options come from package conf's table and from the subcommands
// themselves; the rest is prose, and stands here.
//
// Caller: main, for the hidden command "passt man". "make install" and "make deb" run
// that, and so no page is kept in the tree.
//
// Imports: conf and the standard library.
package manpage
