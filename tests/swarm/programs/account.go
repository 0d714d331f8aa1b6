// account: a plain Go handler with a static answer, as in the first part of the story that this product comes from.
package main

import (
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/accounts/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"id":"7","name":"Person_7"}`))
	})
	if http.ListenAndServe("0.0.0.0:6767", nil) != nil {
		os.Exit(1)
	}
}
