//! `/Bulk`: many operations in one request (RFC 7644 §3.7).
//!
//! Each operation is carried out by the function that serves the single request, is decided by
//! itself and is kept or not by itself: RFC 7644 §3.7 wants "as many changes as possible", and one
//! transaction for all would let the worst of a thousand operations undo the others. It would gain
//! nothing either, for changes that arrive together are kept together: operations that do not wait
//! for each other are handed in without waiting for the answers in between, and share a flush. They
//! are decided in the order in which they were handed in, each on what the earlier ones left.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use ::scim::Error;
use ::scim::bulk::{
    Act, BulkRequest, BulkResponse, Id, Operation, OperationResponse, Step, Target,
};
use ::scim::dialect::Quirks;
use ::scim::limit::BULK_BYTES_MAX;
use axum::http::{StatusCode, header};
use tokio::task::unconstrained;

use super::answer::Answer;
use super::{Call, Incoming, condition, groups, shortened, users};
use crate::caller;
use crate::error::Refusal;

const USERS: &str = "/Users";
const GROUPS: &str = "/Groups";

/// Operations that are handed in and not answered yet, at most. Enough to share a flush, few enough
/// that a large job leaves room for others in the queue.
const UNANSWERED_MAX: usize = 64;

/// `POST /Bulk`.
pub(super) async fn carry_out(call: &mut Call, incoming: Incoming<'_>) -> Result<Answer, Refusal> {
    let body = incoming.json(BULK_BYTES_MAX).await?;
    let preset = call.preset();
    let request = BulkRequest::parse(body, &[USERS, GROUPS], preset, &mut call.quirks)?;
    caller::count_operations(&call.counter, call.store.id(), request.operations.len())?;
    let mut job = Job::new(call, request);
    for step in job.request.steps() {
        if !job.make_room_for(step).await {
            break;
        }
        job.begin(step).await;
    }
    while job.finish_one().await {}
    job.undo_the_incomplete().await;
    let quirks = std::mem::take(&mut job.quirks);
    let answer = Answer::json(StatusCode::OK, &job.answer());
    call.quirks.note_all(&quirks);
    Ok(answer)
}

/// A bulk request that is being carried out.
struct Job<'a> {
    call: &'a Call,
    request: BulkRequest,
    /// Which operation creates what, by `bulkId`.
    creators: HashMap<String, usize>,
    /// What became of each operation so far.
    fates: Vec<Fate>,
    /// What was handed in, in that order.
    unanswered: VecDeque<(Step, Running)>,
    failures: usize,
    /// What was straightened of the operations.
    quirks: Quirks,
}

/// What became of an operation, and what of it was straightened.
type Running = Pin<Box<dyn Future<Output = (Result<Answer, Refusal>, Quirks)> + Send>>;

/// What became of an operation.
#[derive(Default)]
struct Fate {
    /// The id of what it created.
    id: Option<String>,
    /// What is still to be added to it.
    completion: Option<Operation>,
    /// What is answered. `None`: it is not over.
    response: Option<OperationResponse>,
}

