//! The management API, `/api/v1`: where the vendor makes organizations, directories and tokens,
//! and reads what became of them. JSON in, JSON out, problem details for errors.

pub(crate) mod audit;
pub(crate) mod catalogue;
mod client;
mod clients;
mod describe;
pub(crate) mod directories;
mod erasures;
mod events;
pub(crate) mod holds;
pub(crate) mod keys;
pub(crate) mod organizations;
mod portal_links;
mod receipts;
pub(crate) mod requests;
pub(crate) mod roles;
mod route;
pub(crate) mod safety;
mod schemas;
mod server;
pub(crate) mod sign_in;
mod snapshot;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod webhooks;

use std::marker::PhantomData;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRef, FromRequest, FromRequestParts, OriginalUri, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use directory::{ApiScope, Guarded, NAME_MAX, Precondition, Revision};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use store::ApiStore;
use utoipa::IntoParams;

use crate::api::audit::{AuditExportQuery, AuditQuery, AuditView};
use crate::api::catalogue::{EntryInput, EntryView};
use crate::api::client::ClientView as SpeakerView;
use crate::api::clients::{
    ClientView, CreatedClient, CreatedClientSecret, NewClient, NewClientSecret,
};
use crate::api::directories::{DirectoryEdit, DirectoryView, Disconnect, NewDirectory, QuirkView};
use crate::api::erasures::ErasureView;
use crate::api::events::{EventView, EventsPage, EventsPaging, EventsQuery};
use crate::api::holds::{HeldChangeView, HoldView, LostView};
use crate::api::keys::{ApiKeyView, CreatedApiKey, NewApiKey};
use crate::api::organizations::{
    EditOrganization, NewOrganization, OrganizationView, OrganizationsQuery,
};
use crate::api::portal_links::{CreatedPortalLink, NewPortalLink, PortalLinkView};
use crate::api::receipts::{NewReceipt, ReceiptView, ReceiptsQuery, SummaryView};
use crate::api::requests::{
    AllRequestsQuery, RequestView, RequestsQuery, RerunView, WholeRequestView,
};
use crate::api::roles::{PreviewView, RoleMappingInput, RoleMappingView};
use crate::api::safety::{EditSafety, SafetyView};
use crate::api::schemas::{AdoptedView, NewSchema, SchemaView, UnknownView};
use crate::api::sign_in::{SignInQuery, SignInView};
use crate::api::tokens::{CreatedToken, NewToken, Rotation, TokenView};
use crate::api::users::{GroupView, GroupsQuery, TimelineView, UserView, UsersQuery};
use crate::api::webhooks::{
    DeliveriesQuery, DeliveryView, NewWebhook, ReplayInput, Replayed, SecretMade, SecretRotation,
    WebhookEdit, WebhookView,
};
use crate::body;
use crate::problem::Problem;
use crate::scim::{PATH_SHOWN_MAX, cut, tags_in};
use crate::{Counter, RequestId, caller, once};

pub(crate) use crate::api::route::{Needs, Route};

/// Entries of a page when the caller does not say.
const PAGE_DEFAULT: u64 = 100;
/// Entries of a page at most.
const PAGE_MAX: u64 = 1_000;

