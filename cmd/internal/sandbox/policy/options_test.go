package policy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// setters are the functions that set a socket option, by the place of its name among their
// arguments.
var setters = map[string]int{"SetInt": 2, "SetBytes": 2, "SetsockoptInt": 2, "SetsockoptByte": 2, "SetsockoptString": 2}

// TestOptions compares the socket options that the layers set with those that are allowed: few
// of the callers look at the result, so that one missing would cost something and tell nobody.
func TestOptions(t *testing.T) {
	listed := make(map[string]bool)
	each(t, "sockets.go", func(n ast.Node) {
		if name, ok := unixName(n); ok {
			listed[name] = true
		}
	})
	found := 0
	for _, dir := range []string{"l4", "link"} {
		err := filepath.WalkDir("../../../../"+dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			each(t, path, func(n ast.Node) {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return
				}
				f, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return
				}
				i, ok := setters[f.Sel.Name]
				if !ok || i >= len(call.Args) {
					return
				}
				if name, ok := unixName(call.Args[i]); ok {
					found++
					if !listed[name] {
						t.Errorf("%s sets unix.%s, which is not on the list of sockets.go", path, name)
					}
				}
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 20 {
		t.Errorf("found only %d options that are set", found)
	}
}

// each calls f for every node of a file of source.
func each(t *testing.T, path string, f func(ast.Node)) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		if n != nil {
			f(n)
		}
		return true
	})
}

// unixName is the name of a constant of package unix.
func unixName(n ast.Node) (string, bool) {
	s, ok := n.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	pkg, ok := s.X.(*ast.Ident)
	return s.Sel.Name, ok && pkg.Name == "unix"
}
