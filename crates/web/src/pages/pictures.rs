//! Pictures for what people would rather look at than read: drawn on the server, as SVG, and said in words
//! for whoever does not see them. Their colours stand in the stylesheet.

use askama::Template;
use askama::filters::HtmlSafe;
use store::MinuteOfRequests;

/// Of how many minutes it is shown what happened in them.
pub(crate) const MINUTES: usize = 60;

/// How wide and high a picture is, in units of its own: it is as wide as there is room.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 64.0;

/// Bars beside each other, one for each stretch of time. Of what is not known there is none.
#[derive(Clone, Debug, Template)]
#[template(
    source = r#"<svg class="picture" role="img" viewBox="0 0 600 64" preserveAspectRatio="none" aria-label="{{ said }}">{% for bar in bars %}<rect class="{{ bar.class }}" x="{{ bar.x }}" y="{{ bar.y }}" width="{{ bar.width }}" height="{{ bar.height }}"><title>{{ bar.title }}</title></rect>{% endfor %}<line class="base" x1="0" y1="64" x2="600" y2="64"/></svg>"#,
    ext = "html"
)]
pub(crate) struct Bars {
    /// The same in words.
    said: String,
    bars: Vec<Bar>,
}

impl HtmlSafe for Bars {}

#[derive(Clone, Debug)]
struct Bar {
    class: &'static str,
    title: String,
    x: String,
    y: String,
    width: String,
    height: String,
}

/// One stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) all: u64,
    /// How many of them went wrong.
    pub(crate) bad: u64,
}

impl Bars {
    /// The same in words.
    pub(crate) fn said(&self) -> &str {
        &self.said
    }

    /// `said`: the same in words. `title` says what one of them is, by its place.
    pub(crate) fn new(
        said: String,
        stretches: &[Option<Stretch>],
        title: impl Fn(usize, Stretch) -> String,
    ) -> Bars {
        let most = stretches.iter().flatten().map(|it| it.all).max().unwrap_or(0).max(1);
        let step = WIDTH / as_f64(stretches.len().max(1) as u64);
        let bar = |class, place: usize, stretch: Stretch, count: u64| {
            // What is there at all is seen.
            let height = (as_f64(count) / as_f64(most) * HEIGHT).max(1.5);
            Bar {
                class,
                title: title(place, stretch),
                x: short(as_f64(place as u64) * step + step * 0.1),
                y: short(HEIGHT - height),
                width: short(step * 0.8),
                height: short(height),
            }
        };
        let mut bars = Vec::new();
        for (place, stretch) in stretches.iter().enumerate() {
            let Some(stretch) = *stretch else { continue };
            if stretch.all > 0 {
                bars.push(bar("all", place, stretch, stretch.all));
            }
            if stretch.bad > 0 {
                bars.push(bar("bad", place, stretch, stretch.bad));
            }
        }
        Bars { said, bars }
    }
}

/// How something rises and falls: a line, with the ground below it filled.
#[derive(Clone, Debug, Template)]
#[template(
    source = r#"<svg class="picture" role="img" viewBox="0 0 600 64" preserveAspectRatio="none" aria-label="{{ said }}">{% if !area.is_empty() %}<path class="area" d="{{ area }}"/><path class="line" d="{{ path }}" vector-effect="non-scaling-stroke"/>{% endif %}<line class="base" x1="0" y1="64" x2="600" y2="64"/></svg>"#,
    ext = "html"
)]
pub(crate) struct Line {
    said: String,
    path: String,
    area: String,
}

impl HtmlSafe for Line {}

impl Line {
    /// The same in words.
    pub(crate) fn said(&self) -> &str {
        &self.said
    }

    pub(crate) fn new(said: String, values: &[f64]) -> Line {
        let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let step = WIDTH / as_f64(values.len().saturating_sub(1).max(1) as u64);
        let point = |(place, value): (usize, &f64)| {
            let y = HEIGHT - (value / most).clamp(0.0, 1.0) * (HEIGHT - 4.0) - 2.0;
            format!("{} {}", short(as_f64(place as u64) * step), short(y))
        };
        let points: Vec<_> = values.iter().enumerate().map(point).collect();
        if points.is_empty() {
            return Line { said, path: String::new(), area: String::new() };
        }
        let path = format!("M{}", points.join("L"));
        let end = short(as_f64(values.len().saturating_sub(1) as u64) * step);
        let area = format!("{path}L{end} 64L0 64Z");
        Line { said, path, area }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a picture is not that exact")]
pub(crate) fn as_f64(number: u64) -> f64 {
    number as f64
}

fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn ago(place: usize) -> String {
    match MINUTES - 1 - place {
        0 => "now".to_owned(),
        1 => "a minute ago".to_owned(),
        minutes => format!("{minutes} minutes ago"),
    }
}

/// Requests of the last hour, minute by minute.
pub(crate) fn requests_pictured(minutes: &[Option<MinuteOfRequests>]) -> Bars {
    let stretches: Vec<_> =
        minutes.iter().map(|it| it.map(|it| Stretch { all: it.all, bad: it.failed })).collect();
    let known = || stretches.iter().flatten();
    let (all, bad): (u64, u64) = (known().map(|it| it.all).sum(), known().map(|it| it.bad).sum());
    let most = known().map(|it| it.all).max().unwrap_or(0);
    let of = if known().count() == MINUTES {
        "in the last hour".to_owned()
    } else {
        format!("in the last {} minutes", known().count())
    };
    let said = format!("{all} {of}, {bad} of them failed; {most} in the busiest minute.");
    Bars::new(said, &stretches, |place, it| {
        format!("{}: {}, {} failed", ago(place), it.all, it.bad)
    })
}

/// Events of the last hour, minute by minute.
pub(crate) fn events_pictured(minutes: &[u64]) -> Bars {
    let stretches: Vec<_> = minutes.iter().map(|it| Some(Stretch { all: *it, bad: 0 })).collect();
    let (all, most) = (minutes.iter().sum::<u64>(), minutes.iter().max().copied().unwrap_or(0));
    let said = format!("{all} in the last hour; {most} in the busiest minute.");
    Bars::new(said, &stretches, |place, it| format!("{}: {}", ago(place), it.all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_drawn_and_what_is_little_is_seen() {
        let stretches = [
            None,
            Some(Stretch::default()),
            Some(Stretch { all: 1, bad: 0 }),
            Some(Stretch { all: 1_000, bad: 1_000 }),
        ];
        let bars =
            Bars::new("said".to_owned(), &stretches, |place, it| format!("{place}: {}", it.all));
        let titles: Vec<_> = bars.bars.iter().map(|it| it.title.as_str()).collect();
        assert_eq!(titles, ["2: 1", "3: 1000", "3: 1000"]);
        assert_eq!(bars.bars[0].height, "1.5");
        assert_eq!(bars.bars[1].y, "0");
        let html = bars.render().unwrap();
        assert!(html.contains("aria-label=\"said\""), "{html}");
    }

    #[test]
    fn a_line_goes_from_one_side_to_the_other() {
        let line = Line::new("said".to_owned(), &[0.0, 2.0, 1.0]);
        assert_eq!(line.path, "M0 62L300 2L600 32");
        assert_eq!(line.area, "M0 62L300 2L600 32L600 64L0 64Z");
        assert!(Line::new(String::new(), &[]).path.is_empty());
        assert_eq!(Line::new(String::new(), &[1.0]).path, "M0 2");
    }
}