/// Every route. There is no other way to one: what is not here is neither served nor described.
#[rustfmt::skip]
pub(crate) fn table() -> Vec<Route> {
    use ApiScope::{
        AuditRead, CatalogueRead, CatalogueWrite, DirectoriesRead, DirectoriesWrite, EventsRead, KeysRead, KeysWrite,
        OrganizationsRead, OrganizationsWrite, PortalRead, PortalWrite, ReceiptsWrite, SettingsRead, SignInRead,
        TokensRead, TokensWrite, UsersRead, UsersWrite,
        WebhooksRead, WebhooksWrite,
    };

    vec![
        Route::get("/organizations", "list_organizations", OrganizationsRead, organizations::list)
            .says("List organizations", "In the order of their creation.")
            .query::<OrganizationsQuery>()
            .answers_page_of::<OrganizationView>(),
        Route::post("/organizations", "create_organization", OrganizationsWrite, organizations::create)
            .says("Create an organization", "One customer of yours.")
            .tagged()
            .of_all()
            .takes::<NewOrganization>()
            .answers::<OrganizationView>(201),
        Route::get("/organizations/{organization}", "get_organization", OrganizationsRead, organizations::get)
            .says("Get an organization", "")
            .tagged()
            .answers::<OrganizationView>(200),
        Route::patch("/organizations/{organization}", "update_organization", OrganizationsWrite, organizations::edit)
            .says("Change an organization", "Where `directory_sync` is switched off, providers of its directories are answered 403, with a text for their admins, and what is in the directories stays. Switched on, everything goes on as before.")
            .tagged()
            .guarded()
            .takes::<EditOrganization>()
            .answers::<OrganizationView>(200)
            .refuses(&[409]),
        Route::delete("/organizations/{organization}", "delete_organization", OrganizationsWrite, organizations::delete)
            .says("Delete an organization", "It has to have no directory any more. Its API keys and portal links go with it.")
            .guarded()
            .answers_nothing()
            .refuses(&[409]),
        Route::get("/organizations/{organization}/safety", "get_safety", OrganizationsRead, safety::get)
            .says("Read what guards an organization", "How many people may use your app, and how many do; at which domains they have to be; how soon your app has to say that somebody's access has ended.")
            .tagged()
            .answers::<SafetyView>(200),
        Route::patch("/organizations/{organization}/safety", "update_safety", OrganizationsWrite, safety::edit)
            .says("Change what guards an organization", "It holds for what happens from then on: nobody who is there is put out.")
            .tagged()
            .guarded()
            .takes::<EditSafety>()
            .answers::<SafetyView>(200),
        Route::get("/organizations/{organization}/sign-in", "check_sign_in", SignInRead, sign_in::get)
            .says("Ask whether somebody may be let in", "When they sign in to your app; over all directories of the organization. Where several know the person, one that lets them in is enough.")
            .query::<SignInQuery>()
            .answers::<SignInView>(200),
        Route::get("/organizations/{organization}/directories", "list_directories_of_organization", DirectoriesRead, directories::list_of_organization)
            .says("List the directories of an organization", "In the order of their creation.")
            .query::<PageQuery>()
            .answers_page_of::<DirectoryView>(),
        Route::post("/organizations/{organization}/directories", "create_directory", DirectoriesWrite, directories::create)
            .says("Create a directory", "One SCIM connection of the organization to one provider.")
            .tagged()
            .takes::<NewDirectory>()
            .answers::<DirectoryView>(201),
        Route::get("/organizations/{organization}/portal-links", "list_portal_links", PortalRead, portal_links::list)
            .says("List the portal links of an organization", "Whether or not they are good still, in the order of their creation.")
            .query::<PageQuery>()
            .answers_page_of::<PortalLinkView>(),
        Route::post("/organizations/{organization}/portal-links", "create_portal_link", PortalWrite, portal_links::create)
            .says("Create a portal link", "For an IT admin of the organization, who connects its provider there and sees how that goes, without an account. It belongs to the browser that opens it first, and opens nothing elsewhere. The answer is the only place where `url` is shown. An organization may have 100 that are good.")
            .takes::<NewPortalLink>()
            .answers::<CreatedPortalLink>(201)
            .refuses(&[409]),
        Route::get("/organizations/{organization}/portal-links/{link}", "get_portal_link", PortalRead, portal_links::get)
            .says("Get a portal link", "With whether it was opened, and when it was used last.")
            .answers::<PortalLinkView>(200),
        Route::post("/organizations/{organization}/portal-links/{link}/revoke", "revoke_portal_link", PortalWrite, portal_links::revoke)
            .says("Revoke a portal link", "From then on it opens nothing, also for whoever is inside. What was done with it stays.")
            .answers::<PortalLinkView>(200),
        Route::get("/directories", "list_directories", DirectoriesRead, directories::list)
            .says("List directories", "Of all organizations, in the order of their creation.")
            .query::<PageQuery>()
            .answers_page_of::<DirectoryView>(),
        Route::get("/directories/{directory}", "get_directory", DirectoriesRead, directories::get)
            .says("Get a directory", "With how much is in it, and how well it goes.")
            .tagged()
            .answers::<DirectoryView>(200),
        Route::patch("/directories/{directory}", "update_directory", DirectoriesWrite, directories::edit)
            .says("Change a directory", "Its name, provider or settings; or pause it, and resume it.")
            .tagged()
            .guarded()
            .takes::<DirectoryEdit>()
            .answers::<DirectoryView>(200),
        Route::post("/directories/{directory}/disconnect", "disconnect_directory", DirectoriesWrite, directories::disconnect)
            .says("Disconnect a directory from its provider", "All its tokens and OAuth clients are gone, and it is paused. What becomes of its people, you say; whoever is to lose access is deactivated in the background, with an event for each. Resume it, and make a token, to connect it again.")
            .tagged()
            .guarded()
            .takes::<Disconnect>()
            .answers::<DirectoryView>(200),
        Route::delete("/directories/{directory}", "delete_directory", DirectoriesWrite, directories::delete)
            .says("Delete a directory", "From then on it opens for nobody, and its tokens are gone. The event `directory.deleted` comes first; then everybody who is in it is deleted in the background, with an event for each.")
            .guarded()
            .answers_nothing(),
        Route::get("/directories/{directory}/quirks", "list_quirks", DirectoriesRead, directories::quirks)
            .says("List how a provider deviates from the RFCs", "And in how many requests that was straightened; the most frequent first.")
            .answers_page_of::<QuirkView>(),
        Route::get("/directories/{directory}/client", "get_client", DirectoriesRead, client::get)
            .says("Learn who really speaks to a directory", "Which provider, and which kind of app of it, as far as that shows in what arrives; what it sends and what it does not; which kinds of traffic were seen to work; and what is often done wrong and was seen here.")
            .answers::<SpeakerView>(200),
        Route::get("/directories/{directory}/requests", "list_requests_of_directory", UsersRead, requests::of_directory)
            .says("List the requests of a provider", "With how they were answered, why, and what to do now; the newest first. Where more came at once than could be taken down, an entry of the type `gap` says how many are missing.")
            .query::<RequestsQuery>()
            .answers_page_of::<RequestView>(),
        Route::get("/requests", "list_requests", UsersRead, requests::of_all)
            .says("List the requests of all providers", "Or of some; a key of one organization reads what was sent there. The newest first.")
            .query::<AllRequestsQuery>()
            .answers_page_of::<RequestView>()
            .refuses(&[404]),
        Route::get("/requests/{request}", "get_request", UsersRead, requests::get)
            .says("Get a request", "With its bodies and its answer, as long as they are kept, without passwords and credentials. Its id is the `x-request-id` of its answer.")
            .answers::<WholeRequestView>(200),
        Route::post("/requests/{request}/rerun", "rerun_request", DirectoriesWrite, requests::rerun)
            .says("Carry a request out once more", "One that failed, when the cause is mended: as its provider would send it again. 409 where that is not safe: it did not fail, its body is not kept whole, or the same was changed since. Events of what it changes say so in their cause.")
            .answers::<RerunView>(200)
            .refuses(&[409]),
        Route::post("/directories/{directory}/shadow", "begin_shadow", DirectoriesWrite, holds::begin_shadow)
            .says("Let nothing out before somebody has looked", "Of a directory in which there never was anybody: what its provider sends is kept and answered as always, and waits in a hold. Read what your app would be told, and approve the hold to go live.")
            .tagged()
            .answers::<HoldView>(201)
            .refuses(&[409]),
        Route::get("/directories/{directory}/holds", "list_holds", DirectoriesRead, holds::list)
            .says("List the holds of a directory", "In the order in which they began. The last one may not have ended.")
            .query::<PageQuery>()
            .answers_page_of::<HoldView>(),
        Route::get("/directories/{directory}/holds/{hold}", "get_hold", DirectoriesRead, holds::get)
            .says("Get a hold", "With how many events of which type would be let out.")
            .tagged()
            .answers::<HoldView>(200),
        Route::get("/directories/{directory}/holds/{hold}/changes", "list_held_changes", UsersRead, holds::changes)
            .says("List what waits", "As the events that your app would be told, in their order. What cancels out is not among them, so a page may have fewer entries than it might, and still lead on.")
            .query::<PageQuery>()
            .answers_page_of::<HeldChangeView>(),
        Route::get("/directories/{directory}/holds/{hold}/changes.csv", "get_held_changes_table", UsersRead, holds::changes_table)
            .says("Get what waits as a table", "What your app would be told, a row for each event, for a spreadsheet (RFC 4180).")
            .streams_lines("text/csv"),
        Route::get("/directories/{directory}/holds/{hold}/lost", "list_lost", UsersRead, holds::lost)
            .says("List what the provider would have to bring back", "People who may not use your app any more, and memberships that have ended, as far as they are not back.")
            .query::<PageQuery>()
            .answers_page_of::<LostView>(),
        Route::get("/directories/{directory}/holds/{hold}/lost.csv", "get_lost_table", UsersRead, holds::lost_table)
            .says("Read the same as a table", "To be handed to whoever looks after the provider.")
            .streams_lines("text/csv"),
        Route::post("/directories/{directory}/holds/{hold}/approve", "approve_hold", DirectoriesWrite, holds::approve)
            .says("Let out what waits", "It was meant so: your app is told of it, in order. Of much, this goes on in the background.")
            .tagged()
            .guarded()
            .answers::<HoldView>(200)
            .refuses(&[409]),
        Route::post("/directories/{directory}/holds/{hold}/reject", "reject_hold", DirectoriesWrite, holds::reject)
            .says("Call what waits a mistake", "It goes on waiting until the provider has brought back what was lost; then what is left is let out. Until then it may still be approved.")
            .tagged()
            .guarded()
            .answers::<HoldView>(200)
            .refuses(&[409]),
        Route::get("/directories/{directory}/tokens", "list_tokens", TokensRead, tokens::list)
            .says("List the tokens of a directory", "Whether or not they are good still, in the order of their creation.")
            .query::<PageQuery>()
            .answers_page_of::<TokenView>(),
        Route::post("/directories/{directory}/tokens", "create_token", TokensWrite, tokens::create)
            .says("Create a token", "The answer is the only place where the secret is shown. A directory may have several.")
            .takes::<NewToken>()
            .answers::<CreatedToken>(201),
        Route::get("/directories/{directory}/tokens/{token}", "get_token", TokensRead, tokens::get)
            .says("Get a token", "Without its secret.")
            .answers::<TokenView>(200),
        Route::post("/directories/{directory}/tokens/{token}/rotate", "rotate_token", TokensWrite, tokens::rotate)
            .says("Exchange a token", "Makes a new one that may do the same. The old one stays good for `overlap_hours`, so that nobody is turned away before the new one is pasted.")
            .takes::<Rotation>()
            .answers::<CreatedToken>(201),
        Route::delete("/directories/{directory}/tokens/{token}", "revoke_token", TokensWrite, tokens::revoke)
            .says("Revoke a token", "From then on it opens nothing; on other nodes within a second.")
            .answers_nothing(),
        Route::get("/directories/{directory}/oauth-clients", "list_oauth_clients", TokensRead, clients::list)
            .says("List the OAuth clients of a directory", "")
            .answers_page_of::<ClientView>(),
        Route::post("/directories/{directory}/oauth-clients", "create_oauth_client", TokensWrite, clients::create)
            .says("Create an OAuth client", "For a provider that asks for access tokens at `oauth_token_url`, with the grant `client_credentials`. The answer is the only place where the secret is shown. A directory may have 20.")
            .takes::<NewClient>()
            .answers::<CreatedClient>(201)
            .refuses(&[409]),
        Route::get("/directories/{directory}/oauth-clients/{client}", "get_oauth_client", TokensRead, clients::get)
            .says("Get an OAuth client", "")
            .answers::<ClientView>(200),
        Route::delete("/directories/{directory}/oauth-clients/{client}", "delete_oauth_client", TokensWrite, clients::delete)
            .says("Delete an OAuth client", "With its secrets, and all access tokens that were given for them, at once.")
            .answers_nothing(),
        Route::post("/directories/{directory}/oauth-clients/{client}/secrets", "create_oauth_client_secret", TokensWrite, clients::create_secret)
            .says("Create one more secret of an OAuth client", "To exchange one: make a second, have it pasted, and delete the first. A client may have 5.")
            .takes::<NewClientSecret>()
            .answers::<CreatedClientSecret>(201)
            .refuses(&[409]),
        Route::delete("/directories/{directory}/oauth-clients/{client}/secrets/{secret}", "delete_oauth_client_secret", TokensWrite, clients::delete_secret)
            .says("Delete a secret of an OAuth client", "With all access tokens that were given for it, at once.")
            .answers_nothing(),
        Route::get("/directories/{directory}/users", "list_users", UsersRead, users::users)
            .says("List or look for users", "Active or not, in the order of their creation.")
            .query::<UsersQuery>()
            .answers_page_of::<UserView>(),
        Route::get("/directories/{directory}/users/{user}", "get_user", UsersRead, users::user)
            .says("Get a user", "With the groups to which they belong.")
            .answers::<UserView>(200),
        Route::get("/directories/{directory}/users/{user}/timeline", "get_user_timeline", UsersRead, users::user_timeline)
            .says("Read what happened to a user", "Their events in order, also of somebody who was deleted.")
            .query::<PageQuery>()
            .answers::<TimelineView>(200),
        Route::post("/directories/{directory}/users/{user}/erase", "erase_user", UsersWrite, erasures::erase)
            .says("Erase a person", "Who is still in the directory is deleted, with the usual events, and `directory.user.erased` says to whoever follows the feed that they are to erase the same. Then what was said of the person is taken out of events, deliveries and the request log, in the background; `GET /erasures/{erasure}` says how far that is, and is the receipt. Asked for again, it is not begun anew. The provider has to be told first: what it sends later is new.")
            .answers::<ErasureView>(202),
        Route::get("/erasures", "list_erasures", UsersRead, erasures::list)
            .says("List erasures", "With how far they are, and receipts; the latest first.")
            .query::<PageQuery>()
            .answers_page_of::<ErasureView>(),
        Route::get("/erasures/{erasure}", "get_erasure", UsersRead, erasures::get)
            .says("Get an erasure", "How far it is; when it is done, the receipt: what was erased and how much, when, and who asked for it, without anything of the person but ids.")
            .answers::<ErasureView>(200),
        Route::get("/directories/{directory}/groups", "list_groups", UsersRead, users::groups)
            .says("List or look for groups", "In the order of their creation, without members.")
            .query::<GroupsQuery>()
            .answers_page_of::<GroupView>(),
        Route::get("/directories/{directory}/groups/{group}", "get_group", UsersRead, users::group)
            .says("Get a group", "With all its members.")
            .answers::<GroupView>(200),
        Route::get("/directories/{directory}/groups/{group}/timeline", "get_group_timeline", UsersRead, users::group_timeline)
            .says("Read what happened to a group", "Its events in order, those of its members too.")
            .query::<PageQuery>()
            .answers::<TimelineView>(200),
        Route::get("/directories/{directory}/role-mapping", "get_role_mapping", DirectoriesRead, roles::get)
            .says("Read who gets which role", "With how far it is that everybody has the roles that they should have.")
            .tagged()
            .answers::<RoleMappingView>(200),
        Route::put("/directories/{directory}/role-mapping", "put_role_mapping", DirectoriesWrite, roles::put)
            .says("Say who gets which role", "By group or by condition. Everybody is looked at in the background; `progress` says how far that is.")
            .tagged()
            .guarded()
            .takes::<RoleMappingInput>()
            .answers::<RoleMappingView>(200)
            .refuses(&[409]),
        Route::post("/directories/{directory}/role-mapping/preview", "preview_role_mapping", UsersRead, roles::preview)
            .says("Try who would get which role", "Says who would gain and who would lose, and why, and changes nothing. Looks at everybody.")
            .takes::<RoleMappingInput>()
            .answers::<PreviewView>(200),
        Route::get("/directories/{directory}/snapshot", "get_snapshot", UsersRead, snapshot::get)
            .says("Read all that is in a directory", "In one state: a line of JSON for each user, group and membership, between one that tells of the directory and one that ends it, which has the `cursor` from which to go on: `GET /events?directory_id=…&after=…`. Without the last line it broke off, and is to be read again. It is read within ten minutes.")
            .streams_lines("application/x-ndjson"),
        Route::get("/directories/{directory}/schemas", "list_schemas", DirectoriesRead, schemas::list)
            .says("List the schemas of a directory", "Without the built-in ones.")
            .answers_page_of::<SchemaView>(),
        Route::get("/directories/{directory}/schemas/{urn}", "get_schema", DirectoriesRead, schemas::get)
            .says("Get a schema", "")
            .tagged()
            .answers::<SchemaView>(200),
        Route::put("/directories/{directory}/schemas/{urn}", "put_schema", DirectoriesWrite, schemas::put)
            .says("Define a schema, or change it", "201 where it is new.")
            .tagged()
            .guarded()
            .takes::<NewSchema>()
            .answers::<SchemaView>(200)
            .answers::<SchemaView>(201)
            .refuses(&[409]),
        Route::delete("/directories/{directory}/schemas/{urn}", "delete_schema", DirectoriesWrite, schemas::delete)
            .says("Remove a schema", "One of which nobody has a value.")
            .guarded()
            .answers_nothing()
            .refuses(&[409]),
        Route::get("/directories/{directory}/unknown-attributes", "list_unknown_attributes", DirectoriesRead, schemas::unknown_attributes)
            .says("List attributes of no schema", "Those that the provider sends in vain.")
            .answers_page_of::<UnknownView>(),
        Route::post("/directories/{directory}/unknown-attributes/adopt", "adopt_unknown_attributes", DirectoriesWrite, schemas::adopt)
            .says("Make values of what was sent before a schema had its attribute", "Of `limit` users at once; go on with `next` as `after`.")
            .query::<PageQuery>()
            .answers::<AdoptedView>(200),
        Route::get("/roles", "list_roles", CatalogueRead, catalogue::roles)
            .says("List the roles of your app", "")
            .answers_page_of::<EntryView>(),
        Route::get("/roles/{id}", "get_role", CatalogueRead, catalogue::role)
            .says("Get a role", "")
            .tagged()
            .answers::<EntryView>(200),
        Route::put("/roles/{id}", "put_role", CatalogueWrite, catalogue::put_role)
            .says("Add a role, or change it", "The id is your own.")
            .tagged()
            .guarded()
            .of_all()
            .takes::<EntryInput>()
            .answers::<EntryView>(200)
            .refuses(&[409]),
        Route::delete("/roles/{id}", "delete_role", CatalogueWrite, catalogue::delete_role)
            .says("Remove a role", "Users who have it keep it.")
            .guarded()
            .of_all()
            .answers_nothing(),
        Route::get("/entitlements", "list_entitlements", CatalogueRead, catalogue::entitlements)
            .says("List the entitlements of your app", "")
            .answers_page_of::<EntryView>(),
        Route::get("/entitlements/{id}", "get_entitlement", CatalogueRead, catalogue::entitlement)
            .says("Get an entitlement", "")
            .tagged()
            .answers::<EntryView>(200),
        Route::put("/entitlements/{id}", "put_entitlement", CatalogueWrite, catalogue::put_entitlement)
            .says("Add an entitlement, or change it", "The id is your own.")
            .tagged()
            .guarded()
            .of_all()
            .takes::<EntryInput>()
            .answers::<EntryView>(200)
            .refuses(&[409]),
        Route::delete("/entitlements/{id}", "delete_entitlement", CatalogueWrite, catalogue::delete_entitlement)
            .says("Remove an entitlement", "Users who have it keep it.")
            .guarded()
            .of_all()
            .answers_nothing(),
        Route::get("/events", "list_events", EventsRead, events::list)
            .says("Read the feed", "What happened, in order, over all directories or in some; a key of one organization reads what happened there. `after` is good with the `organization_id` and `directory_id` with which it was made, or without. 410: the cursor is of another life of the database, or of events that are not kept any more.")
            .query::<EventsQuery>()
            .query::<EventsPaging>()
            .answers::<EventsPage>(200)
            .refuses(&[404, 410]),
        Route::get("/events/stream", "stream_events", EventsRead, events::stream)
            .says("Follow the feed", "The same as server-sent events: `id` is a cursor, `event` the type, `data` the event. A stream that broke off goes on where the header `Last-Event-ID` says, or `after`. Where nothing happens, a comment comes every 15 seconds. What goes wrong later comes as `event: problem`, and ends it.")
            .query::<EventsQuery>()
            .streams::<EventView>("text/event-stream")
            .refuses(&[404, 410]),
        Route::get("/directories/{directory}/events/{number}", "get_event", EventsRead, events::get)
            .says("Get an event", "By its number in the directory, whole, as long as it is kept.")
            .answers::<EventView>(200),
        Route::post("/directories/{directory}/events/{number}/receipt", "create_receipt", ReceiptsWrite, receipts::create)
            .says("Say that somebody's access has ended", "As a `directory.user.deactivated` or `directory.user.deleted` told your app to. The first receipt of an event is kept, and answered 201; every other is answered 200 with the first.")
            .takes::<NewReceipt>()
            .answers::<ReceiptView>(200)
            .answers::<ReceiptView>(201)
            .refuses(&[409]),
        Route::get("/directories/{directory}/receipts", "list_receipts", UsersRead, receipts::list)
            .says("List ends of access, and their receipts", "In the order of their events.")
            .query::<ReceiptsQuery>()
            .answers_page_of::<ReceiptView>(),
        Route::get("/directories/{directory}/receipts/summary", "get_receipt_summary", UsersRead, receipts::summary)
            .says("Read how long it takes until access has ended", "From the provider's request to the effect in your app.")
            .answers::<SummaryView>(200),
        Route::get("/webhooks", "list_webhooks", WebhooksRead, webhooks::list)
            .says("List webhook endpoints", "In the order of their creation.")
            .of_all()
            .query::<PageQuery>()
            .answers_page_of::<WebhookView>(),
        Route::post("/webhooks", "create_webhook", WebhooksWrite, webhooks::create)
            .says("Create a webhook endpoint", "Where events are brought. The answer is the only place where the secret is shown with which deliveries are signed.")
            .tagged()
            .of_all()
            .takes::<NewWebhook>()
            .answers::<WebhookView>(201),
        Route::get("/webhooks/{webhook}", "get_webhook", WebhooksRead, webhooks::get)
            .says("Get a webhook endpoint", "With how far it is behind.")
            .tagged()
            .of_all()
            .answers::<WebhookView>(200),
        Route::patch("/webhooks/{webhook}", "update_webhook", WebhooksWrite, webhooks::patch)
            .says("Change a webhook endpoint", "Or switch it off and on: it goes on where it was.")
            .tagged()
            .guarded()
            .of_all()
            .takes::<WebhookEdit>()
            .answers::<WebhookView>(200),
        Route::delete("/webhooks/{webhook}", "delete_webhook", WebhooksWrite, webhooks::delete)
            .says("Delete a webhook endpoint", "With all that was on its way.")
            .guarded()
            .of_all()
            .answers_nothing(),
        Route::post("/webhooks/{webhook}/secret", "rotate_webhook_secret", WebhooksWrite, webhooks::rotate)
            .says("Exchange the secret of a webhook endpoint", "Those before it stay good for `overlap_hours`, and deliveries are signed with all of them.")
            .of_all()
            .takes::<SecretRotation>()
            .answers::<SecretMade>(201),
        Route::post("/webhooks/{webhook}/test", "test_webhook", WebhooksWrite, webhooks::test)
            .says("Test a webhook endpoint", "Brings an event there that is none, once.")
            .of_all()
            .answers::<DeliveryView>(202),
        Route::post("/webhooks/{webhook}/replay", "replay_webhook", WebhooksWrite, webhooks::replay)
            .says("Have events brought again", "All that failed, or what occurred between two times, or what stands between two cursors of the feed.")
            .of_all()
            .takes::<ReplayInput>()
            .answers::<Replayed>(202)
            .refuses(&[410]),
        Route::get("/webhooks/{webhook}/deliveries", "list_deliveries", WebhooksRead, webhooks::deliveries)
            .says("List what was brought to a webhook endpoint", "Or was tried to; the latest first.")
            .of_all()
            .query::<DeliveriesQuery>()
            .answers_page_of::<DeliveryView>(),
        Route::get("/webhooks/{webhook}/deliveries/{delivery}", "get_delivery", WebhooksRead, webhooks::delivery)
            .says("Get a delivery", "With its attempts.")
            .of_all()
            .answers::<DeliveryView>(200),
        Route::post("/webhooks/{webhook}/deliveries/{delivery}/replay", "replay_delivery", WebhooksWrite, webhooks::replay_one)
            .says("Have an event brought again", "With all its attempts.")
            .of_all()
            .answers::<DeliveryView>(202)
            .refuses(&[410]),
        Route::get("/api-keys", "list_api_keys", KeysRead, keys::list)
            .says("List API keys", "In the order of their creation; for a key of one organization, those of that one.")
            .query::<PageQuery>()
            .answers_page_of::<ApiKeyView>(),
        Route::post("/api-keys", "create_api_key", KeysWrite, keys::create)
            .says("Create an API key", "The answer is the only place where the secret is shown. A key gives away no more than it may do itself.")
            .takes::<NewApiKey>()
            .answers::<CreatedApiKey>(201)
            .refuses(&[404]),
        Route::get("/api-keys/{key}", "get_api_key", KeysRead, keys::get)
            .says("Get an API key", "Without its secret.")
            .answers::<ApiKeyView>(200),
        Route::delete("/api-keys/{key}", "revoke_api_key", KeysWrite, keys::revoke)
            .says("Revoke an API key", "From then on it opens nothing.")
            .answers_nothing(),
        Route::get("/audit", "list_audit_entries", AuditRead, audit::list)
            .says("Read the audit log", "Who did what on your side, with what, from where and when; the latest first. What providers do is in the feed. A key of one organization reads what concerns that one.")
            .query::<AuditQuery>()
            .answers_page_of::<AuditView>()
            .refuses(&[404]),
        Route::get("/audit/export.ndjson", "export_audit_ndjson", AuditRead, audit::ndjson)
            .says("Export the audit log as JSON", "A line for each entry, the latest first, as long as there are any. An answer that breaks off is not all of it.")
            .query::<AuditExportQuery>()
            .streams::<AuditView>("application/x-ndjson")
            .refuses(&[404]),
        Route::get("/audit/export.csv", "export_audit_csv", AuditRead, audit::csv)
            .says("Export the audit log as a table", "The same as CSV (RFC 4180), with the names of the columns first. What a spreadsheet would take for a formula begins with an apostrophe.")
            .query::<AuditExportQuery>()
            .streams_lines("text/csv")
            .refuses(&[404]),
        Route::get("/settings", "get_settings", SettingsRead, server::settings)
            .says("Read what the server runs with", "")
            .answers::<server::SettingsView>(200),
    ]
}

