-- The job in Lua: both fields encrypted, the request signed. Cryptography is OpenSSL's, called through FFI; keys are
-- expanded once. Fields are found as text: no JSON is parsed, nothing is checked.
local ffi = require "ffi"

ffi.cdef [[
typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
typedef struct evp_cipher_st EVP_CIPHER;
typedef struct hmac_ctx_st HMAC_CTX;
typedef struct evp_md_st EVP_MD;
EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void);
const EVP_CIPHER *EVP_aes_256_ecb(void);
int EVP_EncryptInit_ex(EVP_CIPHER_CTX *, const EVP_CIPHER *, void *, const unsigned char *, const unsigned char *);
int EVP_EncryptUpdate(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int);
int EVP_EncryptFinal_ex(EVP_CIPHER_CTX *, unsigned char *, int *);
HMAC_CTX *HMAC_CTX_new(void);
const EVP_MD *EVP_sha256(void);
int HMAC_Init_ex(HMAC_CTX *, const void *, int, const EVP_MD *, void *);
int HMAC_Update(HMAC_CTX *, const unsigned char *, size_t);
int HMAC_Final(HMAC_CTX *, unsigned char *, unsigned int *);
]]

local crypto = ffi.load("crypto.so.3")
local TOKEN, APP_ID = "0123456789abcdef0123456789abcdef", "900001"

local cipher = crypto.EVP_CIPHER_CTX_new()
assert(crypto.EVP_EncryptInit_ex(cipher, crypto.EVP_aes_256_ecb(), nil, TOKEN, nil) == 1)
local mac = crypto.HMAC_CTX_new()
assert(crypto.HMAC_Init_ex(mac, TOKEN, #TOKEN, crypto.EVP_sha256(), nil) == 1)

local bytes, length, tag_length = ffi.new("unsigned char[512]"), ffi.new("int[1]"), ffi.new("unsigned int[1]")
local digits, DIGITS = ffi.new("unsigned char[1024]"), ffi.new("unsigned char[16]", "0123456789abcdef")
local rshift, band = bit.rshift, bit.band

local function hex(count)
    for i = 0, count - 1 do
        local byte = bytes[i]
        digits[2 * i], digits[2 * i + 1] = DIGITS[rshift(byte, 4)], DIGITS[band(byte, 15)]
    end
    return ffi.string(digits, 2 * count)
end

local function encrypt(text)
    crypto.EVP_EncryptInit_ex(cipher, nil, nil, nil, nil)
    crypto.EVP_EncryptUpdate(cipher, bytes, length, text, #text)
    local done = length[0]
    crypto.EVP_EncryptFinal_ex(cipher, bytes + done, length)
    return hex(done + length[0])
end

local function sign(timestamp)
    local message = APP_ID .. timestamp
    crypto.HMAC_Init_ex(mac, nil, 0, nil, nil)
    crypto.HMAC_Update(mac, message, #message)
    crypto.HMAC_Final(mac, bytes, tag_length)
    return hex(32)
end

-- Where the text of a member begins and ends.
local function field(body, name)
    local _, start = body:find(name, 1, true)
    if not start then ngx.exit(422) end
    return start + 1, body:find('"', start + 1, true) - 1
end

local M = {}

function M.protect()
    local body = ngx.req.get_body_data()
    local from, to = field(body, '"phoneNum":"')
    local from2, to2 = field(body, '"idNum":"')
    if from > from2 then from, to, from2, to2 = from2, to2, from, to end
    ngx.req.set_body_data(body:sub(1, from - 1) .. encrypt(body:sub(from, to)) .. body:sub(to + 1, from2 - 1)
        .. encrypt(body:sub(from2, to2)) .. body:sub(to2 + 1))
    local timestamp = string.format("%d", ngx.now() * 1000)
    ngx.req.set_header("appId", APP_ID)
    ngx.req.set_header("timestamp", timestamp)
    ngx.req.set_header("signature", sign(timestamp))
end

return M
