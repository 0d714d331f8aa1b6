// GET and POST by net/http's default client, one line each.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func show(resp *http.Response, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, strings.TrimSpace(string(body)))
}

func main() {
	show(http.Get(os.Args[1]))
	show(http.Post(os.Args[1], "text/plain", strings.NewReader(strings.Repeat("x", 20000))))
}