pub(crate) fn routes(counter: &Arc<Counter>) -> Router<Arc<Counter>> {
    let table = table().into_iter().map(Route::serve);
    let router = table.fold(Router::new(), |router, (path, handler)| router.route(path, handler));
    router
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(counter), once::carry_out))
        .with_state(Arc::clone(counter))
}

/// Whoever has an API key. A handler that takes one is never run without.
pub(crate) struct Vendor {
    pub(crate) store: ApiStore,
    pub(crate) counter: Arc<Counter>,
}

impl<S: Send + Sync> FromRequestParts<S> for Vendor
where
    Arc<Counter>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Vendor, Problem> {
        let counter = Arc::<Counter>::from_ref(state);
        let mut store = caller::vendor(&counter, parts).await?;
        if let Some(RequestId(id)) = parts.extensions.get() {
            store = store.in_request(*id, caller::client_address(&counter, parts));
        }
        // Whoever may not do it is not told whether there is anything to do it with.
        let needs = parts.extensions.get::<Needs>();
        let needs = *needs.expect("every route says what it needs");
        if let Err(problem) = caller::may(&store, needs) {
            caller::note_refusal(&counter, &store, parts, needs, &problem);
            return Err(problem);
        }
        Ok(Vendor { store, counter })
    }
}

/// Whoever has an API key, whatever it may do: where nothing is served.
struct AnyKey;

