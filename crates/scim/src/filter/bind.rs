//! From names and literals to attributes and typed operands.
use super::*;
pub(super) fn filter(
    _: &Filter,
    _: &ResourceType,
    _: Preset,
    _: &mut Quirks,
) -> Result<Condition<Test>, Error> {
    unimplemented!()
}
pub(super) fn value_filter(
    _: &Filter,
    _: &Attribute,
    _: Preset,
    _: &mut Quirks,
) -> Result<Condition<ValueTest>, Error> {
    unimplemented!()
}
