// Package arch holds the module to its architecture: it reads every source file and fails
// on an import, a file or a name that the rules forbid. The rules are the table in
// rules_test.go; ARCHITECTURE.md says why they are there.
//
// This package imports nothing of the product.
package arch
