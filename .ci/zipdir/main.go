// Zipdir writes the files below a folder into a zip, named by their paths in it: zipdir FOLDER ZIP.
package main

import (
	"archive/zip"
	"errors"
	"io"
	"io/fs"
	"log"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: zipdir FOLDER ZIP")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(folder, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	z := zip.NewWriter(f)
	// Not Writer.AddFS: a module's zip may have no entries for folders.
	tree := os.DirFS(folder)
	err = fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		w, err := z.Create(path)
		if err != nil {
			return err
		}
		in, err := tree.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, in)
		return errors.Join(err, in.Close())
	})
	if err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}
