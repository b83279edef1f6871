//! Requests to one directory, as Okta sends them, and the state that they are made from: who is
//! there already, who comes next, whose turn it is.

use std::fmt::Write as _;

use crate::bench::{
    client::{Request, Work},
    person,
};

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// A directory and what is known of it.
#[derive(Debug)]
pub(super) struct Crowd {
    /// Of its base URL.
    pub(super) path: String,
    pub(super) token: String,
    /// The ids of the people who are there from the beginning: that of person 0 first.
    pub(super) ids: Vec<String>,
    pub(super) groups: Vec<Group>,
    /// The number of the next person to be created.
    next: usize,
    /// How many were replaced and patched so far.
    changed: usize,
    /// Of the numbers that are made by chance, always the same.
    chance: u64,
}

/// A group. Who belongs to it is spread over all people, so that one part of the list of everybody is
/// like another: see [`Crowd::member`].
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) name: String,
    /// How many belong to it from the beginning.
    pub(super) members: usize,
    /// How many more were added, one after the other.
    added: usize,
    /// Whether its members are those that it was replaced with last, and not its first ones.
    is_replaced: bool,
}

impl Group {
    pub(super) fn new(id: String, name: String, members: usize) -> Group {
        Group { id, name, members, added: 0, is_replaced: false }
    }
}

/// One line of headers more or less, for the method and the path.
pub(super) fn request(
    (method, path): (&str, &str),
    token: &str,
    body: &str,
    status: u16,
) -> Request {
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nuser-agent: Okta SCIM Client 1.0.0\r\n\
         accept: application/scim+json, application/json\r\nauthorization: Bearer {token}\r\n"
    );
    if !body.is_empty() {
        let kind =
            if path.starts_with("/api/") { "application/json" } else { "application/scim+json" };
        let length = body.len();
        write!(text, "content-type: {kind}; charset=utf-8\r\ncontent-length: {length}\r\n")
            .expect("text takes what is written");
    }
    text += "\r\n";
    text += body;
    Request { bytes: text.into_bytes(), status }
}

impl Crowd {
    pub(super) fn new(path: String, token: String, ids: Vec<String>, groups: Vec<Group>) -> Crowd {
        let next = ids.len();
        Crowd { path, token, ids, groups, next, changed: 0, chance: 0x9E37_79B9_7F4A_7C15 }
    }

    /// People who were created, from the beginning and since.
    pub(super) fn people(&self) -> usize {
        self.next
    }

    pub(super) fn request(&self, method: &str, path: &str, body: &str, status: u16) -> Request {
        request((method, &format!("{}{path}", self.path)), &self.token, body, status)
    }

    /// The id of a member of groups: the first 1,000 are those of a group of 1,000. Whoever comes
    /// behind them does not belong to it.
    pub(super) fn member(&self, place: usize) -> &str {
        // A prime that divides no number of people, so that everybody has one place.
        &self.ids[place * 2_654_435_761 % self.ids.len()]
    }

    /// A number below the limit, by chance.
    pub(super) fn any(&mut self, limit: usize) -> usize {
        // xorshift64: https://doi.org/10.18637/jss.v008.i14
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        usize::try_from(self.chance % limit.max(1) as u64).expect("it is below the limit")
    }

    /// Somebody new is created.
    pub(super) fn create(&mut self) -> Request {
        self.next += 1;
        self.request("POST", "/Users", &person::body(self.next - 1), 201)
    }

    /// Somebody is looked for by name, as Okta asks before it creates anybody.
    fn filter(&self, number: usize) -> Request {
        let name = person::user_name(number);
        let path = format!("/Users?filter=userName%20eq%20%22{name}%22&startIndex=1&count=100");
        self.request("GET", &path, "", 200)
    }

    /// What Okta does for each person whom it brings for the first time.
    pub(super) fn import(&mut self) -> Work {
        vec![self.filter(self.next), self.create()]
    }

    /// Somebody who is there is looked for by name.
    pub(super) fn find(&mut self) -> Request {
        let number = self.any(self.ids.len());
        self.filter(number)
    }

    pub(super) fn get(&mut self) -> Request {
        let number = self.any(self.ids.len());
        self.request("GET", &format!("/Users/{}", self.ids[number]), "", 200)
    }

    /// A page of the list of everybody, by index.
    pub(super) fn page(&self, start_index: usize, count: usize) -> Request {
        let path = format!("/Users?startIndex={start_index}&count={count}");
        self.request("GET", &path, "", 200)
    }

    /// A page of the list of everybody, by cursor; the first where there is none.
    pub(super) fn page_after(&self, cursor: &str, count: usize) -> Request {
        self.request("GET", &format!("/Users?cursor={cursor}&count={count}"), "", 200)
    }

    /// Whose turn it is to be changed, and for the how manieth time.
    fn next_changed(&mut self) -> (usize, usize) {
        self.changed += 1;
        ((self.changed - 1) % self.ids.len(), (self.changed - 1) / self.ids.len() + 1)
    }

