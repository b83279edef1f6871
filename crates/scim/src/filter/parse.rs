//! The grammar.
use super::*;
pub(super) fn filter(_: &str, _: Preset, _: &mut Quirks) -> Result<Filter, Error> {
    unimplemented!()
}
pub(super) fn value_filter(_: &str, _: Preset, _: &mut Quirks) -> Result<Filter, Error> {
    unimplemented!()
}
