//! The schemas that every directory has.
//!
//! They are those of RFC 7643 §8.7, corrected where its text, its errata or its own examples
//! contradict the listing; each correction says why where it stands.

use std::sync::{Arc, LazyLock};

use super::{Attribute, Mutability, Returned, Schema, Type, Uniqueness};

/// The URN of the core user.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The URN of the core group.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The URN of the enterprise extension of a user.
pub const ENTERPRISE_USER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The URN of the document that says what a server can do.
pub const SERVICE_PROVIDER_CONFIG: &str =
    "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
/// The URN of the document that describes a kind of resource.
pub const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
/// The URN of the document that describes a schema.
pub const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";
/// The URN under which Okta's governance reads roles.
pub const ROLE: &str = "urn:okta:scim:schemas:core:1.0:Role";
/// The URN under which Okta's governance reads entitlements.
pub const ENTITLEMENT: &str = "urn:okta:scim:schemas:core:1.0:Entitlement";

/// Every URN that has a meaning here already.
pub(crate) const URNS: [&str; 8] = [
    USER,
    GROUP,
    ENTERPRISE_USER,
    SERVICE_PROVIDER_CONFIG,
    RESOURCE_TYPE,
    SCHEMA,
    ROLE,
    ENTITLEMENT,
];

/// The attributes that every resource has (RFC 7643 §3.1). They belong to no schema document.
pub fn common() -> &'static [Attribute] {
    static COMMON: LazyLock<Vec<Attribute>> = LazyLock::new(|| {
        vec![
            reference("schemas", &["uri"], "The schemas whose attributes are present")
                .multi_valued()
                .required()
                .returned(Returned::Always),
            text("id", "The identifier that the server gave")
                .exact()
                .read_only()
                .returned(Returned::Always)
                .unique(),
            text("externalId", "The identifier that the client gave").exact(),
            complex(
                "meta",
                "What the server knows of the resource",
                vec![
                    text("resourceType", "The name of the resource type").exact().read_only(),
                    of("created", Type::DateTime, "When it was created").read_only(),
                    of("lastModified", Type::DateTime, "When it last changed").read_only(),
                    reference("location", &["uri"], "Its URL").read_only(),
                    text("version", "Its entity tag").exact().read_only(),
                ],
            )
            .read_only(),
        ]
    });
    &COMMON
}

/// RFC 7643 §4.1.
pub fn user() -> Arc<Schema> {
    static USER_SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        schema(
            USER,
            "User",
            "A person",
            vec![
                text("userName", "The name by which the person is known to the provider; unique without regard to case")
                    .required()
                    .unique(),
                complex(
                    "name",
                    "The parts of the person's name",
                    vec![
                        text("formatted", "The whole name as it is displayed"),
                        text("familyName", "The family name"),
                        text("givenName", "The given name"),
                        text("middleName", "The middle names"),
                        text("honorificPrefix", "What stands before the name: Dr."),
                        text("honorificSuffix", "What stands after the name: III"),
                    ],
                ),
                text("displayName", "The name to show"),
                text("nickName", "The casual name"),
                reference("profileUrl", &["external"], "A page about the person"),
                text("title", "The job title"),
                text("userType", "How the person belongs to the organization: Employee, Contractor"),
                text("preferredLanguage", "Languages in order of preference, as in Accept-Language"),
                text("locale", "Where the person is, for formats of dates and numbers: en-US"),
                text("timezone", "An IANA time zone: Europe/Berlin"),
                of("active", Type::Boolean, "Whether the person may use the app"),
                text("password", "Accepted and discarded: it is neither kept nor shown").write_only(),
                complex("emails", "E-mail addresses", plural(text("value", "The address"), &["work", "home", "other"]))
                    .multi_valued(),
                complex(
                    "phoneNumbers",
                    "Telephone numbers",
                    plural(text("value", "The number"), &["work", "home", "mobile", "fax", "pager", "other"]),
                )
                .multi_valued(),
                // "other" stands in RFC 7643 §4.1.2 and is missing from §8.7.
                complex(
                    "ims",
                    "Instant messaging addresses",
                    plural(
                        text("value", "The address"),
                        &["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo", "other"],
                    ),
                )
                .multi_valued(),
                complex(
                    "photos",
                    "Pictures of the person",
                    plural(reference("value", &["external"], "The URL of the picture"), &["photo", "thumbnail"]),
                )
                .multi_valued(),
                complex(
                    "addresses",
                    "Postal addresses",
                    vec![
                        text("formatted", "The whole address as it is displayed"),
                        text("streetAddress", "Street and number"),
                        text("locality", "The city"),
                        text("region", "The state or region"),
                        text("postalCode", "The postal code"),
                        text("country", "The country, as ISO 3166-1 alpha-2: US"),
                        text("type", "What it is for").suggests(&["work", "home", "other"]),
                        // A default sub-attribute by RFC 7643 §2.4, missing from §8.7.
                        primary(),
                    ],
                )
                .multi_valued(),
                // §8.7 lets `$ref` name a User; a group that a person belongs to is a group.
                complex(
                    "groups",
                    "The groups that the person belongs to",
                    vec![
                        text("value", "The id of the group").exact().read_only(),
                        reference("$ref", &["Group"], "The URL of the group").read_only(),
                        text("display", "The name of the group").read_only(),
                        text("type", "Whether the membership is the person's own").suggests(&["direct", "indirect"]).read_only(),
                    ],
                )
                .multi_valued()
                .read_only(),
                complex("entitlements", "What the person is entitled to", plural(text("value", "The entitlement"), &[]))
                    .multi_valued(),
                complex("roles", "The person's roles", plural(text("value", "The role"), &[])).multi_valued(),
                complex(
                    "x509Certificates",
                    "Certificates of the person",
                    plural(of("value", Type::Binary, "The DER-encoded certificate").exact(), &[]),
                )
                .multi_valued(),
            ],
        )
    });
    USER_SCHEMA.clone()
}

