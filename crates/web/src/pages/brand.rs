//! Whose pages these are: the vendor's name, logo and accent colour.
//!
//! A colour that is chosen for a logo need not be one that can be read. So it is used as it is where
//! nothing is read, with black or white on it, whichever can be read, and made darker or lighter where
//! it is the colour of text.

use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use store::{Access, Branding};

use crate::pages::assets::address_of;

/// For how long a node may show pages as they were: somebody has changed them at another one.
const LOOKED_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// The looks of the pages as they are now: as the team has chosen them, or as the server was told.
#[derive(Debug)]
pub(crate) struct Brands {
    told: Arc<Brand>,
    known: RwLock<Known>,
}

#[derive(Debug)]
struct Known {
    brand: Arc<Brand>,
    /// As it is kept; nothing, where nobody has chosen.
    chosen: Option<Branding>,
    looked_at: Option<Timestamp>,
}

impl Brands {
    pub(crate) fn new(told: Arc<Brand>) -> Brands {
        let brand = Arc::clone(&told);
        Brands { told, known: RwLock::new(Known { brand, chosen: None, looked_at: None }) }
    }

    pub(crate) fn now(&self) -> Arc<Brand> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner).brand)
    }

    /// Whether the team has chosen them.
    pub(crate) fn is_chosen(&self) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).chosen.is_some()
    }

    /// Looks what is kept, where that was not done a moment ago. Where it cannot be, they stay as they are:
    /// a page that cannot be shown says so itself.
    pub(crate) async fn look(&self, access: &Access) {
        let now = access.now();
        let looked_at = self.known.read().unwrap_or_else(PoisonError::into_inner).looked_at;
        let is_new = looked_at.is_some_and(|it| now.duration_since(it) < LOOKED_AGAIN_AFTER);
        if !is_new {
            self.look_again(access).await;
        }
    }

    /// Looks what is kept.
    pub(crate) async fn look_again(&self, access: &Access) {
        let Ok(chosen) = access.branding().await else { return };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.looked_at = Some(access.now());
        if known.chosen != chosen {
            // What is kept was checked. Another version of Roster may have had other rules.
            let brand = chosen.as_ref().and_then(|it| Brand::read(it).ok()).map(Arc::new);
            known.brand = brand.unwrap_or_else(|| Arc::clone(&self.told));
            known.chosen = chosen;
        }
    }
}

/// What the pages look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brand {
    name: String,
    accent: Colour,
    logo: Option<Logo>,
    stylesheet: String,
    stylesheet_address: String,
}

/// A picture beside the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    extension: &'static str,
    content: Vec<u8>,
    address: String,
}

/// A colour of 24 bits, as `#0b62d6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour([u8; 3]);

/// What cannot be a brand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBrand {
    /// The name is none.
    #[error("the name `{0}` is empty, has more than 60 characters, or control characters")]
    Name(String),
    /// The colour is none.
    #[error("`{0}` is not a colour: write six hexadecimal digits, such as `#0b62d6`")]
    Colour(String),
    /// The logo is none.
    #[error("the logo is neither SVG nor PNG, or has more than 256 KiB")]
    Logo,
}

/// Characters of a name: it stands in a line beside others.
pub(crate) const NAME_MAX: usize = 60;

/// Bytes of a logo: it comes with the first page.
pub(crate) const LOGO_BYTES_MAX: usize = 256 * 1024;

/// How much lighter or darker text is than what is behind it (WCAG 2.2, 1.4.3), with something to
/// spare.
const CONTRAST_MIN: f64 = 4.6;

impl Default for Brand {
    fn default() -> Brand {
        let accent = Colour([0x1f, 0x5f, 0xd0]);
        Brand::new("Roster", accent, None).expect("the name is short")
    }
}

impl Brand {
    /// Checks the name.
    pub fn new(name: &str, accent: Colour, logo: Option<Logo>) -> Result<Brand, BadBrand> {
        let name = name.trim();
        let is_name = (1..=NAME_MAX).contains(&name.chars().count());
        if !is_name || name.chars().any(char::is_control) {
            return Err(BadBrand::Name(name.chars().take(NAME_MAX).collect()));
        }
        let stylesheet = stylesheet(accent);
        let stylesheet_address = address_of("brand", "css", stylesheet.as_bytes());
        Ok(Brand { name: name.to_owned(), accent, logo, stylesheet, stylesheet_address })
    }

    /// As it is kept.
    fn read(kept: &Branding) -> Result<Brand, BadBrand> {
        let picture = |text: &String| Logo::new(STANDARD.decode(text).map_err(|_| BadBrand::Logo)?);
        Brand::new(&kept.name, kept.accent.parse()?, kept.logo.as_ref().map(picture).transpose()?)
    }

    /// To be kept.
    pub(crate) fn kept(&self) -> Branding {
        Branding {
            name: self.name.clone(),
            accent: self.accent.to_string(),
            logo: self.logo.as_ref().map(|it| STANDARD.encode(&it.content)),
        }
    }

    /// What the vendor, or the app, is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn accent(&self) -> Colour {
        self.accent
    }

    pub(crate) fn logo(&self) -> Option<&Logo> {
        self.logo.as_ref()
    }

    pub(crate) fn stylesheet(&self) -> &str {
        &self.stylesheet
    }

    pub(crate) fn stylesheet_address(&self) -> &str {
        &self.stylesheet_address
    }
}

