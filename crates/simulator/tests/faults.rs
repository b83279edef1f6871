//! Each way in which the reference server can be wrong is reported, by name, under at least one
//! preset. What is right is reported by nobody: see `story.rs`.

use simulator::okta::{Credentials, Preset, Settings};
use simulator::reference::{Fault, Reference};
use simulator::report::{Outcome, Rule};
use simulator::{Report, tell};

/// How a fault shows.
enum Shows {
    /// As a finding.
    Finding(Rule),
    /// As a failed step, and in the text that the admin sees.
    Text(&'static str),
}

use Shows::{Finding, Text};

fn shows(fault: Fault) -> Shows {
    match fault {
        Fault::StringStartIndex => Finding(Rule::ListNumbers),
        Fault::HtmlErrors | Fault::HtmlUnauthorized => Finding(Rule::NotJson),
        Fault::HtmlEverywhere => Text("No results for users returned"),
        Fault::InactiveNotReadable | Fault::InactiveNotFound | Fault::DeactivationRemoves => {
            Finding(Rule::InactiveHidden)
        }
        Fault::CountIgnored => Finding(Rule::CountIgnored),
        Fault::PageCap50 => Finding(Rule::PageCap),
        Fault::UserNameLowerCased => Finding(Rule::UserNameCase),
        Fault::MembersLostOnPost
        | Fault::AddReplacesMembers
        | Fault::RemoveEmptiesGroup
        | Fault::PutDropsMembers
        | Fault::EmptyMembersIgnored => Finding(Rule::MembersDrift),
        Fault::PathlessPatchRefused => Finding(Rule::PathlessPatch),
        Fault::AddDuplicatesMembers => Finding(Rule::MemberTwice),
        Fault::AddExistingRefused => Text("the user is a member already"),
        Fault::PasswordPolicy => Finding(Rule::CreateRefused),
        Fault::LinkConflict => Finding(Rule::LinkRefused),
        Fault::CreateWithoutBody => Text("Create new user returned empty user."),
        Fault::NumericIds => Finding(Rule::NumericId),
        Fault::IdReused => Finding(Rule::IdReused),
        Fault::CreateOk => Finding(Rule::CreateStatus),
        Fault::PutNoContent => Finding(Rule::PutWithoutBody),
        Fault::ErrorWithoutDetail => Finding(Rule::ErrorWithoutDetail),
        Fault::ErrorWithoutStatus => Finding(Rule::ErrorStatus),
        Fault::PasswordEchoed => Finding(Rule::PasswordEchoed),
        Fault::WrongItemsPerPage => Finding(Rule::ItemsPerPage),
        Fault::UnstableOrder | Fault::OverlappingPages => Finding(Rule::DuplicateRow),
        Fault::RowLost => Finding(Rule::MissingRow),
        Fault::StartIndexIgnored => Finding(Rule::StartIndex),
        Fault::TotalIsPageLength | Fault::TotalTooHigh => Finding(Rule::TotalResults),
        Fault::PutChangesId => Finding(Rule::IdChanged),
        Fault::GroupWithoutMembers => Finding(Rule::GroupWithoutMembers),
        Fault::ActiveIgnored => Finding(Rule::ActiveUnchanged),
        Fault::ActiveAsText => Finding(Rule::ActiveShape),
        Fault::PatchNotImplemented => Finding(Rule::PatchUnsupported),
        Fault::SchemasMissing => Finding(Rule::MissingSchemas),
        Fault::PlainContentType => Finding(Rule::ContentType),
        Fault::SlowGroups => Finding(Rule::SlowGroups),
        Fault::DeleteNotFound => Finding(Rule::DeleteNotFound),
        Fault::DeleteWithBody => Finding(Rule::DeleteStatus),
        Fault::DeleteIgnored => Finding(Rule::DeletedStillThere),
        Fault::ResourcesMissing => Finding(Rule::ListShape),
        Fault::LowerCaseList => Finding(Rule::ListCase),
        Fault::EmptyIsNotFound => Finding(Rule::ProbeNotFound),
        Fault::FilterIgnored => Finding(Rule::FilterIgnored),
        Fault::AmbiguousFilter => Finding(Rule::AmbiguousMatch),
        Fault::AnyTokenAccepted => Finding(Rule::WrongTokenAccepted),
        Fault::DuplicateUserNames => Finding(Rule::UserNameTaken),
        Fault::ConflictAsBadRequest => Finding(Rule::RefusalStatus),
        Fault::Redirects => Finding(Rule::Redirect),
        Fault::RateLimitedWithoutWait | Fault::RateLimitedWithDate => Finding(Rule::RetryAfter),
        Fault::Stalls => Finding(Rule::Timeout),
        Fault::GroupWritesFail => Text("Internal Server Error"),
        Fault::FamilyNameLost => Finding(Rule::Drift),
        Fault::TitleLost => Finding(Rule::AttributeNotKept),
        Fault::ExternalIdLost => Finding(Rule::ExternalIdLost),
        Fault::PrimaryLost => Finding(Rule::NoPrimary),
        Fault::ClearIgnored => Finding(Rule::NotCleared),
        Fault::RenameIgnored => Finding(Rule::GroupNameDrift),
        fault => panic!("say how {fault:?} shows"),
    }
}

async fn report(fault: Fault, preset: Preset) -> Report {
    let url = "https://scim.example.com/scim/v2";
    let server = Reference::new(url, 7).allow("Bearer token").allow("token").with_fault(fault);
    let settings = Settings::new(url, Credentials::Token("token".to_owned()), preset);
    tell(settings, server, |_| {}).await.0
}

fn is_shown(report: &Report, shows: &Shows) -> bool {
    match shows {
        Finding(rule) => report.has(*rule),
        Text(text) => report.steps.iter().any(|step| {
            step.outcome == Outcome::Failed
                && step.admin_texts.iter().any(|shown| shown.contains(text))
        }),
    }
}

#[tokio::test]
async fn every_fault_is_reported_by_name() {
    let mut silent = Vec::new();
    for fault in Fault::ALL {
        let shows = shows(*fault);
        let mut is_reported = false;
        for preset in Preset::ALL {
            is_reported = is_shown(&report(*fault, preset).await, &shows);
            if is_reported {
                break;
            }
        }
        if !is_reported {
            silent.push(fault);
        }
    }
    assert!(silent.is_empty(), "not reported: {silent:?}");
}