/// RFC 7643 §4.3.
pub fn enterprise_user() -> Arc<Schema> {
    static ENTERPRISE_USER_SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        schema(
            ENTERPRISE_USER,
            "EnterpriseUser",
            "What a company knows of a person",
            vec![
                text("employeeNumber", "The identifier that the organization gave"),
                text("costCenter", "The cost center"),
                text("organization", "The organization"),
                text("division", "The division"),
                text("department", "The department"),
                complex(
                    "manager",
                    "The person's manager",
                    vec![
                        text("value", "The id of the manager").exact(),
                        reference("$ref", &["User"], "The URL of the manager"),
                        // Returned by default in §8.7. Clients that compare what they wrote with what
                        // they read stumble over a sub-attribute that they did not write.
                        text("displayName", "The manager's name")
                            .read_only()
                            .returned(Returned::Request),
                    ],
                ),
            ],
        )
    });
    ENTERPRISE_USER_SCHEMA.clone()
}

/// RFC 7643 §4.2.
pub fn group() -> Arc<Schema> {
    static GROUP_SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        schema(
            GROUP,
            "Group",
            "A group of people",
            vec![
                // "REQUIRED" in §4.2, `required: false` in §8.7. Unique because Okta and Entra
                // find groups by name, and two of one name are ambiguous to them.
                text("displayName", "The name of the group; unique without regard to case")
                    .required()
                    .unique(),
                complex(
                    "members",
                    "The people and groups that belong to the group",
                    vec![
                        text("value", "The id of the member").exact().immutable(),
                        reference("$ref", &["User", "Group"], "The URL of the member").immutable(),
                        text("type", "What the member is").suggests(&["User", "Group"]).immutable(),
                        // Used by RFC 7644's examples and absent from §8.7; kept as sent.
                        text("display", "The name of the member, as the provider sent it")
                            .immutable(),
                    ],
                )
                .multi_valued(),
            ],
        )
    });
    GROUP_SCHEMA.clone()
}

/// A role of the app, in the shape that Okta's governance apps read: `id` and `displayName`, with
/// the `value` that stands in a person's `roles` beside them, as in draft-ietf-scim-roles-entitlements.
pub fn role() -> Arc<Schema> {
    static ROLE_SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        schema(ROLE, "Role", "A role that people have in the app", catalogued(Vec::new()))
    });
    ROLE_SCHEMA.clone()
}

/// Something that people are entitled to in the app. Okta wants its `type` to be the name of its
/// resource type.
pub fn entitlement() -> Arc<Schema> {
    static ENTITLEMENT_SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        let kind = text("type", "The name of the resource type").exact();
        schema(
            ENTITLEMENT,
            "Entitlement",
            "Something that people are entitled to in the app",
            catalogued(vec![kind]),
        )
    });
    ENTITLEMENT_SCHEMA.clone()
}