    /// Somebody is replaced by the same with another title.
    pub(super) fn put(&mut self) -> Request {
        let (number, turn) = self.next_changed();
        let title = format!(r#""title":"Engineer {turn}-{}""#, self.changed);
        let body = person::body(number).replace(r#""title":"Engineer""#, &title);
        self.request("PUT", &format!("/Users/{}", self.ids[number]), &body, 200)
    }

    /// Somebody is deactivated, and the next time around reactivated.
    pub(super) fn patch_active(&mut self) -> Request {
        let (number, turn) = self.next_changed();
        let is_active = turn % 2 == 0;
        let body = format!(
            r#"{{"schemas":["{PATCH}"],"Operations":[{{"op":"replace","value":{{"active":{is_active}}}}}]}}"#
        );
        self.request("PATCH", &format!("/Users/{}", self.ids[number]), &body, 200)
    }

    /// How many have joined the group who did not leave again.
    pub(super) fn added(&self, group: usize) -> usize {
        self.groups[group].added
    }

    /// One more joins the group.
    pub(super) fn add_member(&mut self, group: usize) -> Request {
        let Group { id, members, added, .. } = &self.groups[group];
        let (path, member) = (format!("/Groups/{id}"), self.member(members + added));
        let body = format!(
            r#"{{"schemas":["{PATCH}"],"Operations":[{{"op":"add","path":"members","value":[{{"value":"{member}"}}]}}]}}"#
        );
        self.groups[group].added += 1;
        self.request("PATCH", &path, &body, 204)
    }

    /// The one who joined last leaves.
    pub(super) fn remove_member(&mut self, group: usize) -> Request {
        self.groups[group].added -= 1;
        let Group { id, members, added, .. } = &self.groups[group];
        let (path, member) = (format!("/Groups/{id}"), self.member(members + added));
        let body = format!(
            r#"{{"schemas":["{PATCH}"],"Operations":[{{"op":"remove","path":"members[value eq \"{member}\"]"}}]}}"#
        );
        self.request("PATCH", &path, &body, 204)
    }

    /// All members of a group are sent, of whom one in `every` is another than before.
    pub(super) fn replace_members(&mut self, group: usize, every: usize) -> Request {
        self.groups[group].is_replaced = !self.groups[group].is_replaced;
        let group = &self.groups[group];
        let shift = |place: usize| {
            let is_other = group.is_replaced && place.is_multiple_of(every);
            if is_other { place + group.members } else { place }
        };
        let members: Vec<_> = (0..group.members).map(|place| self.member(shift(place))).collect();
        let body = group_body(&group.name, &members);
        let path = format!("/Groups/{}", group.id);
        self.request("PUT", &path, &body, 200)
    }
}

/// A group as Okta's wizard apps send it.
pub(super) fn group_body(name: &str, members: &[&str]) -> String {
    let mut body = format!(
        r#"{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"{name}","members":["#
    );
    body += &references(members);
    body += "]}";
    body
}

/// People join the group, as many as one request may name.
pub(super) fn add_body(members: &[&str]) -> String {
    let mut body =
        format!(r#"{{"schemas":["{PATCH}"],"Operations":[{{"op":"add","path":"members","value":["#);
    body += &references(members);
    body += "]}]}";
    body
}

fn references(members: &[&str]) -> String {
    let mut text = String::with_capacity(members.len() * 50);
    for (place, member) in members.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"value":"{member}"}}"#).expect("text takes what is written");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn crowd() -> Crowd {
        let ids = (0..10).map(|it| format!("id-{it}")).collect();
        let groups = vec![Group::new("g".to_owned(), "Group".to_owned(), 4)];
        Crowd::new("/scim/v2/dir-1".to_owned(), "secret".to_owned(), ids, groups)
    }

    fn body(request: &Request) -> Value {
        let text = String::from_utf8(request.bytes.clone()).unwrap();
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    #[test]
    fn everybody_has_one_place_among_members() {
        let crowd = crowd();
        let members: BTreeSet<_> = (0..10).map(|place| crowd.member(place)).collect();
        assert_eq!(members.len(), 10);
    }

    #[test]
    fn who_joined_last_leaves_first() {
        let mut crowd = crowd();
        crowd.add_member(0);
        let joined = body(&crowd.add_member(0))["Operations"][0]["value"][0]["value"].clone();
        assert_eq!(joined, crowd.member(5));
        let left = body(&crowd.remove_member(0))["Operations"][0]["path"].clone();
        assert_eq!(left, format!(r#"members[value eq "{}"]"#, crowd.member(5)));
    }

    #[test]
    fn members_are_replaced_and_the_next_time_put_back() {
        let mut crowd = crowd();
        let mut check = |every: usize, places: [usize; 4]| {
            let sent = body(&crowd.replace_members(0, every));
            let sent: Vec<_> = sent["members"].as_array().unwrap().iter().collect();
            let sent: Vec<_> = sent.iter().map(|it| it["value"].as_str().unwrap()).collect();
            assert_eq!(sent, places.map(|place| crowd.member(place)));
        };
        check(1, [4, 5, 6, 7]);
        check(1, [0, 1, 2, 3]);
        check(2, [4, 1, 6, 3]);
    }

    #[test]
    fn whoever_is_deactivated_is_reactivated_the_next_time_around() {
        let mut crowd = crowd();
        let mut active = Vec::new();
        for _ in 0..11 {
            let request = crowd.patch_active();
            active.push(body(&request)["Operations"][0]["value"]["active"].clone());
        }
        assert!(active[..10].iter().all(|it| it == false), "{active:?}");
        assert_eq!(active[10], true);
    }
}
