package conf

import (
	"net"
	"net/netip"

	"passt/nat/destspec"
	"passt/nat/portspec"
)

// Mode says which of the two programs this is.
type Mode uint8

// The two programs: passt serves a virtual machine, pasta a network namespace.
const (
	ModePasst Mode = iota
	ModePasta
)

// String returns the program's name.
func (m Mode) String() string {
	if m == ModePasta {
		return "pasta"
	}
	return "passt"
}

// VSock says where a guest may connect by vsock, and which one.
type VSock struct {
	CID  uint32 // context ID of the guest, or AnyCID
	Port uint32
}

// AnyCID stands for every context ID (VMADDR_CID_ANY, vsock(7)).
const AnyCID = 1<<32 - 1

// Options is the command line, parsed and checked, before anything of the host was
// looked at. It is written by Parse, NoEffect and NotYet, and read-only after that; it
// travels to later stages of the process (encoding/gob).
//
// Where an option was not given, its field has the zero value unless the comment says
// otherwise; pairs indexed by family have IPv4 at 0 and IPv6 at 1. Addresses have no zone.
type Options struct {
	Mode            Mode
	Foreground      bool
	Debug           bool // implied by Trace; of Debug and Quiet, the later option holds
	Trace           bool
	Quiet           bool
	LogFile         string
	LogSize         int64 // bytes; default 1 MiB
	RunAs           string
	Pcap            string
	PidFile         string
	ConfPath        string // -c, path of the control socket
	Stats           int    // seconds between event statistics at the least; 0 if not given
	ChrootFallback  bool
	VhostUser       bool
	PrintCaps       bool   // --print-capabilities
	RepairPath      string // "none" included
	MigrateExit     bool
	MigrateNoLinger bool

	MTU       int              // bytes; -1 if not given, 0 if assignment is off
	Addr      [2]netip.Prefix  // -a; Bits() == -1 where no prefix length was given
	Mask      int              // -n, of IPv4, as prefix length; -1 if not given
	MAC       net.HardwareAddr // -M, ours, as the guest sees it; 6 bytes
	Gateway   [2]netip.Addr
	Interface string // -i
	OutAddr   [2]netip.Addr
	OutIf     [2]string
	// OutAllow limits where the guest's flows may go over the link; no limit if not given.
	OutAllow destspec.Spec

	DNS        []netip.Addr // -D
	DNSNone    bool         // -D none; DNS is empty
	DNSForward [2]netip.Addr
	DNSHost    [2]netip.Addr
	Search     []string // -S, without trailing dots
	SearchNone bool     // -S none; Search is empty
	DHCPDNS    bool     // pass DNS servers by DHCP, DHCPv6 and RA; default by mode
	DHCPSearch bool     // likewise the search list
	Hostname   string
	FQDN       string

	NoTCP, NoUDP, NoICMP          bool
	NoDHCP, NoNDP, NoDHCPv6, NoRA bool // NoNDP is implied by NoICMP
	NoMapGW                       bool
	MapHostLoopback               [2]netip.Addr
	MapHostLoopbackNone           bool // "none" was given: a family without an address has no such mapping
	MapGuestAddr                  [2]netip.Addr
	MapGuestAddrNone              bool // likewise
	IPv4Only, IPv6Only            bool
	FreeBind                      bool

	TCPPorts, UDPPorts     portspec.Spec // -t, -u: into the guest
	TCPNsPorts, UDPNsPorts portspec.Spec // -T, -U: out of the namespace; pasta only

	// passt only
	Socket string
	FD     int  // -1 if not given
	OneOff bool // implied by FD
	VSock  *VSock

	// pasta only
	HostLoToNsLo, NoSplice bool
	SpliceOnly             bool
	IfName                 string // -I
	PID                    int    // existing namespace of a process; 0 if none
	UserNS                 string // path
	NetNS                  string // path; a name was made one in /run/netns
	NetNSOnly              bool   // implied by NetNS without UserNS
	NoNetNSQuit            bool
	ConfigNet              bool
	NoCopyAddrs            bool // implied for a family by its Addr, which does not set this
	NoCopyRoute            bool // implied for a family by its Gateway, which does not set this
	NsMAC                  net.HardwareAddr
	Command                []string // empty: the user's shell
}

// Joins says whether the guest is a network namespace that exists already.
func (o *Options) Joins() bool { return o.PID != 0 || o.NetNS != "" }