/// What roles and entitlements have in common. Only the app itself says which there are.
fn catalogued(more: Vec<Attribute>) -> Vec<Attribute> {
    let mut attributes = vec![
        text("displayName", "The name to show").required(),
        text("value", "What stands as `value` in the list of a person; the same as the id").exact(),
        text("description", "What it allows"),
    ];
    attributes.extend(more);
    attributes.iter_mut().for_each(read_only_throughout);
    attributes
}

/// RFC 7643 §5, with what §8.7.2 forgot (erratum 8011) and what RFC 9865 §4 adds.
pub fn service_provider_config() -> Arc<Schema> {
    static CONFIG_SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        let supported = || flag("supported", "Whether it is supported").required();
        let feature = |name, description| complex(name, description, vec![supported()]).required();
        let mut attributes = vec![
            reference("documentationUri", &["external"], "Where people read about the service"),
            feature("patch", "Changing parts of a resource"),
            complex(
                "bulk",
                "Many operations in one request",
                vec![
                    supported(),
                    of("maxOperations", Type::Integer, "Operations at most").required(),
                    of("maxPayloadSize", Type::Integer, "Bytes at most").required(),
                ],
            )
            .required(),
            complex(
                "filter",
                "Asking for some resources",
                vec![
                    supported(),
                    of("maxResults", Type::Integer, "Resources on a page at most").required(),
                ],
            )
            .required(),
            feature("changePassword", "Changing passwords"),
            feature("sort", "Ordering of lists"),
            feature("etag", "Versions of resources"),
            complex(
                "authenticationSchemes",
                "How a client proves who it is",
                vec![
                    text("type", "The kind of scheme")
                        .suggests(&[
                            "oauth",
                            "oauth2",
                            "oauthbearertoken",
                            "httpbasic",
                            "httpdigest",
                        ])
                        .required(),
                    text("name", "Its name").required(),
                    text("description", "What it is").required(),
                    reference("specUri", &["external"], "Its specification"),
                    reference("documentationUri", &["external"], "Where people read about it"),
                    primary(),
                ],
            )
            .multi_valued()
            .required(),
            complex(
                "pagination",
                "How lists are divided into pages",
                vec![
                    flag("cursor", "Whether by cursor").required(),
                    flag("index", "Whether by index").required(),
                    text("defaultPaginationMethod", "What happens when a client says nothing")
                        .suggests(&["cursor", "index"]),
                    of(
                        "defaultPageSize",
                        Type::Integer,
                        "Resources on a page when a client says nothing",
                    ),
                    of("maxPageSize", Type::Integer, "Resources on a page at most"),
                    of("cursorTimeout", Type::Integer, "Seconds for which a cursor can be used"),
                ],
            ),
        ];
        attributes.iter_mut().for_each(read_only_throughout);
        schema(
            SERVICE_PROVIDER_CONFIG,
            "ServiceProviderConfig",
            "What the service can do",
            attributes,
        )
    });
    CONFIG_SCHEMA.clone()
}

/// RFC 7643 §6. `schemaExtensions` is a list and optional there; §8.7.2 says neither.
pub fn resource_type() -> Arc<Schema> {
    static RESOURCE_TYPE_SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        let mut attributes = vec![
            text("id", "The same as the name"),
            text("name", "The name of the resource type").required(),
            text("description", "What it is"),
            reference("endpoint", &["uri"], "Where it is found, below the base URL").required(),
            reference("schema", &["uri"], "Its base schema").required(),
            complex(
                "schemaExtensions",
                "The schemas that extend it",
                vec![
                    reference("schema", &["uri"], "The extending schema").required(),
                    flag("required", "Whether a resource must have it").required(),
                ],
            )
            .multi_valued(),
        ];
        attributes.iter_mut().for_each(read_only_throughout);
        schema(RESOURCE_TYPE, "ResourceType", "A kind of resource", attributes)
    });
    RESOURCE_TYPE_SCHEMA.clone()
}