impl Logo {
    /// Looks what kind of picture it is.
    pub fn new(content: Vec<u8>) -> Result<Logo, BadBrand> {
        let is_svg = || {
            let text = std::str::from_utf8(&content).unwrap_or_default().trim_start();
            text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg"))
        };
        let extension = if content.starts_with(b"\x89PNG\r\n\x1a\n") {
            "png"
        } else if is_svg() {
            "svg"
        } else {
            return Err(BadBrand::Logo);
        };
        if content.len() > LOGO_BYTES_MAX {
            return Err(BadBrand::Logo);
        }
        let address = address_of("logo", extension, &content);
        Ok(Logo { extension, content, address })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn extension(&self) -> &'static str {
        self.extension
    }

    pub(crate) fn content(&self) -> &[u8] {
        &self.content
    }
}

impl FromStr for Colour {
    type Err = BadBrand;

    fn from_str(text: &str) -> Result<Colour, BadBrand> {
        let bad = || BadBrand::Colour(text.chars().take(40).collect());
        let digits = text.strip_prefix('#').unwrap_or(text);
        if digits.len() != 6 || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let bits = u32::from_str_radix(digits, 16).map_err(|_| bad())?;
        let [_, red, green, blue] = bits.to_be_bytes();
        Ok(Colour([red, green, blue]))
    }
}

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Colour([red, green, blue]) = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Colour {
    const WHITE: Colour = Colour([255; 3]);
    const BLACK: Colour = Colour([0; 3]);
    /// The darkest that text stands on in light pages, and the lightest in dark ones, as
    /// `roster.css` has them.
    const LIGHT_GROUND: Colour = Colour([0xf0, 0xf1, 0xf4]);
    const DARK_GROUND: Colour = Colour([0x26, 0x29, 0x30]);

    /// How much light it gives (WCAG 2.2, relative luminance).
    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let Colour([red, green, blue]) = self;
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    fn contrast(self, other: Colour) -> f64 {
        let (one, other) = (self.luminance() + 0.05, other.luminance() + 0.05);
        if one > other { one / other } else { other / one }
    }

    /// `parts` of a hundred nearer to another.
    fn towards(self, other: Colour, parts: u16) -> Colour {
        let mix = |from: u8, to: u8| {
            let mixed = u16::from(from) * (100 - parts) + u16::from(to) * parts;
            u8::try_from(mixed / 100).unwrap_or(u8::MAX)
        };
        Colour(std::array::from_fn(|it| mix(self.0[it], other.0[it])))
    }

    /// The nearest to it that can be read on a ground.
    fn readable_on(self, ground: Colour) -> Colour {
        let away = if ground.luminance() > 0.5 { Colour::BLACK } else { Colour::WHITE };
        let shades = (0..=100).step_by(4).map(|parts| self.towards(away, parts));
        shades.into_iter().find(|it| it.contrast(ground) >= CONTRAST_MIN).unwrap_or(away)
    }
}

fn stylesheet(accent: Colour) -> String {
    let is_light = accent.contrast(Colour::BLACK) > accent.contrast(Colour::WHITE);
    let on_accent = if is_light { Colour::BLACK } else { Colour::WHITE };
    let on_light = accent.readable_on(Colour::LIGHT_GROUND);
    let on_dark = accent.readable_on(Colour::DARK_GROUND);
    format!(
        "@layer tokens{{:root{{--accent:{accent};--on-accent:{on_accent};\
         --accent-text:light-dark({on_light},{on_dark})}}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_accent_text_can_be_read() {
        for text in ["#000000", "#ffffff", "#ffe600", "#1f5fd0", "#00ff88", "808080", "#ff0000"] {
            let accent: Colour = text.parse().unwrap();
            for ground in [Colour::LIGHT_GROUND, Colour::DARK_GROUND] {
                assert!(accent.readable_on(ground).contrast(ground) >= 4.5, "{text}");
            }
            let best = accent.contrast(Colour::BLACK).max(accent.contrast(Colour::WHITE));
            assert!(best >= 4.5, "{text}");
        }
        // One that can be read stays as it is.
        let accent: Colour = "#1f5fd0".parse().unwrap();
        assert_eq!(accent.readable_on(Colour::LIGHT_GROUND), accent);
    }

    #[test]
    fn what_cannot_be_a_brand_is_refused() {
        for text in ["", "#fff", "#12345g", "red", "#1234567"] {
            assert_eq!(text.parse::<Colour>(), Err(BadBrand::Colour(text.to_owned())));
        }
        let brand = |name: &str| Brand::new(name, Colour::BLACK, None);
        assert_eq!(brand("  "), Err(BadBrand::Name(String::new())));
        assert!(brand(&"x".repeat(61)).is_err());
        assert_eq!(brand(" Acme ").unwrap().name(), "Acme");
        assert_eq!(Logo::new(b"GIF89a".to_vec()), Err(BadBrand::Logo));
        assert_eq!(Logo::new(b" <svg/>".to_vec()).unwrap().extension(), "svg");
        assert_eq!(
            Logo::new([b"<svg>".to_vec(), vec![b' '; LOGO_BYTES_MAX]].concat()),
            Err(BadBrand::Logo)
        );
    }

    #[test]
    fn the_grounds_are_those_of_the_stylesheet() {
        let css = include_str!("../../assets/roster.css");
        for ground in [Colour::LIGHT_GROUND, Colour::DARK_GROUND] {
            assert!(css.contains(&ground.to_string()), "{ground} is not in roster.css");
        }
    }
}
