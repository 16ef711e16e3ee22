"""Python's own clients and requests: python.py URL VARIANT"""

import http.client
import pathlib
import sys
import urllib.parse
import urllib.request

url, variant = sys.argv[1:]
text = pathlib.Path("body.json").read_text(encoding="utf-8")
place = urllib.parse.urlsplit(url)

if variant == "http10":
    # What was written for Python 2 and the proxies of its day.
    http.client.HTTPConnection._http_vsn = 10
    http.client.HTTPConnection._http_vsn_str = "HTTP/1.0"
    connection = http.client.HTTPConnection(place.netloc)
    connection.request("POST", place.path, text.encode(), {"Content-Type": "application/json"})
    connection.getresponse().read()
elif variant == "http-client-gbk":
    connection = http.client.HTTPConnection(place.netloc)
    connection.request("POST", place.path, text.encode("gbk"), {"Content-Type": "application/json;charset=GBK"})
    connection.getresponse().read()
elif variant == "http-client-iterable":
    connection = http.client.HTTPConnection(place.netloc)
    connection.request("POST", place.path, iter([text[:50].encode(), text[50:].encode()]))
    connection.getresponse().read()
elif variant == "urllib":
    # Without a type of its own, urllib says that it is a form.
    urllib.request.urlopen(url, text.encode()).read()
elif variant == "urllib-fields":
    import json

    urllib.request.urlopen(url, urllib.parse.urlencode(json.loads(text)).encode()).read()
elif variant.startswith("requests"):
    import json
    import requests

    ways = {
        "requests-json": lambda: {"json": json.loads(text)},
        "requests-data": lambda: {"data": json.loads(text)},
        "requests-files": lambda: {"files": {"param": ("query.json", text.encode(), "application/json")}},
        "requests-generator": lambda: {"data": iter([text.encode()])},
        "requests-bytes": lambda: {"data": text.encode()},
    }
    requests.post(url, **ways[variant]())
else:
    raise SystemExit(f"no variant {variant}")
