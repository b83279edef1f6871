//! What the protocol itself costs: admission, PATCH, filters and projections, each beside the bare
//! reading or printing of the same bytes by `serde_json`.
//!
//! `cargo bench -p scim --bench protocol`. Read the medians, and each as a ratio to the baseline of its group: the
//! machine is a part of every figure.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use scim::admit::admit;
use scim::dialect::Quirks;
use scim::filter::{BoundFilter, Filter};
use scim::patch::Patch;
use scim::project::Projection;
use scim::{Preset, Resource, ResourceType};
use serde_json::{Map, Value};

fn main() {
    divan::main();
}

/// A person as Okta sends one.
const USER: &str = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"externalId":"00ujl29u0le5T6Aj10h7","userName":"Barbara.Jensen@acme.example","name":{"givenName":"Barbara","familyName":"Jensen","formatted":"Barbara Jensen"},"displayName":"Barbara Jensen","nickName":"Babs","title":"Tour Guide","userType":"Employee","preferredLanguage":"en-US","locale":"en-US","timezone":"America/Los_Angeles","active":true,"emails":[{"primary":true,"value":"barbara.jensen@acme.example","type":"work"},{"value":"babs@home.example","type":"home"}],"phoneNumbers":[{"value":"+1-555-0100","type":"work"},{"value":"+1-555-0101","type":"mobile"}],"addresses":[{"type":"work","streetAddress":"100 Universal City Plaza","locality":"Hollywood","region":"CA","postalCode":"91608","country":"US"}],"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"employeeNumber":"701984","costCenter":"4130","organization":"Universal Studios","division":"Theme Park","department":"Tour Operations","manager":{"value":"26118915-6090-4610-87e4-49d8ca9f808d"}}}"#;

