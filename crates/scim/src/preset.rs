//! How much a directory forgives.

/// Whether what providers really send is straightened, or measured against the RFC's letter.
///
/// The provider of a directory never changes this: tolerance is on for all of them, so that a
/// wrong choice of provider never breaks a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// Lenient in, canonical out. The default.
    #[default]
    Lenient,
    /// What the RFCs do not allow is refused.
    Strict,
}
