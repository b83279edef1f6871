//! How a connection to the database is encrypted, as its URL says.
//!
//! PostgreSQL's own clients (libpq, *Database Connection Control Functions*) have six modes, of which
//! the usual ones believe whatever certificate is shown. Here a certificate is either checked or not
//! asked for: `require`, `verify-ca` and `verify-full` all check it, with the name of the host.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::error::Error;

/// Reads `postgres://user@host/database?sslmode=require&sslrootcert=/etc/ssl/database.pem`.
///
/// Without `sslmode` a connection is encrypted and checked, unless the database is on this machine.
/// Without `sslrootcert` the authorities of the operating system are believed.
pub(crate) fn read(url: &str) -> Result<(Config, ClientConfig), Error> {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let mut kept = Vec::new();
    let (mut mode, mut authorities) = (None, None);
    for parameter in query.split('&').filter(|it| !it.is_empty()) {
        match parameter.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value),
            Some(("sslrootcert", value)) => {
                let path = percent_encoding::percent_decode_str(value).decode_utf8();
                let path = path.map_err(|_| unreadable("its `sslrootcert` is not UTF-8"))?;
                authorities = Some(path.into_owned());
            }
            _ => kept.push(parameter),
        }
    }
    let mut config: Config = format!("{address}?{}", kept.join("&"))
        .parse()
        // The error names the part that is wrong, never the password.
        .map_err(|error| unreadable(&chain(&error)))?;
    let is_encrypted = match mode {
        Some("disable") => false,
        Some("require" | "verify-ca" | "verify-full") => true,
        // On one machine nobody listens in, and certificates seldom fit.
        None => !is_near(&config),
        Some(other) => {
            return Err(unreadable(&format!(
                "its `sslmode` is `{other}` and may be `disable`, `require` or `verify-full`"
            )));
        }
    };
    config.ssl_mode(if is_encrypted { SslMode::Require } else { SslMode::Disable });
    Ok((config, client(is_encrypted, authorities.as_deref())?))
}

fn client(is_encrypted: bool, authorities: Option<&str>) -> Result<ClientConfig, Error> {
    let failed = |why: String| {
        Error::Migration(format!("the connection to the database cannot be encrypted: {why}"))
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?;
    let builder = match authorities {
        // A machine without certificates can still reach its own database.
        _ if !is_encrypted => builder.with_root_certificates(RootCertStore::empty()),
        None => builder.with_platform_verifier().map_err(|error| failed(error.to_string()))?,
        Some(path) => {
            let unusable = |why: String| failed(format!("`sslrootcert` is `{path}`: {why}"));
            let mut roots = RootCertStore::empty();
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unusable("there is no certificate in it".to_owned()));
            }
            builder.with_root_certificates(roots)
        }
    };
    Ok(builder.with_no_client_auth())
}

/// Whether the database is on this machine. Addresses, where they are said, are what is connected
/// to, whatever the names are.
fn is_near(config: &Config) -> bool {
    let addresses = config.get_hostaddrs();
    if !addresses.is_empty() {
        return addresses.iter().all(std::net::IpAddr::is_loopback);
    }
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            let address: Option<std::net::IpAddr> = name.parse().ok();
            name == "localhost" || address.is_some_and(|it| it.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    })
}

/// What to do where a connection could not be encrypted, or had to be.
pub(crate) fn hint(error: &tokio_postgres::Error) -> Option<&'static str> {
    use rustls::CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext,
        UnknownIssuer,
    };
    if let Some(it) = error.as_db_error() {
        // The server's own word for it, as of all that its file `pg_hba.conf` does not allow.
        let is_in_clear = it.code().code() == "28000" && it.message().ends_with("no encryption");
        return is_in_clear.then_some(
            "it takes encrypted connections alone: say `sslmode=require` in the database's URL",
        );
    }
    let mut causes = std::iter::successors(std::error::Error::source(error), |it| it.source());
    let certificate = causes.clone().find_map(|cause| {
        // The driver hands on what was said in an error of the operating system.
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        match inner.and_then(|it| it.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(it)) => Some(it),
            _ => None,
        }
    });
    match certificate {
        // The second: of another authority that has the same name.
        Some(UnknownIssuer | BadSignature) => Some(
            "name a file with the certificate of its authority, such as \
             `sslrootcert=/etc/ssl/database.pem`, in the database's URL",
        ),
        Some(NotValidForName | NotValidForNameContext { .. }) => Some(
            "its certificate is of another host: write the host in the database's URL as the \
             certificate does; `hostaddr=` beside it says where that is",
        ),
        Some(Expired | ExpiredContext { .. }) => {
            Some("its certificate is too old: give the database a new one")
        }
        Some(_) => None,
        None => causes.any(|it| it.to_string() == "server does not support TLS").then_some(
            "turn on `ssl` in the database; or, where nobody else is on the network between, say \
             `sslmode=disable` in its URL",
        ),
    }
}

fn unreadable(why: &str) -> Error {
    Error::Migration(format!(
        "the database's URL cannot be read: {why}. It looks like \
         `postgres://user:password@host:5432/database?sslmode=require`"
    ))
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(ToString::to_string);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(url: &str) -> SslMode {
        read(url).unwrap().0.get_ssl_mode()
    }

    #[test]
    fn nothing_leaves_the_machine_unencrypted_unless_it_is_said() {
        let check = |url: &str, expected: SslMode| assert_eq!(mode_of(url), expected, "{url}");
        check("postgres://roster@localhost/roster", SslMode::Disable);
        check("postgres://roster@127.0.0.1:5433/roster", SslMode::Disable);
        check("postgres://roster@%2Fvar%2Frun%2Fpostgresql/roster", SslMode::Disable);
        check("postgres://roster@localhost/roster?sslmode=disable", SslMode::Disable);
        check("postgres://roster@db.example.com/roster?sslmode=disable", SslMode::Disable);
        check("postgres://roster@localhost/roster?sslmode=require", SslMode::Require);
        check("postgres://roster@localhost/roster?hostaddr=127.0.0.1", SslMode::Disable);
        for far in ["db.example.com/roster", "localhost/roster?hostaddr=203.0.113.5"] {
            check(&format!("postgres://roster@{far}"), SslMode::Require);
        }
    }

    #[test]
    fn authorities_are_read_from_a_file() {
        let check = |query: &str, expected: &str| {
            let error = read(&format!("postgres://r:secret@db.example.com/r?{query}")).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(expected) && !said.contains("secret"), "{said}");
        };
        check("sslmode=require&sslrootcert=/nowhere/at%20all.pem", "`/nowhere/at all.pem`");
        check("sslrootcert=Cargo.toml", "no certificate in it");
        check("sslmode=prefer", "`sslmode` is `prefer`");
        check("connect_timeout=soon", "connect_timeout");
        assert!(read("not a url").unwrap_err().to_string().contains("cannot be read"));
    }
}
