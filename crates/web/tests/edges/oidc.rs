//! Signing in by a provider of OpenID Connect, which is played here over real HTTP: it keeps to the
//! rules, unless it is told to break one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use directory::{Domain, MemberRole};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use ring::{digest, hmac};
use serde_json::{Value, json};
use web::{Limits, Settings, SignInProvider};

use crate::dashboard::{BEGINNING, Member, PASSWORD, Scene, element, noted};
use crate::portal::{FROM_HERE, shown};
use crate::server::{PUBLIC_URL, Reply, Server, text};

const BEGIN: &str = "/dashboard/sign-in/oidc";
const CALLBACK: &str = "/dashboard/sign-in/oidc/callback";
const CLIENT: &str = "roster";
const SECRET: &str = "s3cret of roster's";

/// A provider, as long as the process runs.
struct Provider {
    issuer: String,
    house: Arc<Mutex<House>>,
}

/// What is behind its doors.
struct House {
    issuer: String,
    keys: Keys,
    /// What was granted and not fetched yet, by its code.
    grants: HashMap<String, Grant>,
    granted: usize,
    /// Whether its discovery, or its token endpoint, is out of order.
    is_down: bool,
    gives_no_token: bool,
    /// What it says of people elsewhere than in tokens.
    user_info: Option<Value>,
}

struct Keys {
    name: String,
    pair: EcdsaKeyPair,
}

/// What somebody was asked for, and what is said of them.
struct Grant {
    challenge: String,
    claims: Value,
    signed: Signed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signed {
    Well,
    ByNobody,
    WithTheSecret,
    ByAStranger,
    Wrongly,
}

impl Keys {
    fn new(name: &str) -> Keys {
        let chance = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &chance).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &chance);
        Keys { name: name.to_owned(), pair: pair.expect("a key") }
    }

    fn published(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.name,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        }] })
    }

    fn token(&self, claims: &Value, signed: Signed) -> String {
        let algorithm = match signed {
            Signed::ByNobody => "none",
            Signed::WithTheSecret => "HS256",
            _ => "ES256",
        };
        let head = json!({ "alg": algorithm, "typ": "JWT", "kid": self.name });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&head), part(claims));
        let sign = |keys: &Keys| {
            let signature = keys.pair.sign(&SystemRandom::new(), text.as_bytes());
            signature.expect("it signs").as_ref().to_vec()
        };
        let signature = match signed {
            Signed::Well => sign(self),
            Signed::ByNobody => Vec::new(),
            Signed::ByAStranger => sign(&Keys::new("stranger")),
            Signed::WithTheSecret => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
                hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
            }
            Signed::Wrongly => {
                let mut signature = sign(self);
                signature[7] ^= 1;
                signature
            }
        };
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

type Door = State<Arc<Mutex<House>>>;

fn lock(house: &Mutex<House>) -> MutexGuard<'_, House> {
    house.lock().expect("nobody panicked in it")
}

