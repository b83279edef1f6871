//! Stylesheet, scripts and pictures. They are in the binary, under names that change with what is in
//! them, so that browsers keep them for a year. A debug build reads them from the disk: whoever works on
//! them sees a change with the next page.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ring::digest::{SHA256, digest};

use crate::Counter;
use crate::pages::brand::Brand;

/// One file of `crates/web/assets`.
struct Asset {
    stem: &'static str,
    extension: &'static str,
    embedded: &'static [u8],
    path: &'static str,
}

macro_rules! asset {
    ($stem:literal . $extension:literal) => {
        Asset {
            stem: $stem,
            extension: $extension,
            embedded: include_bytes!(concat!("../../assets/", $stem, ".", $extension)),
            path: concat!(env!("CARGO_MANIFEST_DIR"), "/assets/", $stem, ".", $extension),
        }
    };
}

const ASSETS: &[Asset] = &[asset!("roster"."css"), asset!("roster"."js"), asset!("icon"."svg")];

/// How long the part of a name is that changes with what is in it.
const DIGITS: usize = 16;

impl Asset {
    fn content(&self) -> Cow<'static, [u8]> {
        if cfg!(debug_assertions)
            && let Ok(current) = std::fs::read(self.path)
        {
            return Cow::Owned(current);
        }
        Cow::Borrowed(self.embedded)
    }
}

/// The address of a file of ours.
pub(crate) fn address(name: &str) -> String {
    let asset = ASSETS.iter().find(|it| name.split_once('.') == Some((it.stem, it.extension)));
    let asset = asset.expect("templates name files that there are, which a test sees");
    address_of(asset.stem, asset.extension, &asset.content())
}

/// The address of something, by what is in it.
pub(crate) fn address_of(stem: &str, extension: &str, content: &[u8]) -> String {
    let mut address = format!("/assets/{stem}-");
    for byte in &digest(&SHA256, content).as_ref()[..DIGITS / 2] {
        write!(address, "{byte:02x}").expect("text takes it");
    }
    address + "." + extension
}

/// `GET /assets/{name}`.
pub(crate) async fn get(State(counter): State<Arc<Counter>>, Path(name): Path<String>) -> Response {
    let asked = format!("/assets/{name}");
    for asset in ASSETS {
        let content = asset.content();
        if address_of(asset.stem, asset.extension, &content) == asked {
            return found(asset.extension, content.into_owned());
        }
    }
    if let Some(found) = of_brand(&counter.brands.now(), &asked) {
        return found;
    }
    // Another node may have shown the page that asks for it.
    counter.brands.look(&counter.access).await;
    let found = of_brand(&counter.brands.now(), &asked);
    found.unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

fn of_brand(brand: &Brand, asked: &str) -> Option<Response> {
    if brand.stylesheet_address() == asked {
        return Some(found("css", brand.stylesheet().as_bytes().to_vec()));
    }
    let logo = brand.logo().filter(|it| it.address() == asked)?;
    Some(found(logo.extension(), logo.content().to_vec()))
}

fn found(extension: &str, content: Vec<u8>) -> Response {
    let media_type = match extension {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        _ => "application/octet-stream",
    };
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // A picture that is opened by itself runs nothing.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (headers, content).into_response()
}

/// All there are, for whoever shows pages without a server.
#[cfg(test)]
pub(crate) fn all() -> Vec<(String, Cow<'static, [u8]>)> {
    let with_address = |asset: &Asset| {
        let content = asset.content();
        (address_of(asset.stem, asset.extension, &content), content)
    };
    ASSETS.iter().map(with_address).collect()
}