/// RFC 7643 §7, with the type `binary` (erratum 5606) and `referenceTypes` as a list (erratum
/// 5607), both of which §8.7.2 forgot.
pub fn schema_of_schemas() -> Arc<Schema> {
    static SCHEMA_SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        let description_of_attribute = || {
            vec![
                text("name", "The name of the attribute").exact().required(),
                text("type", "What its values are")
                    .suggests(&[
                        "string",
                        "complex",
                        "boolean",
                        "decimal",
                        "integer",
                        "dateTime",
                        "reference",
                        "binary",
                    ])
                    .required(),
                flag("multiValued", "Whether it holds a list").required(),
                text("description", "What it is for").exact(),
                flag("required", "Whether a resource must have it"),
                text("canonicalValues", "Suggested values").multi_valued().exact(),
                flag("caseExact", "Whether case matters"),
                text("mutability", "Who may change it")
                    .suggests(&["readOnly", "readWrite", "immutable", "writeOnly"])
                    .exact(),
                text("returned", "When it is answered")
                    .suggests(&["always", "never", "default", "request"])
                    .exact(),
                text("uniqueness", "Among whom it is unique")
                    .suggests(&["none", "server", "global"])
                    .exact(),
                text("referenceTypes", "What it refers to").multi_valued().exact(),
            ]
        };
        let mut of_attribute = description_of_attribute();
        of_attribute
            .push(complex("subAttributes", "Its parts", description_of_attribute()).multi_valued());
        let mut attributes = vec![
            text("id", "The URN of the schema").required(),
            text("name", "The name of the schema").required(),
            text("description", "What it describes"),
            complex("attributes", "Its attributes", of_attribute).multi_valued().required(),
        ];
        attributes.iter_mut().for_each(read_only_throughout);
        schema(SCHEMA, "Schema", "A set of attributes", attributes)
    });
    SCHEMA_SCHEMA.clone()
}

fn schema(id: &str, name: &str, description: &str, attributes: Vec<Attribute>) -> Arc<Schema> {
    Arc::new(Schema {
        id: id.into(),
        name: name.into(),
        description: description.into(),
        attributes,
    })
}

fn of(name: &str, kind: Type, description: &str) -> Attribute {
    Attribute {
        name: name.into(),
        kind,
        sub_attributes: Vec::new(),
        multi_valued: false,
        description: description.into(),
        required: false,
        canonical_values: Vec::new(),
        case_exact: false,
        mutability: Mutability::ReadWrite,
        returned: Returned::Default,
        uniqueness: Uniqueness::None,
        reference_types: Vec::new(),
    }
}

fn text(name: &str, description: &str) -> Attribute {
    of(name, Type::String, description)
}

fn flag(name: &str, description: &str) -> Attribute {
    of(name, Type::Boolean, description)
}

/// References compare with case (RFC 7643 §2.3.7), whatever §8.7 prints.
fn reference(name: &str, to: &[&str], description: &str) -> Attribute {
    let reference_types = to.iter().map(|&it| it.into()).collect();
    Attribute { reference_types, ..of(name, Type::Reference, description) }.exact()
}

fn complex(name: &str, description: &str, sub_attributes: Vec<Attribute>) -> Attribute {
    Attribute { sub_attributes, ..of(name, Type::Complex, description) }
}

/// The sub-attributes of an ordinary list (RFC 7643 §2.4).
fn plural(value: Attribute, types: &[&str]) -> Vec<Attribute> {
    vec![
        value,
        text("display", "What to show"),
        text("type", "What it is for").suggests(types),
        primary(),
    ]
}

fn primary() -> Attribute {
    flag("primary", "Whether it is the preferred one; at most one is")
}

fn read_only_throughout(attribute: &mut Attribute) {
    attribute.mutability = Mutability::ReadOnly;
    attribute.sub_attributes.iter_mut().for_each(read_only_throughout);
}

impl Attribute {
    fn required(mut self) -> Attribute {
        self.required = true;
        self
    }

    fn multi_valued(mut self) -> Attribute {
        self.multi_valued = true;
        self
    }

    fn exact(mut self) -> Attribute {
        self.case_exact = true;
        self
    }

    fn unique(mut self) -> Attribute {
        self.uniqueness = Uniqueness::Server;
        self
    }

    fn read_only(mut self) -> Attribute {
        self.mutability = Mutability::ReadOnly;
        self
    }

    fn immutable(mut self) -> Attribute {
        self.mutability = Mutability::Immutable;
        self
    }

    fn write_only(mut self) -> Attribute {
        self.mutability = Mutability::WriteOnly;
        self.returned = Returned::Never;
        self
    }

    fn returned(mut self, returned: Returned) -> Attribute {
        self.returned = returned;
        self
    }

    fn suggests(mut self, values: &[&str]) -> Attribute {
        self.canonical_values = values.iter().map(|&it| it.into()).collect();
        self
    }
}
