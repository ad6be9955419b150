//! Who commits: the first of the environment, the repository's and the user's configuration, the login.

use std::path::PathBuf;

use mv_graph::Person;

use crate::failure::{Failure, Result};
use crate::host::Host;

/// A name and an address, either of which may be unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Partial {
    /// The name.
    pub(crate) name: Option<String>,
    /// The address.
    pub(crate) email: Option<String>,
}

impl Partial {
    /// These facts, with what is unknown taken from `other`.
    fn or(self, other: Partial) -> Partial {
        Partial { name: self.name.or(other.name), email: self.email.or(other.email) }
    }
}

/// Who commits when no `--author` is given; `repository` is what the repository's configuration says.
pub(crate) fn person(host: &Host, repository: Partial) -> Result<Person> {
    let found = environment(host).or(repository).or(user_file(host)?);
    let (name, email) = match (found.name, found.email) {
        (Some(name), Some(email)) => (name, email),
        (name, email) => {
            let login = login(host);
            let address = format!(
                "{login}@{}",
                if host.hostname.is_empty() { "localhost" } else { &host.hostname }
            );
            (name.unwrap_or(login), email.unwrap_or(address))
        }
    };
    Ok(Person { name, email })
}

fn environment(host: &Host) -> Partial {
    let get = |name| host.text_variable(name).map(str::to_owned);
    Partial { name: get("MV_AUTHOR_NAME"), email: get("MV_AUTHOR_EMAIL") }
}

/// The user's configuration file, if there is a place for one.
pub(crate) fn user_config(host: &Host) -> Option<PathBuf> {
    let absolute = |name| host.variable(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(base.join("mv").join("config.toml"))
}

fn user_file(host: &Host) -> Result<Partial> {
    let Some(path) = user_config(host) else { return Ok(Partial::default()) };
    // Absent and unreadable are the same here: somebody else's home must not stop a commit.
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(Partial::default()) };
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        Failure::usage(format!("invalid configuration in `{}`: {}", path.display(), e.message()))
            .hint(format!("correct it in an editor, or move `{}` away", path.display()))
    })?;
    let get = |key: &str| {
        let value = table.get("user")?.get(key)?.as_str()?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    Ok(Partial { name: get("name"), email: get("email") })
}

fn login(host: &Host) -> String {
    let name = host.text_variable("USER").or_else(|| host.text_variable("LOGNAME"));
    let name = name.map(str::to_owned).or_else(|| account(host));
    name.unwrap_or_else(|| host.uid.to_string())
}

/// The login of the user as the system's file of users has it: in a container no variable names it.
fn account(host: &Host) -> Option<String> {
    let users = std::fs::read(host.system_root.as_ref()?.join("etc/passwd")).ok()?;
    let users = String::from_utf8_lossy(&users);
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, uid) = (fields.next()?, fields.next()?, fields.next()?);
        (uid.parse() == Ok(host.uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host;

    #[test]
    fn the_environment_wins_over_every_configuration() {
        let mut host = host();
        host.set("MV_AUTHOR_NAME", "Ada");
        let repository = Partial { name: Some("Rep".into()), email: Some("rep@x".into()) };
        let person = person(&host, repository).unwrap();
        assert_eq!((person.name.as_str(), person.email.as_str()), ("Ada", "rep@x"));
    }

    #[test]
    fn without_a_home_the_login_at_the_host_is_used() {
        let mut host = host();
        host.variables.clear();
        let nobody = person(&host, Partial::default()).unwrap();
        assert_eq!((nobody.name.as_str(), nobody.email.as_str()), ("1000", "1000@machine"));
        host.set("LOGNAME", "ada");
        assert_eq!(person(&host, Partial::default()).unwrap().email, "ada@machine");
    }

    #[test]
    fn without_variables_the_login_is_that_of_the_systems_users() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        let users =
            "root:x:0:0:root:/root:/bin/sh\nbroken\nada:x:1000:1000:Ada:/home/ada:/bin/sh\n";
        std::fs::write(dir.path().join("etc/passwd"), users).unwrap();
        let mut host = host();
        host.variables.clear();
        host.system_root = Some(dir.path().to_path_buf());
        assert_eq!(person(&host, Partial::default()).unwrap().email, "ada@machine");
    }

    #[test]
    fn the_users_file_is_read_from_xdg_config_home() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("mv")).unwrap();
        std::fs::write(dir.path().join("mv/config.toml"), "[user]\nname = \"Eve\"\n").unwrap();
        let mut host = host();
        host.set("XDG_CONFIG_HOME", dir.path());
        assert_eq!(person(&host, Partial::default()).unwrap().name, "Eve");
        std::fs::write(dir.path().join("mv/config.toml"), "[user\n").unwrap();
        assert_eq!(person(&host, Partial::default()).unwrap_err().exit, 2);
    }
}
