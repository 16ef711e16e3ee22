// net/http: go run golang.go URL VARIANT
package main

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"os"
)

func main() {
	address, variant := os.Args[1], os.Args[2]
	text, err := os.ReadFile("body.json")
	check(err)
	var answer *http.Response
	switch variant {
	case "post":
		answer, err = http.Post(address, "application/json", bytes.NewReader(text))
	case "form":
		answer, err = http.PostForm(address, url.Values{"param": {string(text)}})
	case "reader":
		// A reader of unknown length is sent in chunks.
		answer, err = http.Post(address, "", io.MultiReader(bytes.NewReader(text[:40]), bytes.NewReader(text[40:])))
	default:
		panic(variant)
	}
	check(err)
	answer.Body.Close()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