fn answered(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

async fn discovery(State(house): Door) -> Response {
    let house = lock(&house);
    if house.is_down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let issuer = &house.issuer;
    answered(&json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize?tenant=7"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

async fn keys(State(house): Door) -> Response {
    answered(&lock(&house).keys.published())
}

async fn user_info(State(house): Door, headers: HeaderMap) -> Response {
    let shown = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
    match (&lock(&house).user_info, shown) {
        (Some(info), Some("Bearer opaque")) => answered(info),
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn token(State(house): Door, headers: HeaderMap, form: String) -> Response {
    let form: HashMap<_, _> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let refused = |status: StatusCode, error: &str| {
        (
            status,
            [(header::CONTENT_TYPE, "application/json")],
            json!({ "error": error }).to_string(),
        )
            .into_response()
    };
    let mut house = lock(&house);
    if house.is_down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let of_form = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    // RFC 6749 §2.3.1: both are escaped as a form escapes them.
    let proof: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let expected = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{proof}")));
    if headers.get(header::AUTHORIZATION).is_none_or(|it| it != expected.as_str()) {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let grant = house.grants.remove(of_form("code"));
    let hash = digest::digest(&digest::SHA256, of_form("code_verifier").as_bytes());
    let is_good = of_form("grant_type") == "authorization_code"
        && of_form("redirect_uri") == format!("{PUBLIC_URL}{CALLBACK}");
    match grant {
        Some(grant) if is_good && grant.challenge == URL_SAFE_NO_PAD.encode(hash) => {
            let mut answer =
                json!({ "access_token": "opaque", "token_type": "Bearer", "expires_in": 300 });
            if !house.gives_no_token {
                answer["id_token"] = house.keys.token(&grant.claims, grant.signed).into();
            }
            answered(&answer)
        }
        _ => refused(StatusCode::BAD_REQUEST, "invalid_grant"),
    }
}

impl Provider {
    fn start() -> Provider {
        let house = Arc::new(Mutex::new(House {
            issuer: String::new(),
            keys: Keys::new("first"),
            grants: HashMap::new(),
            granted: 0,
            is_down: false,
            gives_no_token: false,
            user_info: None,
        }));
        let doors = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(user_info))
            .with_state(Arc::clone(&house));
        let (ready, is_ready) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address: SocketAddr = listener.local_addr().expect("an address");
                ready.send(address).expect("somebody waits");
                loop {
                    let (stream, _) = listener.accept().await.expect("a connection");
                    let doors = doors.clone();
                    tokio::spawn(async move {
                        let service = hyper_util::service::TowerToHyperService::new(doors);
                        let stream = hyper_util::rt::TokioIo::new(stream);
                        let http = hyper::server::conn::http1::Builder::new();
                        let _ = http.serve_connection(stream, service).await;
                    });
                }
            });
        });
        let issuer = format!("http://{}", is_ready.recv().expect("it starts"));
        lock(&house).issuer.clone_from(&issuer);
        Provider { issuer, house }
    }

    /// As an operator says it.
    fn said(&self) -> SignInProvider {
        let secret = Some(SECRET.to_owned());
        SignInProvider::new(&self.issuer, CLIENT, secret, Some("Globex Login")).expect("a provider")
    }

    fn house(&self) -> MutexGuard<'_, House> {
        lock(&self.house)
    }

    /// Lets somebody in of whom all this is true; then says a code for them.
    fn grant(&self, asked: &Asked, claims: Value, signed: Signed) -> String {
        let mut house = self.house();
        house.granted += 1;
        let code = format!("code-{}", house.granted);
        let challenge = asked.field("code_challenge").to_owned();
        house.grants.insert(code.clone(), Grant { challenge, claims, signed });
        code
    }
}

/// A browser that was sent to the provider.
struct Asked {
    fields: HashMap<String, String>,
    /// What it keeps.
    cookie: String,
}

impl Asked {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_else(|| panic!("no `{name}`: {:?}", self.fields))
    }
}

/// The cookie of this name that an answer sets, as it is shown.
fn cookie(reply: &Reply, name: &str) -> Option<String> {
    let set = reply.headers.iter().filter(|(it, _)| it == "set-cookie").map(|(_, value)| value);
    let mut found = set.filter(|it| it.starts_with(&format!("{name}=")));
    found.next().map(|it| it.split(';').next().unwrap_or_default().to_owned())
}

fn scene(name: &str, provider: SignInProvider) -> Scene {
    let limits = Limits { guesses: None, rate: None, ..Limits::default() };
    let mut settings = Settings::new(PUBLIC_URL, "/scim/v2", limits).expect("good settings");
    settings.sign_in_provider = Some(Arc::new(provider));
    Scene::of(Server::start_told(name, settings))
}

/// Goes to the provider.
fn begin(scene: &Scene, provider: &Provider, next: &str) -> Asked {
    let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    let reply = scene.get(&format!("{BEGIN}?next={next}"));
    assert_eq!(reply.status, 303, "{reply:?}");
    let address = reply.header("location").expect("where it leads").to_owned();
    let expected = format!("{}/authorize?", provider.issuer);
    let query = address.strip_prefix(&expected).unwrap_or_else(|| panic!("{address}"));
    let fields: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let set = reply.header("set-cookie").expect("a cookie");
    for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/;", "Max-Age=600;"] {
        assert!(set.contains(attribute), "{set}");
    }
    let cookie = cookie(&reply, "__Host-sign-in").expect("a cookie");
    // What the browser keeps, the provider does not see.
    assert!(!address.contains(&cookie["__Host-sign-in=".len()..][..64]), "{address}");
    let asked = Asked { fields, cookie };
    for (name, value) in [
        ("client_id", CLIENT),
        ("response_type", "code"),
        ("code_challenge_method", "S256"),
        ("redirect_uri", &format!("{PUBLIC_URL}{CALLBACK}")),
        ("scope", "openid email profile"),
        ("tenant", "7"),
    ] {
        assert_eq!(asked.field(name), value);
    }
    asked
}

