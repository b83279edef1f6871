//! What a filter means.
use super::*;
pub(super) fn resource(_: &Condition<Test>, _: &Map<String, Value>) -> bool {
    unimplemented!()
}
pub(super) fn value(_: &Condition<ValueTest>, _: &Value) -> bool {
    unimplemented!()
}
