package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"passt/tests/world"
)

// link is an interface as "ip -j" prints it.
type link struct {
	Name  string   `json:"ifname"`
	MTU   int      `json:"mtu"`
	MAC   string   `json:"address"`
	Flags []string `json:"flags"`
}

// address is an address as "ip -j" prints it.
type address struct {
	Family    string `json:"family"`
	Local     string `json:"local"`
	Prefix    int    `json:"prefixlen"`
	Scope     string `json:"scope"`
	Tentative bool   `json:"tentative"`
	Dynamic   bool   `json:"dynamic"`
}

func (a address) String() string { return fmt.Sprintf("%s/%d", a.Local, a.Prefix) }

// route is a route as "ip -j" prints it.
type route struct {
	Dst     string   `json:"dst"`
	Gateway string   `json:"gateway"`
	Dev     string   `json:"dev"`
	Scope   string   `json:"scope"`
	PrefSrc string   `json:"prefsrc"`
	Proto   string   `json:"protocol"`
	Metric  int      `json:"metric"`
	Flags   []string `json:"flags"`
}

func (r route) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s via %q src %q metric %d", r.Dst, r.Gateway, r.PrefSrc, r.Metric))
}

func ipJSON[T any](n *world.NS, args ...string) (T, error) {
	var v T
	out, err := n.Run(5*time.Second, append([]string{"ip", "-j"}, args...)...)
	if err != nil {
		return v, err
	}
	if out == "" {
		return v, nil
	}
	return v, json.Unmarshal([]byte(out), &v)
}

// links returns all interfaces of a namespace, by name.
func links(t *testing.T, n *world.NS) map[string]link {
	t.Helper()
	l, err := ipJSON[[]link](n, "link")
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[string]link)
	for _, x := range l {
		m[x.Name] = x
	}
	return m
}

// addresses returns the addresses of an interface, link-local ones left out.
func addresses(n *world.NS, ifname string) ([]address, error) {
	l, err := ipJSON[[]struct {
		Info []address `json:"addr_info"`
	}](n, "addr", "show", "dev", ifname)
	if err != nil {
		return nil, err
	}
	var out []address
	for _, x := range l {
		for _, a := range x.Info {
			if a.Scope != "link" && a.Local != "" {
				out = append(out, a)
			}
		}
	}
	slices.SortFunc(out, func(a, b address) int { return cmp.Compare(a.String(), b.String()) })
	return out, nil
}

// addressList is addresses as strings.
func addressList(t *testing.T, n *world.NS, ifname string) []string {
	t.Helper()
	l, err := addresses(n, ifname)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range l {
		out = append(out, a.String())
	}
	return out
}

// routes returns the main table's routes of one family ("-4" or "-6") through an interface;
// IPv6 link-local and multicast ones are left out, the kernel makes them by itself.
func routes(t *testing.T, n *world.NS, family, ifname string) []route {
	t.Helper()
	l, err := ipJSON[[]route](n, family, "route", "show", "dev", ifname)
	if err != nil {
		t.Fatal(err)
	}
	l = slices.DeleteFunc(l, func(r route) bool { return strings.HasPrefix(r.Dst, "fe80::") || r.Dst == "multicast" })
	slices.SortFunc(l, func(a, b route) int { return cmp.Compare(a.String(), b.String()) })
	return l
}

// routeList is routes as strings.
func routeList(t *testing.T, n *world.NS, family, ifname string) []string {
	t.Helper()
	var out []string
	for _, r := range routes(t, n, family, ifname) {
		out = append(out, r.String())
	}
	return out
}

// defaultRoute returns the gateway of the default route of a family, "" if there is none.
func defaultRoute(t *testing.T, n *world.NS, family string) string {
	t.Helper()
	l, err := ipJSON[[]route](n, family, "route", "show", "default")
	if err != nil {
		t.Fatal(err)
	}
	if len(l) == 0 {
		return ""
	}
	return l[0].Gateway
}
