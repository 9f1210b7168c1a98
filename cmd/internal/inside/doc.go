// Package inside keeps one thread in the guest's network namespace, for as long as the
// program runs. It opens sockets there ahead of need, so that no worker on the data path ever
// changes its namespace, and does whatever else has to be done there.
//
// Package stage makes it, before the sandbox takes away the right to enter a namespace, and
// gives it to the engine. It imports sock; no layer may import it.
package inside
