-- LuaSocket: lua lua.lua URL VARIANT
local http = require("socket.http")
local ltn12 = require("ltn12")
local url, variant = arg[1], arg[2]
local text = io.open("body.json", "rb"):read("a")
if variant == "string" then
    http.request(url, text)
elseif variant == "source" then
    -- Without a length, chunks.
    http.request({url = url, method = "POST", source = ltn12.source.string(text)})
end
