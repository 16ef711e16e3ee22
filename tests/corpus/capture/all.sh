#!/bin/sh
# Records every stack again. Packages (Debian): curl wget python3 python3-requests nodejs openjdk-17-jdk-headless
# mono-mcs mono-runtime libmono-system-net-http4.0-cil libmono-i18n4.0-all php-cli php-curl perl libwww-perl ruby
# golang-go fp-compiler fp-units-fcl fp-units-net tcl lua5.4 lua-socket.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
record() { python3 record.py "$@"; }
json='Content-Type: application/json'

record curl-json curl -s -H "$json" --data-binary @body.json URL
record curl-default curl -s --data-binary @body.json URL
record curl-http10 curl -s --http1.0 -H "$json" --data-binary @body.json URL
record curl-expect curl -s -H "$json" -H 'Expect: 100-continue' --data-binary @body.json URL
record curl-stdin-chunked curl -s -X POST -T body.json -H "$json" -H 'Transfer-Encoding: chunked' URL
record curl-urlencode curl -s --data-urlencode param@body.json URL
record curl-form curl -s -F 'param=<body.json' URL
record curl-form-file curl -s -F 'data=@body.json;type=application/json' URL
record curl-form-fields curl -s -F phoneNum=13800138000 -F idNum=11010119000101009X -F patientName=张三 \
    -F hospitalId=H0001 -F unionId=U0001 -F studyType=0 -F dataFlag=1 -F usage=0 \
    -F 'studyDateBegin=2024-01-01 00:00:00' -F 'studyDateEnd=2025-12-31 23:59:59' URL
record curl-get-with-body curl -s -X GET -H "$json" --data-binary @body.json URL
record curl-no-type curl -s -H 'Content-Type:' --data-binary @body.json URL
record curl-json-option curl -s --json @body.json URL
record wget-json wget -q -O - --header="$json" --post-file=body.json URL
record wget-default wget -q -O - --post-file=body.json URL

for variant in http10 http-client-gbk http-client-iterable urllib urllib-fields requests-json requests-data \
    requests-files requests-generator requests-bytes; do
    record "python-$variant" python3 python.py URL "$variant"
done
for variant in fetch fetch-text fetch-form-data fetch-search-params http-chunked \
    http-characters; do
    record "node-$variant" node node.js URL "$variant"
done
javac -d "$work" Java.java
for variant in http-client http-client-h2c url-connection url-connection-plain url-connection-chunked \
    url-connection-gbk-form url-connection-write-chars url-connection-expect; do
    record "java-$variant" java -cp "$work" Java URL "$variant"
done
mcs -r:System.Net.Http.dll -out:"$work/Mono.exe" Mono.cs
for variant in web-client web-client-gb2312 web-client-values web-request-expect web-request-bom \
    web-request-http10 web-request-unicode http-client; do
    record "mono-$variant" mono "$work/Mono.exe" URL "$variant"
done
for variant in stream stream-form stream-gbk stream-http11 curl-array curl-escaped curl-wrapped; do
    record "php-$variant" php php.php URL "$variant"
done
for variant in tiny tiny-form lwp lwp-form-data; do
    record "perl-$variant" perl perl.pl URL "$variant"
done
for variant in json gb18030 form stream; do
    record "ruby-$variant" ruby ruby.rb URL "$variant"
done
GO111MODULE=off go build -o "$work/golang" golang.go
for variant in post form reader; do
    record "go-$variant" "$work/golang" URL "$variant"
done
fpc -v0 -FU"$work" -o"$work/lazarus" lazarus.pas
for variant in plain json http10 form; do
    record "lazarus-$variant" "$work/lazarus" URL "$variant"
done
for variant in plain gbk form; do
    record "tcl-$variant" tclsh tcl.tcl URL "$variant"
done
for variant in string source; do
    record "lua-$variant" lua5.4 lua.lua URL "$variant"
done
