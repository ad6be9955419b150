//! URLs that are recorded: where a package or the code came from, never how to get in.

/// The URL without anything that lets its reader in: passwords, tokens, user names of the web,
/// signed queries, the token in a channel of anaconda.org. The user of ssh (`git@host:path`,
/// `ssh://git@host/path`) is no secret and stays, since the address does not work without it.
#[must_use]
pub fn without_credentials(url: &str) -> String {
    let url = url.trim();
    let Some((scheme, rest)) = url.split_once("://") else { return scp_like(url) };
    let (user, place) = split_user(rest);
    let (place, fragment) = place.split_once('#').unwrap_or((place, ""));
    let place = place.split_once('?').map_or(place, |(before, _)| before);
    let keeps_user = scheme == "ssh" || scheme.ends_with("+ssh");
    let user = user.filter(|_| keeps_user).map(|user| user.split(':').next().unwrap_or_default());
    let user = user.filter(|user| !user.is_empty()).map(|user| format!("{user}@"));
    let fragment = harmless(fragment);
    format!("{scheme}://{}{}{fragment}", user.unwrap_or_default(), without_token(place))
}

/// `git@host:path`, a path, or a name: a colon before the `@` begins a password.
fn scp_like(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((user, rest)) if user.contains(':') => rest.to_owned(),
        _ => text.to_owned(),
    }
}

/// Divides what follows `://` into the user and the rest. A password may hold a raw `/`, `?` or `#`:
/// what stands where a port would but is no number is taken for the beginning of one.
fn split_user(rest: &str) -> (Option<&str>, &str) {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some(at) = authority.rfind('@') {
        return (Some(&rest[..at]), &rest[at + 1..]);
    }
    let port = authority.split_once(':').map(|(_, port)| port);
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) || rest.starts_with('[');
    match (port, rest.rfind('@')) {
        (Some(port), Some(at)) if !is_port(port) => (Some(&rest[..at]), &rest[at + 1..]),
        _ => (None, rest),
    }
}

/// `host/t/TOKEN/channel` as `host/channel`, the way conda puts tokens into channels.
fn without_token(place: &str) -> String {
    let parts: Vec<&str> = place.split('/').collect();
    match parts.as_slice() {
        [host, "t", _, channel @ ..] if !channel.is_empty() => {
            format!("{host}/{}", channel.join("/"))
        }
        _ => place.to_owned(),
    }
}

/// The parts of a fragment that say what is meant; anything else may be a secret.
fn harmless(fragment: &str) -> String {
    let known = ["egg=", "subdirectory=", "sha256="];
    let parts = fragment.split('&').filter(|part| known.iter().any(|k| part.starts_with(k)));
    let kept: Vec<&str> = parts.collect();
    if kept.is_empty() { String::new() } else { format!("#{}", kept.join("&")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn credentials_are_stripped_and_the_address_stays() {
        let cases = [
            ("https://github.com/a/b.git", "https://github.com/a/b.git"),
            ("https://user:pass@github.com/a/b.git", "https://github.com/a/b.git"),
            ("https://ghp_token@github.com/a/b", "https://github.com/a/b"),
            ("https://user:p@ss@host:8443/a", "https://host:8443/a"),
            ("https://user:pa/ss@host/a", "https://host/a"),
            ("https://user:p?a#ss@host/a", "https://host/a"),
            ("https://host/a?mail=x@y", "https://host/a"),
            (
                "git+https://x:y@host/a@1a2b#subdirectory=s",
                "git+https://host/a@1a2b#subdirectory=s",
            ),
            ("git+ssh://git@host/a@v1", "git+ssh://git@host/a@v1"),
            ("ssh://git:secret@host:22/a", "ssh://git@host:22/a"),
            ("git@github.com:a/b.git", "git@github.com:a/b.git"),
            ("user:secret@host:a/b.git", "host:a/b.git"),
            (
                "https://b.s3.amazonaws.com/w.whl?X-Amz-Signature=ab&x=1",
                "https://b.s3.amazonaws.com/w.whl",
            ),
            ("https://host/w.whl#sha256=ab&access_token=cd", "https://host/w.whl#sha256=ab"),
            ("https://host/w.whl#secret", "https://host/w.whl"),
            ("https://host?token=abc", "https://host"),
            (
                "https://conda.anaconda.org/t/tk-123/acme/linux-64",
                "https://conda.anaconda.org/acme/linux-64",
            ),
            ("https://host/@scope/pkg", "https://host/@scope/pkg"),
            ("https://[::1]:80/a@b", "https://[::1]:80/a@b"),
            ("/srv/git/a.git", "/srv/git/a.git"),
            ("conda-forge", "conda-forge"),
            ("", ""),
        ];
        for (url, expected) in cases {
            assert_eq!(without_credentials(url), expected, "{url}");
            assert_eq!(without_credentials(expected), expected, "a second time: {expected}");
        }
    }

    proptest! {
        #[test]
        fn a_password_never_survives(
            scheme in "https|http|git\\+https|ssh|git\\+ssh|ftp",
            user in "[a-z]{0,8}",
            password in "SECRET[a-z0-9/@:!$*.?#&-]{0,12}",
            path in "[a-z/.-]{0,12}",
        ) {
            let url = format!("{scheme}://{user}:{password}@host.example/{path}");
            prop_assert!(!without_credentials(&url).contains("SECRET"), "{}", url);
        }
    }
}
