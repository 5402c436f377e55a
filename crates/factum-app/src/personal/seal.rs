//! The cipher: XChaCha20-Poly1305, whose nonces are long enough to be drawn at random for ever.

use super::{KeyError, KeyStore};
use factum_core::{Append, Uuid};
use serde_json::Value;

/// What a ciphertext is bound to: at any other place it does not open.
pub(super) struct Bound<'a> {
    /// The event.
    pub(super) id: Uuid,
    /// Its type, without a version: an upcast may rename no event.
    pub(super) event_type: &'a str,
    /// The field, by its stored name.
    pub(super) field: &'a str,
    /// Whose data it is.
    pub(super) subject: &'a str,
}

/// Seals the personal fields of what is about to be appended. Once: a retry sends the same bytes.
pub(crate) async fn seal(append: &mut Append, keys: Option<&dyn KeyStore>) -> Result<(), KeyError> {
    for (_, event) in &mut append.events {
        if !super::is_marked(&event.data) {
            continue;
        }
        let Ok(mut value) = serde_json::from_slice::<Value>(&event.data) else { continue };
        let mut sealed_some = false;
        for (field, subject, slot) in super::mark::marks(&mut value) {
            let Some(open) = slot.get(super::mark::OPEN) else { continue };
            let keys = keys.ok_or(KeyError::NoStore)?;
            let key = keys.get_or_create(&subject).await?;
            let event_type = event.event_type.as_str();
            let bound = Bound { id: event.id, event_type, field, subject: &subject };
            let sealed = cipher::seal(&key, &bound, open)?;
            *slot = serde_json::json!({
                super::mark::SUBJECT: subject,
                super::mark::SEALED: sealed,
            });
            sealed_some = true;
        }
        if sealed_some {
            event.data = value.to_string().into();
        }
    }
    Ok(())
}

pub(super) use cipher::unseal;

#[cfg(feature = "personal")]
mod cipher {
    use super::{Bound, KeyError};
    use crate::personal::Key;
    use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
    use chacha20poly1305::{
        XChaCha20Poly1305, XNonce,
        aead::{Aead, KeyInit, Payload},
    };
    use serde_json::Value;

    const NONCE_BYTES: usize = 24;

    impl Bound<'_> {
        /// Parts of known length first, the others with a NUL between, which no name has.
        fn bytes(&self) -> Vec<u8> {
            let mut bytes = self.id.as_bytes().to_vec();
            for part in [self.event_type, self.field, self.subject] {
                bytes.extend_from_slice(part.as_bytes());
                bytes.push(0);
            }
            bytes
        }
    }

    /// Seals a value: nonce and ciphertext, as base64.
    pub(super) fn seal(key: &Key, bound: &Bound<'_>, value: &Value) -> Result<String, KeyError> {
        let away = |why: String| KeyError::Away { why };
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| away(format!("no randomness: {error}")))?;
        let (msg, aad) = (value.to_string(), bound.bytes());
        let payload = Payload { msg: msg.as_bytes(), aad: &aad };
        let cipher = XChaCha20Poly1305::new(&key.0.into());
        let sealed = cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|error| away(format!("the cipher failed: {error}")))?;
        Ok(STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens it; nothing where the key or the place is another.
    pub(in crate::personal) fn unseal(key: &Key, bound: &Bound<'_>, sealed: &str) -> Option<Value> {
        let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
        let (nonce, msg) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg, aad: &bound.bytes() };
        let cipher = XChaCha20Poly1305::new(&key.0.into());
        let open = cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        serde_json::from_slice(&open).ok()
    }
}

/// Built without the feature there are no keys, and nothing is sealed or opened.
#[cfg(not(feature = "personal"))]
mod cipher {
    use super::{Bound, KeyError};
    use crate::personal::Key;
    use serde_json::Value;

    pub(super) fn seal(_: &Key, _: &Bound<'_>, _: &Value) -> Result<String, KeyError> {
        Err(KeyError::NoStore)
    }

    pub(in crate::personal) fn unseal(_: &Key, bound: &Bound<'_>, _: &str) -> Option<Value> {
        let _ = (bound.id, bound.event_type, bound.field, bound.subject);
        None
    }
}