impl<'a> Job<'a> {
    fn new(call: &'a Call, request: BulkRequest) -> Job<'a> {
        Job {
            call,
            creators: request.creators(),
            fates: request.operations.iter().map(|_| Fate::default()).collect(),
            request,
            unanswered: VecDeque::new(),
            failures: 0,
            quirks: Quirks::new(),
        }
    }

    /// Waits until the step can be begun; `false` when nothing more is to be begun.
    ///
    /// That is when the ids that it refers to are known, and when it would not be one too many even
    /// if everything that is not answered yet failed.
    async fn make_room_for(&mut self, step: Step) -> bool {
        let failures_max = self.request.failures_max.unwrap_or(usize::MAX);
        loop {
            if self.failures >= failures_max {
                return false;
            }
            let unanswered = self.unanswered.len();
            let has_room = unanswered < UNANSWERED_MAX && self.failures + unanswered < failures_max;
            if has_room && !self.waits(step) {
                return true;
            }
            self.finish_one().await;
        }
    }

    /// Whether it needs to know what something that is not answered yet creates.
    fn waits(&self, step: Step) -> bool {
        let is_unanswered =
            |place: usize| self.unanswered.iter().any(|(step, _)| place_of(*step) == place);
        let place = place_of(step);
        if let Step::Complete(_) = step
            && is_unanswered(place)
        {
            return true;
        }
        !self.unanswered.is_empty()
            && self.request.operations[place]
                .references()
                .filter_map(|bulk_id| self.creators.get(bulk_id))
                .any(|creator| is_unanswered(*creator))
    }

    /// Hands the step in.
    async fn begin(&mut self, step: Step) {
        let place = place_of(step);
        let operation = match step {
            Step::Whole(_) | Step::Begin(_) => self.request.operations[place].clone(),
            Step::Complete(_) => match self.fates[place].completion.take() {
                Some(completion) => completion,
                // It could not even be begun, and that was said.
                None => return,
            },
        };
        match self.ready(step, operation) {
            Ok(operation) => {
                let mut running = single(self.call, operation);
                // The first poll hands the change in, so changes are decided in the order of the
                // steps. It must not be stopped by the runtime's own limit of polls, after which a
                // later one could come first.
                let first = poll_fn(|context| Poll::Ready(running.as_mut().poll(context)));
                match unconstrained(first).await {
                    Poll::Ready((outcome, quirks)) => {
                        self.quirks.note_all(&quirks);
                        self.finish(step, outcome).await;
                    }
                    Poll::Pending => self.unanswered.push_back((step, running)),
                }
            }
            Err(error) => self.finish(step, Err(error.into())).await,
        }
    }

    /// The operation with ids instead of references.
    fn ready(&mut self, step: Step, mut operation: Operation) -> Result<Operation, Error> {
        if let Err(error) = &operation.act {
            return Err(error.clone());
        }
        let place = place_of(step);
        if let Step::Begin(_) = step {
            let is_open = |bulk_id: &str| {
                let creator = self.creators.get(bulk_id);
                creator.is_some_and(|it| self.fates[*it].response.is_none())
            };
            // Its id is not known yet; it is put in when it is.
            let completion = operation.take_references_to("", is_open);
            self.fates[place].completion = Some(completion);
        }
        operation.resolve(|bulk_id| self.find(bulk_id))?;
        if let Some(target) = &operation.target {
            // Whatever becomes of it, the answer can say where the resource is.
            self.request.operations[place].target = Some(target.clone());
        }
        Ok(operation)
    }

    /// The id of what an operation created.
    fn find(&self, bulk_id: &str) -> Result<String, Error> {
        let Some(&place) = self.creators.get(bulk_id) else {
            return Err(Error::invalid_value(format!(
                "`bulkId:{0}` refers to nothing: no `POST` of this request has the `bulkId` `{0}`",
                shortened(bulk_id)
            )));
        };
        self.fates[place].id.clone().ok_or_else(|| {
            Error::new(
                409,
                format!(
                    "`bulkId:{}` refers to a resource that could not be created; see its operation \
                     for the reason, and send both again",
                    shortened(bulk_id)
                ),
            )
        })
    }

    /// Waits for the answer to what was handed in first; `false` where there is nothing.
    async fn finish_one(&mut self) -> bool {
        let Some((step, running)) = self.unanswered.pop_front() else { return false };
        let (outcome, quirks) = running.await;
        self.quirks.note_all(&quirks);
        self.finish(step, outcome).await;
        true
    }

    /// Takes note of how a step ended, and takes back what cannot be completed.
    async fn finish(&mut self, step: Step, outcome: Result<Answer, Refusal>) {
        let place = place_of(step);
        let outcome = outcome.map_err(|refusal| refusal.tell(self.call.request_id));
        let fate = &mut self.fates[place];
        let target = &mut self.request.operations[place].target;
        if let (Ok(answer), Some(target)) = (&outcome, target)
            && let Some(id) = answer.header(&header::LOCATION).and_then(|it| it.rsplit('/').next())
        {
            fate.id = Some(id.to_owned());
            target.id = Some(Id::Known(id.to_owned()));
            if let Some(completion) = &mut fate.completion {
                completion.target = Some(target.clone());
            }
        }
        self.failures += usize::from(outcome.is_err());
        let is_incomplete = matches!((step, &outcome), (Step::Complete(_), Err(_)));
        fate.response = Some(match (step, outcome) {
            (Step::Whole(_), Ok(answer)) => succeeded(&answer),
            // This holds if it is not completed. It is, unless the request ends before.
            (Step::Begin(_), Ok(_)) => incomplete("the request ended at `failOnErrors` before"),
            // As if it had been created so.
            (Step::Complete(_), Ok(answer)) => {
                OperationResponse { status: "201".to_owned(), ..succeeded(&answer) }
            }
            (Step::Complete(_), Err(error)) => incomplete(error.detail()),
            (Step::Whole(_) | Step::Begin(_), Err(error)) => {
                fate.completion = None;
                failed(&error)
            }
        });
        if is_incomplete {
            self.undo(place).await;
        }
    }

    /// Takes back what was begun and is not completed any more, because the request has ended.
    async fn undo_the_incomplete(&mut self) {
        for place in 0..self.fates.len() {
            if self.fates[place].completion.is_some() {
                self.undo(place).await;
            }
        }
    }

    /// Deletes what was begun and cannot be completed. RFC 7644 §3.7: each operation is done whole
    /// or not at all, and a `POST` that failed has left nothing that could have a location.
    ///
    /// What was made a member of it, or has it as a member, is as after any other `DELETE`.
    async fn undo(&mut self, place: usize) {
        let fate = &mut self.fates[place];
        let mut operation = self.request.operations[place].clone();
        let (Some(id), Some(target)) = (fate.id.take(), &mut operation.target) else { return };
        target.id = Some(Id::Known(id.clone()));
        operation.act = Ok(Act::Delete);
        operation.version = None;
        let (outcome, _) = single(self.call, operation).await;
        let left = outcome.map_err(|refusal| refusal.tell(self.call.request_id)).err();
        // Somebody else was quicker where it is not there.
        let Some(error) = left.filter(|error| error.status() != 404) else { return };
        let detail = format!(
            "the resource was created without its references to resources that refer to it in \
             turn, and could not be taken back. Delete it, and send it again: {}",
            error.detail()
        );
        fate.id = Some(id);
        fate.response = Some(failed(&Error::new(409, detail)));
    }

    /// What is answered: RFC 7644 §3.7.3, "the result of all processed operations".
    fn answer(self) -> BulkResponse {
        let locations: Vec<_> = (0..self.fates.len()).map(|place| self.location(place)).collect();
        let operations = self.request.operations.into_iter().zip(self.fates).zip(locations);
        let responses = operations.filter_map(|((operation, fate), location)| {
            Some(OperationResponse {
                location,
                method: operation.method,
                bulk_id: operation.bulk_id,
                ..fate.response?
            })
        });
        BulkResponse::new(responses.collect())
    }

    /// Where the resource of an operation is. RFC 7644 §3.7.3: it is answered "for all operations
    /// except for failed POST operations".
    fn location(&self, place: usize) -> Option<String> {
        let operation = &self.request.operations[place];
        let Target { endpoint, id } = operation.target.as_ref()?;
        let id = match id.as_ref()? {
            Id::New(bulk_id) => self.fates[*self.creators.get(bulk_id)?].id.as_ref()?,
            Id::Known(_) if operation.creates() => self.fates[place].id.as_ref()?,
            Id::Known(id) => id,
        };
        Some(format!("{}{endpoint}/{id}", self.call.base))
    }
}

fn place_of(step: Step) -> usize {
    match step {
        Step::Whole(place) | Step::Begin(place) | Step::Complete(place) => place,
    }
}

/// Serves the operation as if it were a request of its own.
fn single(call: &Call, operation: Operation) -> Running {
    let mut call = Call {
        unknown_members: Vec::new(),
        request_id: call.request_id,
        counter: call.counter.clone(),
        store: call.store.clone(),
        base: call.base.clone(),
        query: call.query.clone(),
        condition: condition::of_operation(operation.version.as_deref()),
        is_brief: !call.asks_for_attributes(),
        quirks: Quirks::new(),
    };
    let (Some(Target { endpoint, id }), Ok(act)) = (operation.target, operation.act) else {
        unreachable!("what cannot be understood is not begun");
    };
    let id = match id {
        Some(Id::Known(id) | Id::New(id)) => id,
        None => String::new(),
    };
    let is_user = endpoint == USERS;
    Box::pin(async move {
        let call = &mut call;
        let outcome = match (act, is_user) {
            (Act::Create(data), true) => users::create(call, Incoming::Data(data)).await,
            (Act::Create(data), false) => groups::create(call, Incoming::Data(data)).await,
            (Act::Replace(data), true) => users::replace(call, &id, Incoming::Data(data)).await,
            (Act::Replace(data), false) => groups::replace(call, &id, Incoming::Data(data)).await,
            (Act::Patch(data), true) => users::patch(call, &id, Incoming::Data(data)).await,
            (Act::Patch(data), false) => groups::patch(call, &id, Incoming::Data(data)).await,
            (Act::Delete, true) => users::delete(call, &id).await,
            (Act::Delete, false) => groups::delete(call, &id).await,
        };
        (outcome, std::mem::take(&mut call.quirks))
    })
}

fn succeeded(answer: &Answer) -> OperationResponse {
    OperationResponse {
        version: version(answer),
        status: answer.status().as_str().to_owned(),
        response: answer.to_value(),
        ..OperationResponse::default()
    }
}

fn failed(error: &Error) -> OperationResponse {
    OperationResponse {
        status: error.status().to_string(),
        response: Some(error.to_json()),
        ..OperationResponse::default()
    }
}

/// Nothing is left of what could not be completed (RFC 7644 §3.7.1: 409).
fn incomplete(why: &str) -> OperationResponse {
    let detail = format!(
        "the resource was not created, because it refers to resources that refer to it in turn and \
         could not be completed: {why}"
    );
    failed(&Error::new(409, detail))
}

fn version(answer: &Answer) -> Option<String> {
    answer.header(&header::ETAG).map(str::to_owned)
}
