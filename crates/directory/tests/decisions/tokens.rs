//! Tokens: given, taken back, and what is told of it.

use directory::secret::{Secret, SecretKind};
use directory::{
    CreateToken, Ids, Rejection, RevokeToken, RotateToken, TOKENS_MAX, Token, TokenId, TokenScope,
    Want,
};
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

#[test]
fn there_are_as_many_tokens_as_there_may_be() {
    let (id, until) = (TokenId::new(&One), today());
    let world = World::new().with_token(token(TokenScope::ReadWrite));
    let knowing = |count: u64| {
        let mut facts = world.facts();
        facts.learn_token_count(count);
        facts
    };
    let give = CreateToken { token: token(TokenScope::Read) };
    let rotate = RotateToken { id, token: token(TokenScope::Read), until };
    let mut facts = knowing(TOKENS_MAX - 1);
    world.decide_knowing(&mut facts, &give).answer();
    // The last was given a moment ago, in the same transaction.
    let full = Rejection::TokensFull(TOKENS_MAX);
    assert_eq!(world.decide_knowing(&mut facts, &give).rejection(), full);
    assert_eq!(world.decide_knowing(&mut facts, &rotate).rejection(), full);
    // Where one is taken back, there is room again.
    world.decide_knowing(&mut facts, &RevokeToken { id }).answer();
    world.decide_knowing(&mut facts, &give).answer();
}

/// Proves S-AUTH-8.
#[test]
fn a_secret_has_256_bits_of_chance_behind_a_prefix_that_has_none() {
    let chance: [u8; 32] =
        std::array::from_fn(|place| u8::try_from(place * 7).expect("it is small"));
    for (kind, prefix) in [
        (SecretKind::ScimToken, "roster-scim-"),
        (SecretKind::ApiKey, "roster-api-"),
        (SecretKind::ClientSecret, "roster-client-"),
        (SecretKind::AccessToken, "roster-access-"),
    ] {
        let secret = Secret::new(kind, chance);
        let digits = secret.reveal().strip_prefix(prefix).expect("the prefix");
        // All of it is there: each byte can be read back.
        let read: Vec<_> =
            (0..32).map(|it| u8::from_str_radix(&digits[2 * it..2 * it + 2], 16)).collect();
        assert_eq!(read.into_iter().collect::<Result<Vec<_>, _>>(), Ok(chance.to_vec()));
        assert_eq!(digits.len(), 64);
        for place in 0..32 {
            let mut other = chance;
            other[place] ^= 1;
            assert_ne!(Secret::new(kind, other).reveal(), secret.reveal());
        }
    }
}
