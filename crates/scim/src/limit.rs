//! Every limit of the protocol, in one place, each with its reason.
//!
//! A limit reached is an answer (400 or 413 with a `detail`), never a panic. Limits on whole
//! bodies and on rates belong to the counter, which knows who is asking.

/// Characters of a filter, before parsing. The longest filter seen from a provider is about
/// 300 characters; 8 KiB is what common proxies allow for a whole request line.
pub const FILTER_BYTES_MAX: usize = 8 * 1024;

/// Nested parentheses, brackets and `not`s of a filter. Parsing, matching, printing and
/// dropping recurse once per level, so this is what keeps a stranger's filter off our stack.
pub const FILTER_DEPTH_MAX: usize = 32;

/// Terms and connectives of a filter together; bounds the work per resource.
pub const FILTER_NODES_MAX: usize = 200;

/// Characters of an attribute's name with the URN of its schema. The longest in use has about 80;
/// what is longer is not looked up, and not repeated in an error.
pub const ATTRIBUTE_PATH_BYTES_MAX: usize = 512;

/// Nested objects and arrays of a request body. SCIM needs five (a bulk PATCH of a complex
/// multi-valued attribute); the reader recurses once per level.
pub const JSON_DEPTH_MAX: usize = 32;

/// Operations of one PATCH. Okta sends at most 1,000 membership changes at once and Entra 1,000.
pub const PATCH_OPERATIONS_MAX: usize = 2_000;

/// Operations of one PATCH that take away members by anything but their ids, as
/// `members[display eq "x"]` does. Each looks at every member of the group while all other writes
/// wait; providers send one.
pub const PATCH_MEMBER_SEARCHES_MAX: usize = 16;

/// Operations of one bulk request. Each is as much work as a request of its own, and all must be over
/// before a proxy loses its patience.
pub const BULK_OPERATIONS_MAX: usize = 1_000;

/// Bytes of one bulk request: 4 KiB for each operation.
pub const BULK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Members of one group, the documented promise; also bounds the operands of one PATCH.
pub const GROUP_MEMBERS_MAX: usize = 500_000;

/// Characters of one string value. Photos and certificates are the longest honest ones.
pub const STRING_BYTES_MAX: usize = 256 * 1024;

/// Values of one multi-valued attribute of a user: e-mail addresses, phone numbers, roles.
pub const VALUES_MAX: usize = 1_000;

/// Resources on a page when the client does not say. Okta steps by 100 whatever it was given,
/// so a smaller default would lose rows.
pub const PAGE_DEFAULT: usize = 100;

/// Resources on a page at most; a larger `count` is clamped (RFC 7644 §3.4.2.4).
pub const PAGE_MAX: usize = 1_000;

/// Seconds for which the cursor of a page can be used (RFC 9865). A client that walks through a
/// million people asks for a page every few seconds; one that waits for an hour has stopped.
pub const CURSOR_SECONDS: u64 = 60 * 60;

/// Bytes of a text that decide on its place in a sorted list; who is the same so far stands in the
/// order of creation. Bounds what is remembered while a list is sorted, and the length of cursors.
pub const SORT_KEY_BYTES_MAX: usize = 256;

/// The largest `startIndex` that is understood; a larger one is clamped. It is answered as it is
/// understood, and many clients (those in Java) read it into 32 bits with a sign and fail on more.
/// No directory has so many resources, so the page is empty either way.
pub const START_INDEX_MAX: usize = 0x7fff_ffff;

/// Characters of a URN that somebody defines a schema under: room for the attribute's name in
/// [`ATTRIBUTE_PATH_BYTES_MAX`].
pub const SCHEMA_URN_BYTES_MAX: usize = 256;

/// Attributes of a schema that somebody defines. The largest built-in one has 21.
pub const SCHEMA_ATTRIBUTES_MAX: usize = 200;

/// Sub-attributes of an attribute of such a schema. An address has 8.
pub const SCHEMA_SUB_ATTRIBUTES_MAX: usize = 50;

/// Values that such an attribute suggests, and kinds of resources that it may refer to.
pub const SCHEMA_SUGGESTIONS_MAX: usize = 100;

/// Bytes of the name of such an attribute, of a schema, or of a suggested value.
pub const SCHEMA_NAME_BYTES_MAX: usize = 100;

/// Bytes of a description, of such a schema or of one of its attributes.
pub const SCHEMA_DESCRIPTION_BYTES_MAX: usize = 1_000;

/// Bytes of such a schema as it is printed; `/Schemas` answers all of a directory at once.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
