//! Requests that have their effect once, however often they are sent.
//!
//! Whoever makes something and hears nothing back sends the request again, under the same key. It is
//! noted before it has its effect, and its answer after that, so that of two which come at once, on
//! whichever nodes, one is carried out.

use std::sync::Arc;

use directory::{Cause, TokenId};

use crate::Inner;
use crate::access::ApiStore;
use crate::administration::{Administration, Once};
use crate::error::Error;
use crate::session::{Session, Value, finish};
use crate::writer::Act;

/// One request of one key of the management API.
#[derive(Clone, Debug)]
pub struct OnceStore {
    inner: Arc<Inner>,
    once: Once,
}

/// What became of a request when it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is the first, and to be carried out.
    First,
    /// The first is being carried out, or was interrupted.
    Unfinished,
    /// The key was used for another request.
    Another,
    /// It was carried out before: this was the answer, sealed as it was given.
    Answered {
        /// The status.
        status: u16,
        /// What was kept.
        answer: String,
    },
}

impl ApiStore {
    /// A request of this store's key, under a key of idempotency, of which the hash is given.
    pub fn once(&self, holder: TokenId, key_hash: String) -> OnceStore {
        OnceStore {
            inner: Arc::clone(&self.0),
            once: Once { holder: holder.to_string(), key_hash },
        }
    }
}

impl OnceStore {
    /// Begins, where it has not begun before. `request_hash` tells it from another one.
    pub async fn begin(&self, request_hash: String) -> Result<Begun, Error> {
        let begin = Administration::BeginOnce {
            once: self.once.clone(),
            request_hash: request_hash.clone(),
            at: self.inner.environment.clock.now(),
        };
        if self.act(begin).await? == 1 {
            return Ok(Begun::First);
        }
        let Once { holder, key_hash } = self.once.clone();
        let read = move |session: &mut Session| {
            finish(session.first(
                "looking for an answer",
                "select request_hash, status, answer from idempotency_keys
                 where holder = $1 and key_hash = $2",
                &[Value::Text(&holder), Value::Text(&key_hash)],
                |row| Ok((row.text(0)?, row.optional_integer(1)?, row.optional_text(2)?)),
            ))
        };
        Ok(match self.inner.readers.read(read).await? {
            Some((of, ..)) if of != request_hash => Begun::Another,
            Some((_, Some(status), Some(answer))) => {
                let status = u16::try_from(status)
                    .map_err(|_| Error::Corrupt("the status of an answer".to_owned()))?;
                Begun::Answered { status, answer }
            }
            // Where it is gone, it has failed just now.
            _ => Begun::Unfinished,
        })
    }

    /// Keeps the answer.
    pub async fn end(&self, status: u16, answer: String) -> Result<(), Error> {
        self.act(Administration::EndOnce { once: self.once.clone(), status, answer })
            .await
            .map(drop)
    }

    /// Nothing was done: it may be sent again, also in another form.
    pub async fn forget(&self) -> Result<(), Error> {
        self.act(Administration::DropOnce(self.once.clone())).await.map(drop)
    }

    async fn act(&self, administration: Administration) -> Result<u64, Error> {
        self.inner.writer.act(Act::Administer(administration, Cause::server().into())).await
    }
}
