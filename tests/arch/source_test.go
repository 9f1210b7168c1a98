package arch

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// file is what the rules look at in one source file.
type file struct {
	dir     string // of the package, slash-separated, relative to the module
	name    string
	pkg     string   // as in the package clause
	imports []string // paths, the module's own without "passt/" and with "./"
	uses    []string // "package.Name" of each selector on an imported package, by import path
	doc     bool     // has a package comment
	lines   int
}

// test reports whether the file belongs to tests only: packages for the tests of others are
// named so, or are the devices that stand in for real ones.
func (f *file) test() bool {
	if strings.HasSuffix(f.dir, "test") || under(f.dir, "link/mem", "link/fault") {
		return true
	}
	return strings.HasSuffix(f.name, "_test.go") || f.dir == "tests" || strings.HasPrefix(f.dir, "tests/")
}

func (f *file) String() string { return path.Join(f.dir, f.name) }

// module is the name in go.mod.
const module = "passt"

// parse reads one source file.
func parse(dir, name string, src []byte) (*file, error) {
	tree, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path.Join(dir, name), err)
	}
	f := &file{dir: dir, name: name, pkg: tree.Name.Name, doc: tree.Doc != nil, lines: bytes.Count(src, []byte("\n"))}
	named := make(map[string]string) // local name to import path
	for _, imp := range tree.Imports {
		p, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			return nil, err
		}
		local := path.Base(p)
		if imp.Name != nil {
			local = imp.Name.Name
		}
		named[local] = p
		if p == module || strings.HasPrefix(p, module+"/") {
			p = "." + strings.TrimPrefix(p, module)
		}
		f.imports = append(f.imports, p)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := s.X.(*ast.Ident); ok && named[id.Name] != "" {
				f.uses = append(f.uses, named[id.Name]+"."+s.Sel.Name)
			}
		}
		return true
	})
	return f, nil
}

// load reads every source file of the module.
func load(t *testing.T) []*file {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var files []*file
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(p))
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(rel), name, src)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