/// Comes back with a code.
fn back(scene: &Scene, asked: &Asked, code: &str) -> Reply {
    let path = format!("{CALLBACK}?code={code}&state={}", asked.field("state"));
    scene.server.call("GET", &path, &[("Cookie", &asked.cookie), ("User-Agent", "Tester/2")], b"")
}

/// What a provider says of somebody who asked it.
fn claims(scene: &Scene, provider: &Provider, asked: &Asked, subject: &str, email: &str) -> Value {
    let now = BEGINNING + scene.passed.get();
    json!({
        "iss": provider.issuer, "aud": CLIENT, "sub": subject, "iat": now, "exp": now + 300,
        "nonce": asked.field("nonce"), "email": email, "email_verified": true, "name": "Bo Lind",
    })
}

/// All of it, for somebody of whom it is said so.
fn sign_in(scene: &Scene, provider: &Provider, subject: &str, email: &str) -> Reply {
    let asked = begin(scene, provider, "");
    let claims = claims(scene, provider, &asked, subject, email);
    back(scene, &asked, &provider.grant(&asked, claims, Signed::Well))
}

/// Expects that somebody is signed in.
#[track_caller]
fn expect_in(scene: &Scene, reply: &Reply) -> Member {
    assert_eq!(reply.status, 303, "{reply:?}");
    let session = cookie(reply, "dashboard").expect("a session");
    assert_eq!(cookie(reply, "__Host-sign-in").as_deref(), Some("__Host-sign-in="), "{reply:?}");
    let session = session["dashboard=".len()..].to_owned();
    let member = Member { session, key: String::new() };
    assert!(member.is_in(scene));
    member
}

/// Expects that nobody is signed in, and that this is said.
#[track_caller]
fn expect_out(reply: &Reply, status: u16, said: &str) {
    let (found, page) = shown(reply);
    assert_eq!(found, status, "{page}");
    assert_eq!(cookie(reply, "dashboard"), None, "{reply:?}");
    assert!(page.contains(said), "{page}");
}

fn invite(scene: &Scene, owner: &Member, email: &str, role: &str) -> String {
    let reply = owner.post(scene, "/dashboard/members", &[("email", email), ("role", role)]);
    let (status, page) = shown(&reply);
    assert_eq!(status, 200, "{page}");
    let link = element(&page, "invitation");
    link.strip_prefix(PUBLIC_URL).expect("its address").to_owned()
}