impl<S: Send + Sync> FromRequestParts<S> for AnyKey
where
    Arc<Counter>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<AnyKey, Problem> {
        caller::vendor(&Arc::<Counter>::from_ref(state), parts).await?;
        Ok(AnyKey)
    }
}

/// The body of a request, as JSON. Names that the API does not know are refused, so that a
/// misspelt one is not silently without effect.
pub(crate) struct Input<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Input<T>
where
    Arc<Counter>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Input<T>, Problem> {
        let bytes_max = Arc::<Counter>::from_ref(state).settings.limits.api_body_bytes;
        let body = body::read(request.into_body(), bytes_max).await;
        let body = body.map_err(|unread| Problem::unread(&unread, bytes_max))?;
        let json = scim::json::parse(&body)
            .map_err(|error| Problem::invalid(error.detail(), "Send a JSON object"))?;
        // Without this, a list would be read as the fields of an object in their order.
        if !json.is_object() {
            return Err(Problem::invalid("the body is not an object", "Send a JSON object"));
        }
        match axum::Json::from_bytes(&body) {
            Ok(axum::Json(input)) => Ok(Input(input)),
            Err(rejection) => {
                let why = rejection.body_text();
                // What axum says first is that it could not do it; after that it says where and why.
                let why = why.split_once(": ").map_or(why.as_str(), |(_, why)| why);
                let hint = "Compare the body with the API reference";
                Err(Problem::invalid(format!("the body cannot be read: {why}"), hint))
            }
        }
    }
}

