//! What the server was told when it was started, for whoever looks at it in the dashboard.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use web::{Source, Told};

/// Each setting of a command, as `--help` has it, with the value that counts. What is never shown there is
/// not shown here.
pub(crate) fn told(command: &Command, matches: &ArgMatches) -> Vec<Told> {
    let settings = command.get_arguments().filter(|it| !it.is_hide_set());
    settings.filter_map(|it| one(it, matches)).collect()
}

fn one(setting: &Arg, matches: &ArgMatches) -> Option<Told> {
    let option = format!("--{}", setting.get_long()?);
    let variable = setting.get_env()?.to_string_lossy().into_owned();
    let id = setting.get_id().as_str();
    let source = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => Source::CommandLine,
        Some(ValueSource::EnvVariable) => Source::Environment,
        _ => Source::Default,
    };
    let values = matches.get_raw(id).map(|values| {
        let values: Vec<_> = values.map(|it| it.to_string_lossy()).collect();
        values.join(", ")
    });
    let is_secret = setting.is_hide_env_values_set();
    let value = values.map(|it| if is_secret { None } else { Some(it) });
    let help = setting.get_help().map(ToString::to_string).unwrap_or_default();
    Some(Told { option, variable, what: help, value, source })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn settings_are_told_with_where_they_come_from_and_without_secrets() {
        let mut command = crate::Arguments::command();
        let arguments = ["roster", "serve", "--brand-name", "Acme", "--oidc-client-secret", "hush"];
        let issuer = ["--oidc-issuer", "https://id.example", "--oidc-client-id", "roster"];
        let matches = command.clone().get_matches_from(arguments.into_iter().chain(issuer));
        let (name, matches) = matches.subcommand().expect("serve");
        let serve = command.find_subcommand_mut(name).expect("serve");
        serve.build();
        let all = told(serve, matches);
        assert!(!format!("{all:?}").contains("hush"), "{all:?}");
        let of = |option: &str| all.iter().find(|it| it.option == option).expect("it is one");
        let name = of("--brand-name");
        assert_eq!(name.value, Some(Some("Acme".to_owned())));
        assert_eq!(
            (name.source, name.variable.as_str()),
            (Source::CommandLine, "ROSTER_BRAND_NAME")
        );
        assert_eq!(of("--oidc-client-secret").value, Some(None));
        assert_eq!(of("--keep-events-days").value, Some(Some("400".to_owned())));
        assert_eq!(of("--keep-events-days").source, Source::Default);
        assert_eq!(of("--brand-logo").value, None);
        assert!(
            all.iter().all(|it| !it.what.is_empty() && it.option != "--clock-ahead"),
            "{all:?}"
        );
    }
}