#[test]
fn who_is_invited_joins_and_signs_in_without_a_password() {
    let provider = Provider::start();
    let scene = scene("oidc-joins", provider.said());
    let ana = scene.first();
    let (_, page) = shown(&scene.get("/dashboard/sign-in?next=%2Fdashboard%2Fmembers"));
    assert!(page.contains("Sign in with Globex Login"), "{page}");
    assert!(page.contains("/dashboard/sign-in/oidc?next=%2Fdashboard%2Fmembers"), "{page}");
    let link = invite(&scene, &ana, "bo@vendor.example", "developer");
    let (_, page) = shown(&scene.get(&link));
    assert!(page.contains("Join with Globex Login") && page.contains("Password"), "{page}");

    // Whoever has nothing but an account is not let in.
    let reply = sign_in(&scene, &provider, "cy", "cy@vendor.example");
    expect_out(&reply, 403, "Nobody here has the e-mail address cy@vendor.example");
    let reply = sign_in(&scene, &provider, "bo", "BO@vendor.example");
    assert_eq!(reply.header("location"), Some("/dashboard"));
    let bo = expect_in(&scene, &reply);
    let joined = &noted(&scene, "member.joined")[1];
    assert_eq!(joined["actor"]["name"], "Bo Lind", "{joined}");
    assert_eq!(joined["request_id"].as_str(), reply.header("x-request-id"));
    let (_, page) = shown(&bo.get(&scene, "/dashboard/account"));
    assert!(page.contains("bo@vendor.example") && page.contains("Tester/2"), "{page}");
    // The link is used up, and there is no password to guess.
    assert_eq!(shown(&scene.get(&link)).0, 404);
    for password in ["", PASSWORD] {
        let fields = [("email", "bo@vendor.example"), ("password", password), ("code", "000000")];
        expect_out(&scene.post("/dashboard/sign-in", &fields), 403, "is not right");
    }

    // The account is known again, whatever its address is.
    let reply = sign_in(&scene, &provider, "bo", "bo.lind@vendor.example");
    expect_in(&scene, &reply);
    let entry = &noted(&scene, "member.signed_in")[0];
    assert_eq!(entry["after"]["by"], "provider", "{entry}");
    assert_eq!(entry["actor"]["name"], "Bo Lind", "{entry}");
    // Nor does the address let another account in.
    let reply = sign_in(&scene, &provider, "bo-the-second", "bo@vendor.example");
    expect_out(&reply, 403, "signs in with another account at Globex Login");
    // Somebody with a password has both, and goes where they were led.
    let asked = begin(&scene, &provider, "/dashboard/members");
    let said = claims(&scene, &provider, &asked, "ana", "ana@vendor.example");
    let reply = back(&scene, &asked, &provider.grant(&asked, said, Signed::Well));
    assert_eq!(reply.header("location"), Some("/dashboard/members"));
    expect_in(&scene, &reply);
    scene.pass(60);
    let code = scene.code(&ana.key);
    let fields = [("email", "ana@vendor.example"), ("password", PASSWORD), ("code", &code)];
    assert_eq!(scene.post("/dashboard/sign-in", &fields).status, 303);

    // What is kept in the background is kept before what comes later.
    let why = |entry: &Value| entry["after"]["why"].as_str().unwrap_or_default().to_owned();
    let failed: Vec<_> = noted(&scene, "member.sign_in_failed").iter().map(why).collect();
    assert_eq!(failed, ["wrong_password", "wrong_password", "other_account"]);

    // Who is removed is out, with the account.
    let (_, page) = shown(&ana.get(&scene, "/dashboard/members"));
    let forms = page.split("action=\"").filter_map(|it| it.split_once('"')).map(|(path, _)| path);
    let of_bo = forms.into_iter().find(|path| path.ends_with("/remove")).expect("a form of Bo");
    let of_bo = of_bo.to_owned();
    assert_eq!(ana.post(&scene, &of_bo, &[]).status, 303);
    assert!(!bo.is_in(&scene));
    let reply = sign_in(&scene, &provider, "bo", "bo@vendor.example");
    expect_out(&reply, 403, "Nobody here has the e-mail address");
}

/// Comes back with a token of which one claim is another, or that is signed otherwise.
fn with_a_token(
    scene: &Scene,
    provider: &Provider,
    (name, value): (&str, Value),
    signed: Signed,
) -> Reply {
    let asked = begin(scene, provider, "");
    let mut claims = claims(scene, provider, &asked, "ana", "ana@vendor.example");
    if !name.is_empty() {
        claims[name] = value;
    }
    back(scene, &asked, &provider.grant(&asked, claims, signed))
}

#[track_caller]
fn expect_not_believed(scene: &Scene, reply: &Reply) {
    expect_out(reply, 403, "What Globex Login says of you cannot be believed");
    // It is over, and begins anew.
    assert_eq!(cookie(reply, "__Host-sign-in").as_deref(), Some("__Host-sign-in="), "{reply:?}");
    assert_eq!(noted(scene, "member.signed_in"), Vec::<Value>::new());
}

#[test]
fn a_token_with_a_wrong_claim_lets_nobody_in() {
    let provider = Provider::start();
    let scene = scene("oidc-claims", provider.said());
    scene.first();
    for claim in [
        ("nonce", json!("another")),
        ("nonce", Value::Null),
        ("aud", json!("another")),
        ("aud", json!([CLIENT, "another"])),
        ("aud", json!([])),
        ("azp", json!("another")),
        ("iss", json!("https://id.example")),
        ("exp", json!(BEGINNING - 61)),
        ("exp", Value::Null),
        ("sub", json!("")),
        ("sub", json!("x".repeat(256))),
    ] {
        expect_not_believed(&scene, &with_a_token(&scene, &provider, claim, Signed::Well));
    }
}

