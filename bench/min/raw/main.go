// Raw is the smallest program without a client library.
package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
)

func main() {
	if len(os.Args) < 2 {
		return
	}
	resp, err := http.Post(os.Args[1], "application/json", strings.NewReader("{}"))
	if err != nil {
		os.Exit(1)
	}
	var v map[string]any
	_ = json.NewDecoder(resp.Body).Decode(&v)
	_ = resp.Body.Close()
}
