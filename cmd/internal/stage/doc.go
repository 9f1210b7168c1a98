// Package stage is the process model: which processes the program consists of, how they
// are started, what each may do, and how they end.
//
// For a command in new namespaces (pasta [OPTION]... [COMMAND [ARG]...]) there are three,
// each the same program re-executed, since a Go program has threads from its start and
// can't move into a new user or PID namespace later:
//
//	start       what the user started. Looks at the host, opens the host's files, starts
//	            the translator, passes on signals, follows the host's network, and exits
//	            with the command's status.
//	translator  in a user, mount, IPC, UTS and PID namespace of its own, but in the host's
//	            network namespace. Starts the namespace stage, gets the tap from it, builds
//	            the engine, closes its sandbox and runs the engine.
//	namespace   in the new network, mount, PID, IPC and UTS namespaces, below the
//	            translator's user namespace. Makes and configures the tap, waits until the
//	            translator is ready, and then becomes the command by execve.
//
// For a namespace that exists (PID, --netns), the start stage opens it, and starts both other
// stages side by side, in the user namespace that is to be joined, if there is one. The
// namespace stage joins the network namespace, hands the tap to the translator and ends. The
// translator ends by itself when the path or the process that named the namespace is gone.
//
// A virtual machine (passt) needs two: the start stage makes the socket, or takes the
// descriptor that it was given, and the translator, with the same isolation, builds the
// engine on it. There is no command, and the end of the one guest, where there is to be only
// one, is the end of the program.
//
// Other than with a command or --foreground, the start stage is not what the user started:
// that executes the program again, in a session of its own, and waits. Once all is ready, which
// the start stage hears from the translator, it writes the pid file, lets go of the
// caller's descriptors, has the translator do so, and tells the first process, which exits
// with 0. Before, whatever ends one of them ends all, and the start stage says why.
//
// When the host's network has changed, the start stage tells the translator what the guest
// gets now. With --config-net, the namespace is changed too, by a stage of its own that ends
// with that.
//
// As root, all of them run as nobody, or as --runas says: the start stage changes before it
// creates a user namespace, or once all is ready; the others by the ID map of that namespace,
// by a change of IDs before joining one, or, where there is no user namespace to be in, by
// one before the engine is built.
//
// A stage is recognised by its argv[0], which holds a space, as no file of this program
// does. Configuration travels in a sealed memfd, which is never inherited by the
// command. Descriptors are passed at numbers that were free, not at 3 and up, so that the
// descriptors that the user passes to the command stay where they are.
//
// The end, whichever stage it begins in: the command is the first process of its PID
// namespace, and that is a child of the translator's, so the death of the translator ends
// all of it, by the kernel's hand. The translator notices the death of the start stage as
// the end of file of their socket.
//
// Caller: main, which calls Dispatch before anything else, and Run once the options are
// parsed. Never imported by a layer.
package stage