#[test]
fn a_token_that_is_not_signed_by_the_provider_lets_nobody_in() {
    let provider = Provider::start();
    let scene = scene("oidc-signatures", provider.said());
    scene.first();
    for signed in [Signed::ByNobody, Signed::WithTheSecret, Signed::ByAStranger, Signed::Wrongly] {
        let reply = with_a_token(&scene, &provider, ("", Value::Null), signed);
        expect_not_believed(&scene, &reply);
    }
    provider.house().gives_no_token = true;
    let reply = with_a_token(&scene, &provider, ("", Value::Null), Signed::Well);
    expect_not_believed(&scene, &reply);
}

#[test]
fn what_is_right_in_a_token_lets_somebody_in() {
    let provider = Provider::start();
    let scene = scene("oidc-good-tokens", provider.said());
    scene.first();
    for (name, value) in [
        ("azp", json!(CLIENT)),
        ("aud", json!([CLIENT])),
        // Clocks differ a little.
        ("exp", json!(BEGINNING - 30)),
        // As some providers write it.
        ("email_verified", json!("true")),
        ("name", json!("x".repeat(1_000))),
    ] {
        let asked = begin(&scene, &provider, "");
        let mut claims = claims(&scene, &provider, &asked, "ana", "ana@vendor.example");
        claims[name] = value;
        expect_in(&scene, &back(&scene, &asked, &provider.grant(&asked, claims, Signed::Well)));
    }
    // Some say elsewhere how somebody is reached.
    provider.house().user_info =
        Some(json!({ "sub": "ana", "email": "ana@vendor.example", "email_verified": true }));
    let without = |subject: &str| {
        let asked = begin(&scene, &provider, "");
        let mut claims = claims(&scene, &provider, &asked, subject, "");
        claims.as_object_mut().expect("claims").remove("email");
        back(&scene, &asked, &provider.grant(&asked, claims, Signed::Well))
    };
    expect_in(&scene, &without("ana"));
    // And not of somebody else.
    expect_out(&without("bo"), 403, "cannot be believed");
}

#[test]
fn a_key_that_is_new_is_fetched() {
    let provider = Provider::start();
    let scene = scene("oidc-keys", provider.said());
    scene.first();
    expect_in(&scene, &sign_in(&scene, &provider, "ana", "ana@vendor.example"));
    for name in ["second", "second"] {
        // Under another name, and under the same.
        provider.house().keys = Keys::new(name);
        expect_in(&scene, &sign_in(&scene, &provider, "ana", "ana@vendor.example"));
    }
}

#[test]
fn a_sign_in_ends_in_the_browser_in_which_it_was_begun() {
    let provider = Provider::start();
    let scene = scene("oidc-browsers", provider.said());
    scene.first();
    let (one, two) = (begin(&scene, &provider, ""), begin(&scene, &provider, ""));
    let said = claims(&scene, &provider, &one, "ana", "ana@vendor.example");
    let code = provider.grant(&one, said, Signed::Well);
    let call = |query: &str, cookie: &str| {
        scene.server.call("GET", &format!("{CALLBACK}?{query}"), &[("Cookie", cookie)], b"")
    };
    let state = one.field("state");
    let not_begun = "was not begun in this browser";
    for cookie in ["", "other=1", "__Host-sign-in=nonsense", two.cookie.as_str()] {
        let reply = call(&format!("code={code}&state={state}"), cookie);
        expect_out(&reply, 403, not_begun);
        // Whoever was on their way goes on: another site may not end that.
        assert_eq!(self::cookie(&reply, "__Host-sign-in"), None);
    }
    for query in ["", "code=a", &format!("code={code}"), &format!("code={code}&state=")] {
        expect_out(&call(query, &one.cookie), 403, not_begun);
    }
    let other = format!("code={code}&state={}", two.field("state"));
    expect_out(&call(&other, &one.cookie), 403, not_begun);
    let mixed_up = format!("code={code}&state={state}&iss=https%3A%2F%2Fid.example");
    expect_out(&call(&mixed_up, &one.cookie), 403, not_begun);
    // A code that was granted to another browser is good for nothing in this one.
    expect_out(&back(&scene, &two, &code), 403, "<code>invalid_grant</code>");
    let said = claims(&scene, &provider, &one, "ana", "ana@vendor.example");
    let code = provider.grant(&one, said, Signed::Well);
    expect_in(&scene, &back(&scene, &one, &code));
    // And good once.
    expect_out(&back(&scene, &one, &code), 403, "<code>invalid_grant</code>");
    assert_eq!(call("code=%00", &one.cookie).status, 400);
}