/// A part of a body that is an object. Without this, a list would be read as the fields of it in their
/// order, as at its top.
pub(crate) fn from_object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_map(OfObject(PhantomData))
}

struct OfObject<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OfObject<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(object))
    }
}

/// What a request asks of the state of what it is to change (RFC 9110 §13.1): it is looked at in the
/// transaction that changes it.
pub(crate) struct When(pub(crate) Precondition);

impl When {
    /// The same request, done only then.
    pub(crate) fn guard<W>(self, what: W) -> Guarded<W> {
        Guarded { precondition: self.0, what }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for When {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<When, Problem> {
        let tags = |name| tags_in(&parts.headers, &name);
        Ok(When(Precondition {
            among: tags(header::IF_MATCH),
            not_among: tags(header::IF_NONE_MATCH),
        }))
    }
}

/// Something that can be edited, with what stands for its state. The tag is weak: what can be read of
/// it beside that, such as counts, changes more often.
pub(crate) struct Tagged<V> {
    pub(crate) revision: Revision,
    pub(crate) view: V,
}

impl<V: Serialize> IntoResponse for Tagged<V> {
    fn into_response(self) -> Response {
        let mut response = axum::Json(self.view).into_response();
        let tag = format!("W/\"{}\"", self.revision.as_str());
        let tag = HeaderValue::try_from(tag).expect("a revision is ASCII");
        response.headers_mut().insert(header::ETAG, tag);
        response
    }
}

/// The parameters of the path. Those that are not even text are the ids of nothing.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(parameters)) => Ok(Path(parameters)),
            Err(_) => Err(Problem::not_found("resource")),
        }
    }
}

