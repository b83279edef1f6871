//! Tokens: given, taken back, and what is told of it.

use directory::secret::{Secret, SecretKind};
use directory::{CreateToken, Ids, Rejection, RevokeToken, Token, TokenId, TokenScope, Want};
use serde_json::json;
use uuid::Uuid;

use crate::world::{World, today, yesterday};

struct One;

impl Ids for One {
    fn next(&self) -> Uuid {
        Uuid::from_u128(1)
    }
}

fn token(scope: TokenScope) -> Token {
    let secret = Secret::new(SecretKind::ScimToken, [7; 32]);
    Token {
        id: TokenId::new(&One),
        hash: secret.hash(),
        last_four: secret.last_four().to_owned(),
        scope,
        created_at: yesterday(),
        expires_at: today(),
    }
}

#[test]
fn a_token_is_told_of_when_it_is_given_and_when_it_is_taken_back() {
    let told = |scope| {
        let token = token(scope);
        json!({ "token": {
            "id": token.id.to_string(),
            "last_four": "0707",
            "scope": scope.as_str(),
            "expires_at": scim::datetime::print(today()),
        }})
    };
    for scope in [TokenScope::ReadWrite, TokenScope::Read] {
        let given = World::new().decide(&CreateToken { token: token(scope) });
        assert_eq!(given.events(), [("directory.token.created".to_owned(), told(scope))]);
        let revoke = RevokeToken { id: TokenId::new(&One) };
        let taken = World::new().with_token(token(scope)).decide(&revoke);
        assert_eq!(taken.events(), [("directory.token.revoked".to_owned(), told(scope))]);
        assert_eq!(taken.asked, [[Want::Token(TokenId::new(&One))]]);
    }
}

#[test]
fn a_token_is_taken_back_once() {
    let id = TokenId::new(&One);
    let revoke = RevokeToken { id };
    assert_eq!(World::new().decide(&revoke).rejection(), Rejection::UnknownToken(id));

    let world = World::new().with_token(token(TokenScope::ReadWrite));
    let mut facts = world.facts();
    world.decide_knowing(&mut facts, &revoke).answer();
    let again = world.decide_knowing(&mut facts, &revoke);
    assert_eq!(again.rejection(), Rejection::UnknownToken(id));

    // One that was given a moment ago, in the same transaction.
    let mut facts = World::new().facts();
    let give = CreateToken { token: token(TokenScope::Read) };
    World::new().decide_knowing(&mut facts, &give).answer();
    let taken = World::new().decide_knowing(&mut facts, &revoke);
    assert_eq!((taken.events().len(), taken.asked.len()), (1, 0));
}