#[test]
fn nobody_is_led_elsewhere_by_signing_in() {
    let provider = Provider::start();
    let scene = scene("oidc-next", provider.said());
    scene.first();
    for (next, expected) in [
        ("/dashboard/members?q=a b", "/dashboard"),
        ("/dashboard/organizations?q=a%20b&after=c", "/dashboard/organizations?q=a%20b&after=c"),
        ("https://evil.example", "/dashboard"),
        ("//evil.example", "/dashboard"),
        ("/portal", "/dashboard"),
    ] {
        let asked = begin(&scene, &provider, next);
        let said = claims(&scene, &provider, &asked, "ana", "ana@vendor.example");
        let reply = back(&scene, &asked, &provider.grant(&asked, said, Signed::Well));
        assert_eq!(reply.header("location"), Some(expected), "{next}");
    }
    // Nor by whoever could write the cookie.
    let asked = begin(&scene, &provider, "");
    let kept = &asked.cookie["__Host-sign-in=".len()..][..64];
    let cookie = format!("__Host-sign-in={kept}.https%3A%2F%2Fevil.example");
    let said = claims(&scene, &provider, &asked, "ana", "ana@vendor.example");
    let code = provider.grant(&asked, said, Signed::Well);
    let reply = back(&scene, &Asked { cookie, ..asked }, &code);
    assert_eq!(reply.header("location"), Some("/dashboard"));
}

#[test]
fn what_the_provider_does_not_say_of_somebody_is_not_believed() {
    let provider = Provider::start();
    let said = provider.said();
    let domains = vec![Domain::any("vendor.example").expect("a domain")];
    let scene = scene("oidc-people", said.admitting(domains, None).expect("a provider"));
    let ana = scene.first();
    invite(&scene, &ana, "bo@vendor.example", "support");
    invite(&scene, &ana, "dee@elsewhere.example", "support");
    let with = |subject: &str, email: &str, verified: Value| {
        let asked = begin(&scene, &provider, "");
        let mut claims = claims(&scene, &provider, &asked, subject, email);
        claims["email_verified"] = verified;
        if claims["email_verified"].is_null() {
            claims.as_object_mut().expect("claims").remove("email_verified");
        }
        back(&scene, &asked, &provider.grant(&asked, claims, Signed::Well))
    };
    for verified in [json!(false), Value::Null] {
        for email in ["ana@vendor.example", "bo@vendor.example", "cy@vendor.example"] {
            let reply = with(email, email, verified.clone());
            expect_out(&reply, 403, "does not say that your e-mail address is verified");
        }
    }
    let reply = with("dee", "dee@elsewhere.example", json!(true));
    expect_out(&reply, 403, "has an e-mail address that is not let in here");
    let reply = with("cy", "cy@vendor.example", json!(true));
    expect_out(&reply, 403, "Nobody here has the e-mail address");
    // An invitation that has ended.
    scene.pass(7 * 24 * 60 * 60);
    let reply = with("bo", "bo@vendor.example", json!(true));
    expect_out(&reply, 403, "Your invitation has ended");
    // What is kept in the background is kept before what comes later.
    expect_in(&scene, &with("ana", "ana@vendor.example", json!(true)));
    let why = |entry: &Value| entry["after"]["why"].as_str().unwrap_or_default().to_owned();
    let entries = noted(&scene, "member.sign_in_failed");
    let failed: Vec<_> = entries.iter().map(why).collect();
    assert_eq!(failed, ["unverified_email", "unverified_email", "ended_invitation"]);
    let printed = serde_json::to_string(&entries).expect("JSON");
    assert!(!printed.contains("vendor.example"), "{printed}");
}