/// The parameters of the query. Names that the API does not know are refused here too: a list that
/// a misspelt one has not narrowed would be taken for one that it has.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query<T>, Problem> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(parameters)) => Ok(Query(parameters)),
            Err(rejection) => {
                // What axum says first is that it could not do it; below that it says why.
                let mut cause: &dyn std::error::Error = &rejection;
                while let Some(source) = cause.source() {
                    cause = source;
                }
                let hint = "Compare the parameters with the API reference";
                Err(Problem::invalid(format!("the query cannot be read: {cause}"), hint))
            }
        }
    }
}

/// A parameter of the path; what is not an id of the kind is the id of nothing.
pub(crate) fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::not_found(what))
}

/// Which page of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// The `next` of the page before.
    pub(crate) after: Option<String>,
    /// Entries at most, 1 to 1,000.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<String>,
}

impl PageQuery {
    pub(crate) fn limit(&self) -> Result<u64, Problem> {
        let Some(text) = &self.limit else { return Ok(PAGE_DEFAULT) };
        match text.parse() {
            Ok(limit @ 1..=PAGE_MAX) => Ok(limit),
            _ => Err(Problem::invalid(
                format!("`limit` is `{}`", cut(text, 20)),
                format!("Ask for 1 to {PAGE_MAX} entries"),
            )),
        }
    }

