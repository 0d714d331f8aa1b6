// accountservice: a plain HTTP handler. It knows where to listen and two URLs, and nothing of agents.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func get(url string) (map[string]string, error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("%s answered %d %s", url, resp.StatusCode, body)
	}
	reply := map[string]string{}
	if err == nil {
		err = json.Unmarshal(body, &reply)
	}
	return reply, err
}

func account(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, "/accounts/")
	quote, err := get(os.Getenv("QUOTES_URL") + "/api/quote?id=" + id)
	if err != nil {
		http.Error(w, err.Error(), 502)
		return
	}
	image, err := get(os.Getenv("IMAGES_URL") + "/" + id)
	if err != nil {
		http.Error(w, err.Error(), 502)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"id": id, "name": "Person " + id, "servedBy": os.Getenv("INSTANCE"),
		"quote": quote["quote"], "quotedBy": quote["servedBy"], "image": image["image"]})
}

func main() {
	http.HandleFunc("/accounts/", account)
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Getenv("LISTEN"), nil))
	os.Exit(1)
}