#[test]
fn somebody_may_be_let_in_whom_nobody_has_invited() {
    let provider = Provider::start();
    let domains = vec![Domain::any("vendor.example").expect("a domain")];
    let said = provider.said().trusting_addresses(true);
    let said = said.admitting(domains, Some(MemberRole::Support)).expect("a provider");
    let scene = scene("oidc-admits", said);
    let reply = sign_in(&scene, &provider, "cy", "cy@vendor.example");
    let cy = expect_in(&scene, &reply);
    let (_, page) = shown(&cy.get(&scene, "/dashboard/members"));
    assert!(page.contains("cy@vendor.example") && !page.contains("Invite somebody"), "{page}");
    let reply = sign_in(&scene, &provider, "eve", "eve@elsewhere.example");
    expect_out(&reply, 403, "has an e-mail address that is not let in here");
    // An address of which nothing is said is believed here; one that is not verified is not.
    let with = |subject: &str, verified: Option<bool>| {
        let asked = begin(&scene, &provider, "");
        let email = format!("{subject}@vendor.example");
        let mut claims = claims(&scene, &provider, &asked, subject, &email);
        claims.as_object_mut().expect("claims").remove("email_verified");
        if let Some(verified) = verified {
            claims["email_verified"] = verified.into();
        }
        back(&scene, &asked, &provider.grant(&asked, claims, Signed::Well))
    };
    expect_out(&with("fay", Some(false)), 403, "does not say that your e-mail address is verified");
    expect_in(&scene, &with("fay", None));
    let joined = noted(&scene, "member.joined");
    assert_eq!(joined.len(), 2, "{joined:?}");
    assert_eq!(joined[0]["after"]["role"], "support");
    assert_eq!(text(&joined[0]["actor"], "name"), "Bo Lind");
}

#[test]
fn a_provider_that_fails_is_said_to() {
    let provider = Provider::start();
    let scene = scene("oidc-down", provider.said());
    scene.first();
    provider.house().is_down = true;
    let reply = scene.get(BEGIN);
    expect_out(&reply, 503, "Globex Login could not be reached");
    provider.house().is_down = false;
    let asked = begin(&scene, &provider, "");
    let said = claims(&scene, &provider, &asked, "ana", "ana@vendor.example");
    let code = provider.grant(&asked, said, Signed::Well);
    provider.house().is_down = true;
    let reply = back(&scene, &asked, &code);
    assert!(matches!(reply.status, 403 | 503), "{reply:?}");
    assert_eq!(cookie(&reply, "dashboard"), None);
    provider.house().is_down = false;
    expect_in(&scene, &sign_in(&scene, &provider, "ana", "ana@vendor.example"));

    // It says no.
    for (error, said) in [
        ("access_denied", "<code>access_denied</code>"),
        ("%3Cscript%3E", "<code>an unknown error</code>"),
        ("", "<code>an unknown error</code>"),
    ] {
        let asked = begin(&scene, &provider, "");
        let query =
            format!("error={error}&error_description=Call+us&state={}", asked.field("state"));
        let path = format!("{CALLBACK}?{query}");
        let reply = scene.server.call("GET", &path, &[("Cookie", &asked.cookie)], b"");
        expect_out(&reply, 403, said);
        assert!(!shown(&reply).1.contains("Call us"), "what others write is not shown");
    }
}

#[test]
fn a_provider_that_is_not_there_is_said_to_be_out_of_reach() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let issuer = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    let said = SignInProvider::new(&issuer, CLIENT, None, None).expect("a provider");
    let scene = scene("oidc-nowhere", said);
    let reply = scene.get(BEGIN);
    // It has no name, so it is called by where it is.
    expect_out(&reply, 503, "127.0.0.1 could not be reached");
    // The password is a way in still.
    scene.first();
}

