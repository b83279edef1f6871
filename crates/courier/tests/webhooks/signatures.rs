//! What is signed, and how.

use directory::webhook::SigningSecret;

/// As the libraries of Standard Webhooks have it in their own tests.
///
/// Proves S-HOOK-2, S-HOOK-3.
#[test]
fn signatures_are_those_of_the_standard() {
    let secret = SigningSecret::kept("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
    let signed = courier::sign(
        std::slice::from_ref(&secret),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        "{\"test\": 2432232314}",
    );
    assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");

    let other = SigningSecret::new([7; 32]);
    let both = courier::sign(&[other.clone(), secret], "msg_1", 1, "{}");
    let alone = courier::sign(&[other], "msg_1", 1, "{}");
    assert!(both.starts_with(&format!("{alone} v1,")), "{both}");
    // What is no secret signs nothing.
    assert_eq!(courier::sign(&[SigningSecret::kept("whsec_?".to_owned())], "msg_1", 1, "{}"), "");
}
