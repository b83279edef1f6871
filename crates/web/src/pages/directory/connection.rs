//! The directory that a page is about, as its own people call it: a connection to a provider.

use directory::{AfterDisconnect, DirectoryId, DirectoryState, HoldKind, HoldState, Provider};
use jiff::Timestamp;
use store::{DirectorySummary, Standing};

use crate::pages::parts::When;

/// What all pages of a connection have.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) id: DirectoryId,
    /// Below which address its pages are.
    pub(crate) address: String,
    pub(crate) name: String,
    pub(crate) provider: Provider,
    pub(crate) standing: Standing,
    pub(crate) state: DirectoryState,
    /// What was to become of its people when it was disconnected, and whether some are still to be
    /// deactivated.
    pub(crate) disconnected: Option<(AfterDisconnect, bool)>,
    /// Why changes wait, and where that is looked at.
    pub(crate) hold: Option<(HoldKind, HoldState, String)>,
    pub(crate) active_users: u64,
    pub(crate) users: u64,
    pub(crate) groups: u64,
    /// Of the latest event.
    pub(crate) event_number: u64,
    pub(crate) last_contact_at: Option<When>,
    pub(crate) last_change_at: Option<When>,
    pub(crate) refused_with: Option<u16>,
}

impl Connection {
    /// `home`: the address below which directories of the organization are.
    pub(crate) fn new(home: &str, found: DirectorySummary, now: Timestamp) -> Connection {
        let state = found.state(now);
        let DirectorySummary { directory, standing, contact, hold, .. } = found;
        let address = format!("{home}/directories/{}", directory.id);
        Connection {
            id: directory.id,
            hold: hold.map(|(id, kind, state)| (kind, state, format!("{address}/holds/{id}"))),
            address,
            name: directory.name,
            provider: directory.provider,
            standing,
            state,
            disconnected: directory.disconnected.map(|it| (it.people, found.is_deactivating)),
            active_users: found.active_user_count,
            users: found.user_count,
            groups: found.group_count,
            event_number: found.event_number,
            last_contact_at: contact.last_at.map(When),
            last_change_at: contact.changed_at.map(When),
            refused_with: contact.refused_with,
        }
    }

    pub(crate) fn inactive_users(&self) -> u64 {
        self.users.saturating_sub(self.active_users)
    }
}
