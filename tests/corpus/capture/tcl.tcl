# Tcl's http: tclsh tcl.tcl URL VARIANT
package require http
lassign $argv url variant
# As it is but for the system's release, which says where the recording was made.
regsub {Linux [^)]*} [http::config -useragent] {Linux 6.1} agent
http::config -useragent $agent
set file [open body.json]
fconfigure $file -encoding utf-8
set text [read -nonewline $file]
switch $variant {
    plain {
        http::wait [http::geturl $url -query [encoding convertto utf-8 $text]]
    }
    gbk {
        http::wait [http::geturl $url -type "application/json; charset=gbk" -query [encoding convertto cp936 $text]]
    }
    form {
        http::wait [http::geturl $url -query [http::formatQuery param $text]]
    }
}