    pub(crate) fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, Problem> {
        let after = self.after.as_deref().map(str::parse).transpose();
        after.map_err(|_| {
            Problem::invalid("`after` is not a cursor of this list", "Send the `next` of a page")
        })
    }
}

/// A page of a list, and where it goes on.
#[derive(Debug, Serialize)]
pub(crate) struct PageOf<T> {
    pub(crate) data: Vec<T>,
    /// What to send as `after` for the next page; `null` on the last.
    pub(crate) next: Option<String>,
}

/// Cuts a list that was read with one entry too many, which tells whether there is more.
pub(crate) fn page_of<T, O>(
    mut entries: Vec<T>,
    limit: u64,
    cursor: impl Fn(&T) -> String,
    output: impl Fn(T) -> O,
) -> PageOf<O> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| has_more).map(cursor);
    PageOf { data: entries.into_iter().map(output).collect(), next }
}

/// A name that people give: not empty, not endless, without control characters.
pub(crate) fn check_name(field: &str, name: &str) -> Result<String, Problem> {
    let name = directory::as_name(name).ok_or_else(|| {
        Problem::invalid(
            format!(
                "`{field}` is empty, has more than {NAME_MAX} characters, or control characters"
            ),
            format!("Give `{field}` a short text"),
        )
    })?;
    Ok(name.to_owned())
}

/// A secret is not looked for where nothing is: without a key, every path is the same.
async fn unknown(_: AnyKey, OriginalUri(uri): OriginalUri) -> Response {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "There is no such path",
        format!("nothing is served at `{}`", cut(uri.path(), PATH_SHOWN_MAX)),
        "Compare the path with the API reference",
    )
    .into_response()
}

async fn wrong_method(_: AnyKey, request: Request) -> Response {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "The method cannot be used here",
        format!("this path does not know `{}`", request.method()),
        "The header `Allow` says what it knows",
    )
    .into_response()
}
