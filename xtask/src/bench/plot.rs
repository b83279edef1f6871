//! Plots: horizontal bars in SVG, legible on light and on dark paper.

use std::fmt::Write as _;

use crate::bench::figures::Spread;

/// One bar.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    /// Bars of one heading stand together.
    pub(super) heading: String,
    pub(super) label: String,
    pub(super) value: Spread,
    /// What is written behind it.
    pub(super) text: String,
    pub(super) color: Color,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Color {
    /// What the plot is about.
    Ours,
    /// What it is compared with.
    Other,
    /// What should not be.
    Wrong,
}

const WIDTH: f64 = 900.0;
const LABELS: f64 = 330.0;
const VALUES: f64 = 170.0;
const ROW: f64 = 22.0;
const HEADING: f64 = 30.0;
const TOP: f64 = 56.0;

/// Light and dark by what the reader's system asks for. The colors are told apart by people who see
/// red and green alike.
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1b1f24}.title{font-size:16px;font-weight:600}\
.heading{font-weight:600}.note{fill:#59636e}.grid{stroke:#d1d9e0}.whisker{stroke:#1b1f24;stroke-width:1.5}\
.ours{fill:#0969da}.other{fill:#9aa4af}.wrong{fill:#d1570a}.paper{fill:#fff}.mark{stroke:#1b1f24;stroke-width:2}\
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}.grid{stroke:#3d444d}\
.whisker,.mark{stroke:#e6edf3}.ours{fill:#4493f8}.other{fill:#656c76}.wrong{fill:#f0883e}.paper{fill:#0d1117}}";

/// Draws bars. `mark` is a value with a line of its own.
pub(super) fn bars(title: &str, note: &str, bars: &[Bar], mark: Option<f64>) -> String {
    let values = bars.iter().flat_map(|bar| [bar.value.median, bar.value.max]).chain(mark);
    let most = values.clone().fold(0.0, f64::max);
    let least = bars.iter().map(|bar| bar.value.min.max(f64::MIN_POSITIVE)).fold(most, f64::min);
    let (room, zero) = (WIDTH - LABELS - VALUES, least.log10().floor());
    // Each step of the grid is ten times the last: values lie far apart.
    let steps = (most.log10().ceil() - zero).max(1.0);
    let place = |value: f64| room * (value.max(least).log10() - zero) / steps;

    let mut body = String::new();
    let (mut y, mut heading) = (TOP, "");
    for bar in bars {
        if bar.heading != heading {
            heading = &bar.heading;
            y += HEADING;
            let (at, heading) = (y - 9.0, escaped(heading));
            write!(body, r#"<text class="heading" x="16" y="{at:.0}">{heading}</text>"#)
                .expect("text takes what is written");
        }
        let (middle, base) = (y + ROW / 2.0, y + ROW / 2.0 + 4.5);
        let class = match bar.color {
            Color::Ours => "ours",
            Color::Other => "other",
            Color::Wrong => "wrong",
        };
        let length = place(bar.value.median).max(1.0);
        let (from, to) = (LABELS + place(bar.value.min), LABELS + place(bar.value.max));
        let behind = to.max(LABELS + length) + 8.0;
        let (label, text) = (escaped(&bar.label), escaped(&bar.text));
        let (label_x, bar_y, height) = (LABELS - 10.0, y + 4.0, ROW - 8.0);
        write!(
            body,
            r#"<text x="{label_x:.0}" y="{base:.1}" text-anchor="end">{label}</text><rect class="{class}" x="{LABELS:.0}" y="{bar_y:.1}" width="{length:.1}" height="{height:.0}" rx="2"/><line class="whisker" x1="{from:.1}" x2="{to:.1}" y1="{middle:.1}" y2="{middle:.1}"/><text class="note" x="{behind:.1}" y="{base:.1}">{text}</text>"#
        )
        .expect("text takes what is written");
        y += ROW;
    }
    let (height, bottom) = (y + 16.0, y + 2.0);
    let mut grid = String::new();
    let mut value = 10_f64.powf(zero);
    while value <= most * 10.0 && place(value) <= room {
        let (x, above, text) = (LABELS + place(value), TOP + 4.0, plain(value));
        write!(
            grid,
            r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{above:.0}" y2="{bottom:.0}"/><text class="note" x="{x:.1}" y="{TOP:.0}" text-anchor="middle">{text}</text>"#
        )
        .expect("text takes what is written");
        value *= 10.0;
    }
    if let Some(mark) = mark {
        let (x, above) = (LABELS + place(mark), TOP + 4.0);
        write!(
            grid,
            r#"<line class="mark" x1="{x:.1}" x2="{x:.1}" y1="{above:.0}" y2="{bottom:.0}"/>"#
        )
        .expect("text takes what is written");
    }
    let (title, note) = (escaped(title), escaped(note));
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0} {height:.0}" role="img"><title>{title}</title><style>{STYLE}</style><rect class="paper" width="100%" height="100%"/><text class="title" x="16" y="24">{title}</text><text class="note" x="16" y="42">{note}</text>{grid}{body}</svg>
"#
    )
}

/// A power of ten, in as few characters as there are.
fn plain(value: f64) -> String {
    if value >= 1_000_000.0 {
        format!("{:.0} M", value / 1_000_000.0)
    } else if value >= 1_000.0 {
        format!("{:.0} k", value / 1_000.0)
    } else if value >= 1.0 {
        format!("{value:.0}")
    } else {
        format!("{value}")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(median: f64) -> Bar {
        Bar {
            heading: "getting <one>".to_owned(),
            label: "Roster & others".to_owned(),
            value: Spread { median, min: median / 2.0, max: median * 2.0 },
            text: format!("{median}/s"),
            color: Color::Ours,
        }
    }

    #[test]
    fn a_bar_is_as_long_as_its_value() {
        // From 10 to 100, of the 400 that there is room for.
        let drawn = bars("Speed", "", &[bar(20.0), bar(50.0)], None);
        assert!(
            drawn.contains(r#"width="120.4""#) && drawn.contains(r#"width="279.6""#),
            "{drawn}"
        );
        assert!(drawn.contains("getting &lt;one&gt;") && drawn.contains("Roster &amp; others"));
    }

    #[test]
    fn each_step_of_the_grid_is_ten_times_the_last() {
        let drawn = bars("Speed", "", &[bar(20.0), bar(40_000.0)], None);
        for step in ["10", "100", "1 k", "10 k", "100 k"] {
            assert!(drawn.contains(&format!(r#"text-anchor="middle">{step}</text>"#)), "{step}");
        }
    }
}
