//! What we hold ourselves to, compared with what was measured.

use crate::bench::{
    engine::Engine,
    figures::Spread,
    scenarios::{Bound, Figure, GOALS, Goal},
    stage::{Played, Spot, Start, thousands},
};

/// A goal and what came of it.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) what: String,
    pub(super) bound: Bound,
    pub(super) figure: Option<Spread>,
    /// `None` where it was not measured.
    pub(super) holds: Option<bool>,
}

/// All goals, in the order of the table.
pub(super) fn judge(
    engine: Engine,
    played: &[Played],
    starts: &[Start],
    sizes: &[usize],
    replaced_members: usize,
) -> Vec<Verdict> {
    let (smallest, largest) = (sizes[0], sizes[sizes.len() - 1]);
    let verdict = |goal: &Goal| {
        let figure = measured(goal.figure, played, starts, largest);
        let what = goal
            .what
            .replace("{smallest}", &thousands(smallest))
            .replace("{largest}", &thousands(largest))
            .replace("{members}", &thousands(replaced_members));
        Verdict {
            what,
            bound: goal.bound,
            figure,
            holds: figure.map(|figure| goal.bound.holds(figure)),
        }
    };
    GOALS.iter().filter(|it| it.on.is_none_or(|on| on == engine)).map(verdict).collect()
}

fn measured(figure: Figure, played: &[Played], starts: &[Start], largest: usize) -> Option<Spread> {
    let side = |scenario: &str, side: &str| {
        let played = played.iter().find(|it| it.scenario.name == scenario)?;
        let place = played.sides.iter().position(|it| it.key == side)?;
        Some((&played.figures, place))
    };
    let start = |is_empty| {
        starts.iter().find(|it| match it.spot {
            Spot::Fresh(_) => is_empty,
            Spot::Users(users) => !is_empty && users == largest,
            Spot::Directories | Spot::Log { .. } => false,
        })
    };
    match figure {
        Figure::Ratio { scenario, beside } => {
            let (figures, place) = side(scenario, beside)?;
            Some(figures.ratio(place))
        }
        Figure::Cost { scenario, side: name } => {
            let (figures, place) = side(scenario, name)?;
            // The first may be missing where there are too few people for it.
            (place > 0).then(|| figures.cost(place))
        }
        Figure::Tail { scenario, side: name } => {
            let (figures, place) = side(scenario, name)?;
            Some(figures.tail(place))
        }
        Figure::P99 { scenario, side: name } => {
            let (figures, place) = side(scenario, name)?;
            let time = figures.percentile(place, 99).as_secs_f64() * 1_000.0;
            Some(Spread::of(std::iter::once(time)))
        }
        Figure::Seconds { scenario, side: name } => {
            let (figures, place) = side(scenario, name)?;
            Some(figures.seconds(place))
        }
        Figure::Ready { is_empty } => Some(start(is_empty)?.ready),
        Figure::IdleMemory { is_empty } => Some(start(is_empty)?.idle),
        Figure::LoadMemory => {
            let of_largest = |played: &Played| {
                let sides = played.sides.iter().zip(&played.peaks);
                let peaks = sides.filter(|(side, _)| side.is_at(Spot::Users(largest)));
                peaks.filter_map(|(_, peak)| *peak).reduce(f64::max)
            };
            let most = played.iter().filter_map(of_largest).reduce(f64::max)?;
            Some(Spread::of(std::iter::once(most)))
        }
    }
}
