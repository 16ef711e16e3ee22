//! The job that a peer does or does not do: two fields encrypted, the request signed.

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The token all benches use.
pub const TOKEN: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
/// The appId all benches use.
pub const APP_ID: &str = "900001";
/// The path that is asked for.
pub const PATH: &str = "/thirdparty/patientStudies/900001";
/// The same without its appId.
pub const API: &str = "/thirdparty/patientStudies/";

const BLOCK: usize = 16;
/// Bytes of the longest personal field here, its padding included.
const LONGEST: usize = 2 * BLOCK;

/// The appId of one of many tenants, which all have the same token. The first has [`APP_ID`].
#[must_use]
pub fn app_id(tenant: u32) -> String {
    (900_001 + tenant).to_string()
}

/// The key of one of many clients, in the form of those that the gateway makes.
#[must_use]
pub fn client_key(client: u32) -> String {
    format!("aimis_{client:064x}")
}

/// The keys, expanded once.
#[derive(Clone)]
pub struct Job {
    cipher: Aes256,
    /// With [`APP_ID`] already in it.
    mac: Hmac<Sha256>,
    /// With no appId.
    any: Hmac<Sha256>,
}

impl Default for Job {
    fn default() -> Self {
        let any = <Hmac<Sha256> as KeyInit>::new_from_slice(TOKEN).expect("a key of any length is one");
        let mut mac = any.clone();
        mac.update(APP_ID.as_bytes());
        Self {
            cipher: Aes256::new(TOKEN.into()),
            mac,
            any,
        }
    }
}

impl Job {
    /// Appends the hex of the ciphertext of `plain`, at most 31 bytes.
    pub fn encrypt(&self, plain: &[u8], out: &mut Vec<u8>) {
        let length = plain.len() / BLOCK * BLOCK + BLOCK;
        let mut padded = [0; LONGEST];
        padded[..length].fill(u8::try_from(length - plain.len()).unwrap_or_default());
        padded[..plain.len()].copy_from_slice(plain);
        for block in padded[..length].chunks_exact_mut(BLOCK) {
            if let Ok(block) = block.try_into() {
                self.cipher.encrypt_block(block);
            }
        }
        let start = out.len();
        out.resize(start + 2 * length, 0);
        // The room is exactly that of the digits.
        let _ = hex::encode_to_slice(&padded[..length], &mut out[start..]);
    }

    /// Whether `digits` are the ciphertext of a text that is `plausible`.
    pub fn opens(&self, digits: &[u8], plausible: impl Fn(&[u8]) -> bool) -> bool {
        let mut bytes = [0; LONGEST];
        let length = digits.len() / 2;
        if length == 0 || length > LONGEST || !digits.len().is_multiple_of(2 * BLOCK) {
            return false;
        }
        if hex::decode_to_slice(digits, &mut bytes[..length]).is_err() {
            return false;
        }
        for block in bytes[..length].chunks_exact_mut(BLOCK) {
            if let Ok(block) = block.try_into() {
                self.cipher.decrypt_block(block);
            }
        }
        let padding = bytes[length - 1];
        let text = length.saturating_sub(padding.into());
        (1..=16).contains(&padding)
            && bytes[text..length].iter().all(|byte| *byte == padding)
            && plausible(&bytes[..text])
    }

    /// The signature at a time, given as the header gives it.
    pub fn sign(&self, timestamp: &[u8]) -> [u8; 64] {
        Self::digits(self.mac.clone(), timestamp)
    }

    /// The same for any tenant.
    pub fn sign_as(&self, app_id: &[u8], timestamp: &[u8]) -> [u8; 64] {
        let mut mac = self.any.clone();
        mac.update(app_id);
        Self::digits(mac, timestamp)
    }

    fn digits(mut mac: Hmac<Sha256>, timestamp: &[u8]) -> [u8; 64] {
        mac.update(timestamp);
        let mut digits = [0; 64];
        // 32 bytes are 64 digits.
        let _ = hex::encode_to_slice(mac.finalize().into_bytes(), &mut digits);
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_examples_come_out() {
        let job = Job::default();
        let (mut phone, mut id) = (Vec::new(), Vec::new());
        job.encrypt(b"13800138000", &mut phone);
        job.encrypt(b"11010119000101009X", &mut id);

        assert_eq!(phone, b"554fb5befba4daabdb8169e45db64485");
        assert_eq!(id, b"a48b12c1fa78f15e4eb49e2cf484e1eb2f87e8ccf8d7d0512cf792d6700896a7");
        assert_eq!(job.sign(b"1"), job.sign_as(app_id(0).as_bytes(), b"1"));
        assert_ne!(job.sign(b"1"), job.sign_as(app_id(1).as_bytes(), b"1"));
        assert_eq!(
            &job.sign(b"1735689600000"),
            b"4c43cf430bf244880b1845258bc7937eba64f60258e92ad2bda27bb3f2037b9b"
        );
    }

    #[test]
    fn only_a_whole_ciphertext_opens() {
        let job = Job::default();
        let mut digits = Vec::new();
        job.encrypt(b"13800138000", &mut digits);

        assert!(job.opens(&digits, |text| text == b"13800138000"));
        assert!(!job.opens(&digits[..30], |_| true));
        assert!(!job.opens(b"13800138000", |_| true));
        digits[0] ^= 1;
        assert!(!job.opens(&digits, |text| text == b"13800138000"));
    }
}