#[test]
fn an_owner_may_require_it_and_the_first_member_keeps_a_way_in() {
    let provider = Provider::start();
    let scene = scene("oidc-required", provider.said());
    let ana = scene.first();
    let bo = ana.invite(&scene, "bo@vendor.example", "developer");
    let path = "/dashboard/members/sign-in";
    // Nobody knows yet that it works.
    let reply = ana.post(&scene, path, &[("by", "provider")]);
    let (status, page) = shown(&reply);
    assert_eq!(status, 409, "{page}");
    assert!(page.contains("you have not signed in by the provider yourself"), "{page}");
    assert_eq!(shown(&bo.post(&scene, path, &[("by", "provider")])).0, 403);
    assert_eq!(shown(&ana.post(&scene, path, &[("by", "nonsense")])).0, 400);
    let again = expect_in(&scene, &sign_in(&scene, &provider, "ana", "ana@vendor.example"));
    assert!(bo.is_in(&scene));
    assert_eq!(again.post(&scene, path, &[("by", "provider")]).status, 303);
    assert!(again.is_in(&scene) && ana.is_in(&scene));
    assert!(!bo.is_in(&scene), "everybody else signs in again");
    let entries = noted(&scene, "team.updated");
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["actor"]["name"], "Ana");
    assert_eq!(entries[0]["before"], json!({ "provider_required": false }));
    assert_eq!(entries[0]["after"], json!({ "provider_required": true }));

    // A password is not enough, and only whoever has it is told so.
    scene.pass(60);
    let try_password = |email: &str, password: &str, key: &str| {
        let code = scene.code(key);
        let fields = [("email", email), ("password", password), ("code", code.as_str())];
        scene.post("/dashboard/sign-in", &fields)
    };
    let reply = try_password("bo@vendor.example", PASSWORD, &bo.key);
    expect_out(&reply, 403, "your team signs in with Globex Login alone");
    let reply = try_password("bo@vendor.example", "wrong", &bo.key);
    expect_out(&reply, 403, "E-mail address, password or code is not right");
    expect_in(&scene, &sign_in(&scene, &provider, "bo", "bo@vendor.example"));
    // What is kept in the background is kept before what comes later.
    let why = |entry: &Value| entry["after"]["why"].as_str().unwrap_or_default().to_owned();
    let failed: Vec<_> = noted(&scene, "member.sign_in_failed").iter().map(why).collect();
    assert_eq!(failed, ["password_not_allowed", "wrong_password"]);
    // The first member is who gets in when the provider fails.
    assert_eq!(try_password("ana@vendor.example", PASSWORD, &ana.key).status, 303);

    // Nor does anybody join with a password.
    let link = invite(&scene, &again, "cy@vendor.example", "support");
    let (_, page) = shown(&scene.get(&link));
    assert!(page.contains("Join with Globex Login"), "{page}");
    assert!(!page.contains("type=\"password\""), "{page}");
    let fields = [("name", "Cy"), ("password", PASSWORD), ("code", "000000")];
    assert_ne!(scene.server.call("POST", &link, &[FROM_HERE], b"name=Cy").status, 303);
    assert_ne!(scene.post(&link, &fields).status, 303);
    expect_in(&scene, &sign_in(&scene, &provider, "cy", "cy@vendor.example"));

    // Until it is said otherwise.
    assert_eq!(again.post(&scene, path, &[("by", "either")]).status, 303);
    scene.pass(30);
    assert_eq!(try_password("bo@vendor.example", PASSWORD, &bo.key).status, 303);
}

#[test]
fn tries_are_counted_by_where_they_come_from() {
    let provider = Provider::start();
    let scene = scene("oidc-tries", provider.said());
    let mut replies = std::iter::repeat_with(|| scene.get(BEGIN)).take(60);
    let last = replies.find(|reply| reply.status != 303).expect("it is too many at last");
    assert_eq!(shown(&last).0, 429, "{last:?}");
    assert!(last.header("retry-after").is_some_and(|it| it.parse::<u64>().is_ok()));
}

#[test]
fn without_a_provider_there_is_no_such_way() {
    let limits = Limits { guesses: None, rate: None, ..Limits::default() };
    let scene = Scene::of(Server::start("oidc-none", limits));
    let ana = scene.first();
    let (_, page) = shown(&scene.get("/dashboard/sign-in"));
    assert!(!page.contains("/oidc"), "{page}");
    for path in [BEGIN, CALLBACK] {
        assert_eq!(shown(&scene.get(path)).0, 404);
    }
    let reply = ana.post(&scene, "/dashboard/members/sign-in", &[("by", "provider")]);
    assert_eq!(shown(&reply).0, 404);
}
