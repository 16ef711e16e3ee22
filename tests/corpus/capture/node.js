// Node's http and its fetch (undici): node node.js URL VARIANT
const fs = require('fs');
const http = require('http');
const [url, variant] = process.argv.slice(2);
const text = fs.readFileSync('body.json', 'utf8');

async function main() {
  if (variant === 'fetch') {
    await fetch(url, {method: 'POST', body: text, headers: {'Content-Type': 'application/json'}});
  } else if (variant === 'fetch-text') {
    // Without a type of its own, fetch says text/plain.
    await fetch(url, {method: 'POST', body: text});
  } else if (variant === 'fetch-form-data') {
    const form = new FormData();
    Object.entries(JSON.parse(text)).forEach(([name, value]) => form.set(name, value));
    await fetch(url, {method: 'POST', body: form});
  } else if (variant === 'fetch-search-params') {
    await fetch(url, {method: 'POST', body: new URLSearchParams({strInJson: text})});
  } else if (variant === 'http-chunked') {
    // Without a length, http.request sends chunks; and no Content-Type at all.
    const request = http.request(url, {method: 'POST'}, (answer) => answer.resume());
    request.write(text.slice(0, 100));
    request.end(text.slice(100));
  } else if (variant === 'http-characters') {
    // The classic mistake: a length in characters, of a body in bytes.
    const options = {method: 'POST', headers: {'Content-Type': 'application/json', 'Content-Length': text.length}};
    const request = http.request(url, options, (answer) => answer.resume());
    request.end(text);
  } else {
    throw new Error(`no variant ${variant}`);
  }
}
main();
