// Package nstest runs tests in network namespaces of their own. Only tests import it.
package nstest
