// Package l4 is the top of the stack: it sorts the packets of a batch to the translators of
// TCP, UDP and ICMP and to the services that configure a guest, which stand in packages
// of their own below it, and says what translators need of the layers below.
//
// Package l3 is below; the engine puts the layers together. It imports l3, nat and no
// translator.
package l4
