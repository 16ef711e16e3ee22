# net/http: ruby ruby.rb URL VARIANT
require 'json'
require 'net/http'
require 'stringio'

url, variant = ARGV
uri = URI(url)
text = File.read('body.json', encoding: 'UTF-8')
request = Net::HTTP::Post.new(uri)
case variant
when 'json'
  request['Content-Type'] = 'application/json'
  request.body = text
when 'gb18030'
  request['Content-Type'] = 'application/json; charset=GB18030'
  request.body = text.encode('GB18030')
when 'form'
  request.set_form_data(JSON.parse(text))
when 'stream'
  request['Transfer-Encoding'] = 'chunked'
  request.body_stream = StringIO.new(text)
else
  abort "no variant #{variant}"
end
Net::HTTP.start(uri.host, uri.port) { |http| http.request(request) }