/// What of them changes, as Entra says it.
const PATCH: &str = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"b.jensen@acme.example"},{"op":"Replace","path":"name.familyName","value":"Müller"},{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department","value":"Rides"},{"op":"Replace","path":"active","value":"False"}]}"#;

/// What providers ask for, and what an admin may type.
const FILTERS: [&str; 3] = [
    r#"userName eq "barbara.jensen@acme.example""#,
    r#"emails[type eq "work" and value eq "barbara.jensen@acme.example"]"#,
    r#"active eq true and (title co "guide" or name.familyName sw "j") and not (meta.lastModified lt "2026-01-01T00:00:00Z")"#,
];

fn quirks() -> Quirks {
    Quirks::new()
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}

fn resource() -> Resource {
    admit(value(USER), &ResourceType::user(), Preset::Lenient, &mut quirks())
        .expect("it is a user")
        .resource
}

/// As it is answered: with what only the server knows.
fn shown() -> Map<String, Value> {
    let Value::Object(mut shown) = value(USER) else { unreachable!("it is an object") };
    shown.insert("id".into(), "2819c223-7f76-453a-919d-413861904646".into());
    let meta = r#"{"resourceType":"User","created":"2026-01-23T04:56:22.000Z","lastModified":"2026-05-13T04:42:34.000Z","location":"https://roster.example/scim/v2/Users/2819c223-7f76-453a-919d-413861904646","version":"W/\"3\""}"#;
    shown.insert("meta".into(), value(meta));
    shown
}

mod admission {
    use super::{Bencher, BytesCount, Preset, ResourceType, USER, Value, admit, black_box, quirks};

    /// The same bytes, and nothing but JSON.
    #[divan::bench]
    fn baseline_serde_json(bencher: Bencher<'_, '_>) {
        bencher
            .counter(BytesCount::of_str(USER))
            .bench(|| serde_json::from_slice::<Value>(black_box(USER.as_bytes())));
    }

    /// Our reader, which also refuses doubles, depth and size.
    #[divan::bench]
    fn read(bencher: Bencher<'_, '_>) {
        bencher
            .counter(BytesCount::of_str(USER))
            .bench(|| scim::json::parse(black_box(USER.as_bytes())));
    }

    /// From bytes to a resource.
    #[divan::bench]
    fn read_and_admit(bencher: Bencher<'_, '_>) {
        let user = ResourceType::user();
        bencher.counter(BytesCount::of_str(USER)).bench(|| {
            let body = scim::json::parse(black_box(USER.as_bytes()))?;
            admit(body, &user, Preset::Lenient, &mut quirks())
        });
    }
}

mod patch {
    use super::{
        Bencher, PATCH, Patch, Preset, Resource, ResourceType, Value, black_box, quirks, resource,
        value,
    };

    /// What a server must do to change a kept text in any way: read it, and print it again.
    #[divan::bench]
    fn baseline_serde_json(bencher: Bencher<'_, '_>) {
        let kept = resource().to_text();
        bencher.bench(|| {
            let body: Value = serde_json::from_str(black_box(PATCH)).expect("it is JSON");
            let before: Value = serde_json::from_str(black_box(&kept)).expect("it is JSON");
            (body, before.to_string())
        });
    }

    #[divan::bench]
    fn parse(bencher: Bencher<'_, '_>) {
        let user = ResourceType::user();
        bencher.bench(|| {
            let body = scim::json::parse(black_box(PATCH.as_bytes()))?;
            Patch::parse(body, &user, Preset::Lenient, &mut quirks())
        });
    }

    #[divan::bench]
    fn apply(bencher: Bencher<'_, '_>) {
        let (user, before) = (ResourceType::user(), resource());
        let patch = Patch::parse(value(PATCH), &user, Preset::Lenient, &mut quirks());
        let patch = patch.expect("it is a patch");
        bencher.bench(|| patch.apply(black_box(&before), &user));
    }

    /// From the bytes of the patch and the kept text to the text that is kept.
    #[divan::bench]
    fn whole(bencher: Bencher<'_, '_>) {
        let (user, kept) = (ResourceType::user(), resource().to_text());
        bencher.bench(|| {
            let body = scim::json::parse(black_box(PATCH.as_bytes()))?;
            let patch = Patch::parse(body, &user, Preset::Lenient, &mut quirks())?;
            let before = Resource::from_text(black_box(&kept)).expect("it was kept");
            Ok::<_, scim::Error>(patch.apply(&before, &user)?.to_text())
        });
    }
}

mod filter {
    use super::{
        Bencher, BoundFilter, FILTERS, Filter, Preset, ResourceType, Value, black_box, quirks,
        shown,
    };

    fn compiled(text: &str, user: &ResourceType) -> Result<BoundFilter, scim::Error> {
        Filter::parse(text, Preset::Lenient, &mut quirks())?.bind(
            user,
            Preset::Lenient,
            &mut quirks(),
        )
    }

    /// What a filter is asked of: the reading of one resource, as a scan does it.
    #[divan::bench]
    fn baseline_serde_json(bencher: Bencher<'_, '_>) {
        let text = Value::from(shown()).to_string();
        bencher.bench(|| serde_json::from_str::<Value>(black_box(&text)));
    }

    /// Once per request.
    #[divan::bench(args = [0, 1, 2])]
    fn compile(bencher: Bencher<'_, '_>, filter: usize) {
        let user = ResourceType::user();
        bencher.bench(|| compiled(black_box(FILTERS[filter]), &user));
    }

    /// Once per resource that is looked at.
    #[divan::bench(args = [0, 1, 2])]
    fn matches(bencher: Bencher<'_, '_>, filter: usize) {
        let filter = compiled(FILTERS[filter], &ResourceType::user()).expect("it is a filter");
        let shown = shown();
        assert!(filter.matches(&shown), "{filter}");
        bencher.bench(|| filter.matches(black_box(&shown)));
    }
}

mod project {
    use super::{Bencher, Projection, ResourceType, Value, black_box, shown};

    const WANTED: &str = "userName,name.givenName,emails.value,active";

    /// Reading and printing the whole, which a projection cannot do without.
    #[divan::bench]
    fn baseline_serde_json(bencher: Bencher<'_, '_>) {
        let text = Value::from(shown()).to_string();
        bencher.bench(|| {
            let whole: Value = serde_json::from_str(black_box(&text)).expect("it is JSON");
            whole.to_string()
        });
    }

    /// Once per request.
    #[divan::bench]
    fn compile(bencher: Bencher<'_, '_>) {
        let user = ResourceType::user();
        bencher.bench(|| Projection::parse(black_box(Some(WANTED)), None, &user));
    }

    /// Once per resource, as it is answered.
    #[divan::bench]
    fn read_apply_and_print(bencher: Bencher<'_, '_>) {
        let text = Value::from(shown()).to_string();
        let projection = Projection::parse(Some(WANTED), None, &ResourceType::user());
        let projection = projection.expect("it is a projection");
        bencher.bench(|| {
            let whole = serde_json::from_str(black_box(&text)).expect("it is JSON");
            serde_json::to_string(&projection.apply(whole))
        });
    }
}
