//! Bulk requests: each operation is carried out once, after what it refers to, and operations on
//! one resource stay in their order.

use std::collections::HashMap;

use scim::Error;
use scim::bulk::{Act, BulkRequest, Id, Operation, Step, Target};
use scim::limit::BULK_OPERATIONS_MAX;

use crate::{Choices, Header, make, unseen};

pub(crate) fn check(input: &[u8]) {
    let Some((header, rest)) = Header::read(input) else { return };
    let body = if header.is_made {
        make::bulk(&mut Choices::of_bytes(rest), 12)
    } else {
        let Ok(body) = scim::json::parse(rest) else { return };
        body
    };
    let endpoints = ["/Users", "/Groups"];
    let Ok(request) = BulkRequest::parse(body, &endpoints, header.preset, &mut unseen()) else {
        return;
    };
    assert!(request.operations.len() <= BULK_OPERATIONS_MAX);
    assert_ne!(request.failures_max, Some(0));
    for operation in &request.operations {
        check_operation(operation);
    }
    let steps = request.steps();
    check_each_once(&steps, request.operations.len());
    carry_out(request, &steps);
}

/// Who carries an operation out need not check this again.
fn check_operation(operation: &Operation) {
    let Ok(act) = &operation.act else { return };
    let target = operation.target.as_ref().expect("an act has a target");
    assert_eq!(matches!(act, Act::Create(_)), target.id.is_none());
    assert_eq!(matches!(act, Act::Create(_)), operation.creates());
    assert!(!operation.creates() || operation.bulk_id.is_some());
}

fn check_each_once(steps: &[Step], count: usize) {
    // What was done of each: nothing, its beginning, all of it.
    let mut done = vec![0; count];
    for step in steps {
        let (place, before, after) = match *step {
            Step::Whole(place) => (place, 0, 2),
            Step::Begin(place) => (place, 0, 1),
            Step::Complete(place) => (place, 1, 2),
        };
        assert_eq!(done[place], before, "{step:?} of {steps:?}");
        done[place] = after;
    }
    assert!(done.iter().all(|it| *it == 2), "{steps:?}");
}

/// Carries the steps out as a server would, whose every operation succeeds.
fn carry_out(mut request: BulkRequest, steps: &[Step]) {
    let creators = request.creators();
    let mut ids: HashMap<String, String> = HashMap::new();
    let mut latest: HashMap<Target, usize> = HashMap::new();
    let mut completions: HashMap<usize, Operation> = HashMap::new();
    for step in steps {
        let place = match *step {
            Step::Whole(place) | Step::Begin(place) | Step::Complete(place) => place,
        };
        let mut operation = match step {
            Step::Complete(_) => completions.remove(&place).expect("it was begun"),
            Step::Whole(_) | Step::Begin(_) => request.operations[place].clone(),
        };
        if operation.act.is_err() {
            continue;
        }
        // The order that the client sees on one resource is the one that it wrote.
        if let (Some(target), false) = (&operation.target, operation.creates())
            && *step == Step::Whole(place)
        {
            let before = latest.insert(target.clone(), place);
            assert!(before.is_none_or(|before| before < place), "{target:?}: {steps:?}");
        }
        if let Step::Begin(_) = step {
            let is_open = |name: &str| creators.contains_key(name) && !ids.contains_key(name);
            completions.insert(place, operation.take_references_to("new", is_open));
        }
        let mut missing = Vec::new();
        let resolved = operation.resolve(|name| {
            if creators.contains_key(name) && !ids.contains_key(name) {
                missing.push(name.to_owned());
            }
            ids.get(name).cloned().ok_or_else(|| Error::invalid_value("nobody"))
        });
        // One that could be created but for others that cannot be is another matter.
        let is_creatable = |name: &String| request.operations[creators[name]].act.is_ok();
        assert!(!missing.iter().any(is_creatable), "{missing:?} come later: {steps:?}");
        if resolved.is_ok() {
            let names_new = operation
                .target
                .as_ref()
                .is_some_and(|target| matches!(target.id, Some(Id::New(_))));
            assert!(!names_new, "{:?}", operation.target);
        }
        if let (true, Some(name)) = (request.operations[place].creates(), &operation.bulk_id) {
            ids.insert(name.clone(), format!("id-of-{name}"));
        }
        request.operations[place] = operation;
    }
}
